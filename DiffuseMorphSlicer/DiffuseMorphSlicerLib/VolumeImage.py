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
        name = _("The volume '{name}'").format(name=node.GetName())
        array = VolumeImage.voxels(node, name)
        if parentToWorld is None:
            parentToWorld = VolumeImage.parentMatrix(node)
        geometry = parentToWorld @ VolumeImage.ijkToRAS(node)
        VolumeImage.checkGeometry(geometry, array.shape, name)
        return VolumeImage.ofVoxels(array, geometry, node)

    @staticmethod
    def voxels(node, name):
        """The voxels of a scalar volume node, (k, j, i): a view, no copy. name: what messages begin with.

        Raises DiffuseMorphError for a volume without voxels or with several components.
        """
        imageData = node.GetImageData()
        if imageData is None or imageData.GetNumberOfPoints() == 0:
            raise DiffuseMorphError(_("{name} has no voxels: load it again or choose another.").format(name=name))
        if imageData.GetNumberOfScalarComponents() != 1:
            raise DiffuseMorphError(
                _(
                    "{name} has {count} components per voxel: convert it to a scalar volume "
                    "with the Vector to Scalar Volume module first."
                ).format(name=name, count=imageData.GetNumberOfScalarComponents())
            )
        return slicer.util.arrayFromVolume(node)

    @staticmethod
    def checkGeometry(geometry, shape, name):
        """Raises DiffuseMorphError for axes that are no image's. geometry: 4x4, voxels to mm. shape: (k, j, i)."""
        spacing = np.linalg.norm(geometry[:3, :3], axis=0)
        if spacing.min() <= 0:
            raise DiffuseMorphError(
                _("{name} has an axis of zero length: correct its spacing in the Volumes module.").format(name=name)
            )
        directions = geometry[:3, :3] / spacing
        if np.abs(directions.T @ directions - np.eye(3)).max() > SHEAR_TOLERANCE:
            raise DiffuseMorphError(
                _(
                    "{name} has axes that are not at right angles: resample it with the Resample "
                    "Scalar Volume module first."
                ).format(name=name)
            )
        if sorted(shape)[1] == 1:
            raise DiffuseMorphError(
                _("{name} is a single line of voxels: choose an image or a volume.").format(name=name)
            )

    @staticmethod
    def ofVoxels(array, geometry, node):
        """Copy voxels (k, j, i); no node is touched. geometry: 4x4 from voxels (i, j, k) to world RAS, checked."""
        import SimpleITK as sitk

        spacing = np.linalg.norm(geometry[:3, :3], axis=0)
        directions = geometry[:3, :3] / spacing
        thin = [axis for axis in range(3) if array.shape[2 - axis] == 1]
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
