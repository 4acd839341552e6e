import numpy as np

from .FieldGrid import MAXIMUM_POINTS, FieldGrid, frame


class FieldTrajectory(FieldGrid):
    """The map from the points of one image to those of another at some etas: a deformation, then a linear alignment.

    The two are kept apart because VTK inverts a grid of displacements by iteration, which fails when a rotation is in
    it, while the inverse of the alignment is exact.

    etas: increasing values, 0 to 1. keyframes: the deformation in world RAS, float32 arrays (k, j, i, 3) in mm, one for
    each eta. alignment: 4x4 matrix from world RAS to the target's coordinates.
    """

    def __init__(self, path, source, movingPoint, maximumPoints=MAXIMUM_POINTS):
        """path: DiffuseMorphCore EtaPath on a grid that covers the source image. source: its VolumeImage.

        movingPoint: 4 x (dimensions + 1) matrix that takes a deformed source point to the target's coordinates in RAS.
        The grid is made coarser where its keyframes would exceed maximumPoints or MAXIMUM_BYTES.
        """
        self.etas = [float(eta) for eta in path.etas]
        path = path.resized(self.shapeFor(path.grid.shape, maximumPoints, len(self.etas)))
        fields = [path.at(eta).vectors().astype(np.float32) for eta in self.etas]
        super().__init__(path.grid, source, max(self.ringWidth(field, path.grid) for field in fields))
        self.alignment = frame(movingPoint) @ np.linalg.inv(frame(source.toWorld))
        self.keyframes = [self.field(field) for field in fields]

    @staticmethod
    def ofRegistration(registration, fixed, moving, movingFromWorld=None, fineEnd=False, **limits):
        """Fixed to moving points, alignment included, for what DiffuseMorphCore.register returned.

        movingFromWorld: 4x4 matrix from the world to the coordinates that nodes have under the transform; identity if
        None. It is how the moving volume's own linear parent stays in the result. fineEnd: only what is at eta 1, as
        fine as the registration knows it there; a slider needs coarser fields to be quick.
        """
        movingPoint = moving.toWorld @ affineMatrix(registration.alignment, fixed.dimensions)
        if movingFromWorld is not None:
            movingPoint = movingFromWorld @ movingPoint
        path = registration.path
        if fineEnd:
            path = type(path)((1.0,), path.finest.values, path.finest.grid)
        return FieldTrajectory(path, fixed, movingPoint, **limits)

    @staticmethod
    def ofInverse(registration, eta, fixed, moving):
        """Moving to fixed points at one eta, on a grid around the moving image."""
        import SimpleITK as sitk

        from DiffuseMorphCore.displacement import Displacement
        from DiffuseMorphCore.grid import Grid
        from DiffuseMorphCore.samplers import EtaPath

        grid = Grid.of(moving.image)
        grid = grid.resampled(FieldTrajectory.shapeFor(grid.shape, MAXIMUM_POINTS, 1))
        alignment = affineMatrix(registration.alignment, fixed.dimensions)
        # The deformation is what the inverse does beyond the inverse alignment, seen in the moving image's space.
        beyond = sitk.CompositeTransform([registration.alignment, registration.inverse_transform(eta)])
        field = sitk.TransformToDisplacementField(
            beyond, sitk.sitkVectorFloat64, grid.size, grid.origin, grid.spacing, grid.direction
        )
        deformation = Displacement.from_vectors(sitk.GetArrayFromImage(field), grid)
        fixedPoint = fixed.toWorld @ np.linalg.inv(alignment)
        return FieldTrajectory(EtaPath((eta,), deformation.values, grid), moving, fixedPoint)

    def whole(self, deformation):
        """Deformation and alignment as one displacement (k, j, i, 3), for formats that hold a single grid.

        deformation: a keyframe, or a blend of two.
        """
        difference = self.alignment - np.eye(4)
        displacement = difference[:3, :3] @ self.origin + difference[:3, 3]
        for axis, length in enumerate(reversed(deformation.shape[:3])):
            place = [None, None, None, slice(None)]
            place[2 - axis] = slice(None)
            step = np.arange(length)[:, None] * (difference[:3, :3] @ self.direction[:, axis] * self.spacing[axis])
            displacement = displacement + step[tuple(place)]
        return (displacement + deformation @ self.alignment[:3, :3].T).astype(np.float32)


def affineMatrix(transform, dimensions):
    """(dimensions + 1) square matrix of a linear SimpleITK transform."""
    from DiffuseMorphCore.linear import linear_map

    matrix = np.eye(dimensions + 1)
    matrix[:-1, :-1], matrix[:-1, -1] = linear_map(transform)
    return matrix
