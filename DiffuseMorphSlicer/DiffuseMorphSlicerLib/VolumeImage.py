import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from DiffuseMorphCore.errors import DiffuseMorphError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
SHEAR_TOLERANCE = 1e-3


class VolumeImage:
    """A volume node as the core sees it: a SimpleITK image, and the way from its space to the world of the scene.

    image: SimpleITK image in millimetres; LPS for a volume, the plane's own two coordinates for a single slice.
    toWorld: 4 x (dimensions + 1) matrix; world RAS point = toWorld @ [x, y(, z), 1]. Has linear parents in it.
    """

    def __init__(self, image, toWorld, node):
        self.image = image
        self.toWorld = toWorld
        self.node = node

    @property
    def dimensions(self):
        return self.toWorld.shape[1] - 1

    @staticmethod
    def fromNode(node, parentToWorld=None):
        """Copy a scalar volume node; the copy may be used in another thread.

        parentToWorld: 4x4 matrix to use in place of the node's own parent transforms.
        Raises DiffuseMorphError for a volume without voxels, with several components, sheared, or under a non-linear
        transform.
        """
        import SimpleITK as sitk

        name = node.GetName()
        imageData = node.GetImageData()
        if imageData is None or imageData.GetNumberOfPoints() == 0:
            raise DiffuseMorphError(
                _("The volume '{name}' has no voxels: load it again or choose another.").format(name=name)
            )
        if imageData.GetNumberOfScalarComponents() != 1:
            raise DiffuseMorphError(
                _(
                    "The volume '{name}' has {count} components per voxel: convert it to a scalar volume "
                    "with the Vector to Scalar Volume module first."
                ).format(name=name, count=imageData.GetNumberOfScalarComponents())
            )
        if parentToWorld is None:
            parentToWorld = VolumeImage.parentMatrix(node)
        geometry = parentToWorld @ VolumeImage.ijkToRAS(node)
        axes = geometry[:3, :3]
        spacing = np.linalg.norm(axes, axis=0)
        if spacing.min() <= 0:
            raise DiffuseMorphError(
                _("The volume '{name}' has an axis of zero length: correct its spacing in the Volumes module.").format(
                    name=name
                )
            )
        directions = axes / spacing
        if np.abs(directions.T @ directions - np.eye(3)).max() > SHEAR_TOLERANCE:
            raise DiffuseMorphError(
                _(
                    "The axes of the volume '{name}' are not at right angles: resample it with the Resample "
                    "Scalar Volume module first."
                ).format(name=name)
            )
        array = slicer.util.arrayFromVolume(node)
        thin = [axis for axis in range(3) if array.shape[2 - axis] == 1]
        if len(thin) > 1:
            raise DiffuseMorphError(
                _("The volume '{name}' is a single line of voxels: choose an image or a volume.").format(name=name)
            )
        if not thin:
            image = sitk.GetImageFromArray(array)
            rasToLps = LPS_TO_RAS[:3, :3]
            image.SetSpacing(spacing.tolist())
            image.SetDirection((rasToLps @ directions).ravel().tolist())
            image.SetOrigin((rasToLps @ geometry[:3, 3]).tolist())
            return VolumeImage(image, LPS_TO_RAS.copy(), node)
        inPlane = [axis for axis in range(3) if axis != thin[0]]
        image = sitk.GetImageFromArray(array.squeeze(axis=2 - thin[0]))
        image.SetSpacing(spacing[inPlane].tolist())
        toWorld = np.zeros((4, 3))
        toWorld[:3, :2] = directions[:, inPlane]
        toWorld[:, 2] = geometry[:, 3]
        return VolumeImage(image, toWorld, node)

    @staticmethod
    def ijkToRAS(node):
        matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        return slicer.util.arrayFromVTKMatrix(matrix)

    @staticmethod
    def parentMatrix(node):
        """4x4 matrix from the node's own coordinates to the world; DiffuseMorphError for a non-linear parent."""
        parent = node.GetParentTransformNode()
        return np.eye(4) if parent is None else VolumeImage.transformMatrix(parent, node.GetName())

    @staticmethod
    def transformMatrix(transformNode, name):
        """4x4 matrix from under a transform node to the world. name: of the node under it, for the message."""
        if not transformNode.IsTransformToWorldLinear():
            raise DiffuseMorphError(
                _(
                    "'{name}' is under the non-linear transform '{parent}': harden that transform or "
                    "take the node out of it first."
                ).format(name=name, parent=transformNode.GetName())
            )
        matrix = vtk.vtkMatrix4x4()
        transformNode.GetMatrixTransformToWorld(matrix)
        return slicer.util.arrayFromVTKMatrix(matrix)
