import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

# Below this many numbers PyTorch works in the calling thread. Blending is as fast as memory allows with one thread,
# while waiting for the others costs a step of the slider many milliseconds when the computer is busy.
PIECE = 32_000


class EtaTransform:
    """A transform that shows a FieldTrajectory at one eta and moves to another in place.

    grid: vtkOrientedGridTransform of the deformation, float32 and linear. transform: vtkGeneralTransform from fixed to
    moving points, the grid and then the alignment, so that VTK inverts each by itself. Both are the same objects
    throughout. A change of eta costs one blend into the grid's own memory and one modified event of each.
    """

    def __init__(self, trajectory, eta=1.0):
        import torch

        self.eta = None
        self._etas = trajectory.etas
        self._keyframes = [torch.from_numpy(keyframe).view(-1).split(PIECE) for keyframe in trajectory.keyframes]
        shape = trajectory.keyframes[0].shape
        self.image = vtk.vtkImageData()
        self.image.SetDimensions(shape[2], shape[1], shape[0])
        self.image.SetSpacing(trajectory.spacing)
        self.image.SetOrigin(trajectory.origin)
        self.image.AllocateScalars(vtk.VTK_FLOAT, 3)
        self.array = numpy_support.vtk_to_numpy(self.image.GetPointData().GetScalars()).reshape(shape)
        self._field = torch.from_numpy(self.array).view(-1).split(PIECE)
        direction = np.eye(4)
        direction[:3, :3] = trajectory.direction
        self.grid = slicer.vtkOrientedGridTransform()
        self.grid.SetGridDirectionMatrix(slicer.util.vtkMatrixFromArray(direction))
        self.grid.SetInterpolationModeToLinear()
        self.grid.SetDisplacementGridData(self.image)
        self.transform = vtk.vtkGeneralTransform()
        self.transform.PostMultiply()
        self.transform.Concatenate(self.grid)
        self.transform.Concatenate(slicer.util.vtkMatrixFromArray(trajectory.alignment))
        self.setEta(eta)

    def setEta(self, eta):
        """Blend the two keyframes around eta (limited to 0 to 1) into the grid; nothing happens if it is there already.

        Returns whether the grid changed.
        """
        import torch

        from DiffuseMorphCore.samplers import bracket

        eta = min(max(float(eta), self._etas[0]), self._etas[-1])
        if eta == self.eta:
            return False
        before, after, share = bracket(self._etas, eta)
        for first, second, written in zip(self._keyframes[before], self._keyframes[after], self._field):
            torch.lerp(first, second, share, out=written)
        self.eta = eta
        self.image.Modified()
        self.grid.Modified()
        self.transform.Modified()
        return True
