import numpy as np
import slicer
from slicer.i18n import tr as _

from DiffuseMorphCore.errors import DiffuseMorphError

from .LabelImage import LabelImage
from .OutputTransform import OutputTransform


class RegionImage:
    """What a label map, a segmentation or a region of interest marks in a volume."""

    @staticmethod
    def fromNode(node, volume):
        """SimpleITK image on the volume's grid, 1 in the region and 0 elsewhere; None without a node.

        volume: VolumeImage. Raises DiffuseMorphError where nothing of the volume is marked.
        """
        if node is None:
            return None
        import SimpleITK as sitk

        if node.IsA("vtkMRMLMarkupsROINode"):
            return RegionImage._ofBox(node, volume)
        labels = LabelImage.fromNode(node, volume, parentToWorld=OutputTransform.originalMatrix(node))
        return sitk.Cast(sitk.NotEqual(labels.image, 0), sitk.sitkUInt8)

    @staticmethod
    def _ofBox(node, volume):
        """The voxels whose middle lies in a box of any orientation."""
        import SimpleITK as sitk

        size = np.array(node.GetSize())
        if not (size > 0).all():
            raise DiffuseMorphError(
                _("The region '{name}' is not placed yet: place it, or choose another mask or none.").format(
                    name=node.GetName()
                )
            )
        objectToNode = slicer.util.arrayFromVTKMatrix(node.GetObjectToNodeMatrix())
        worldToObject = np.linalg.inv(OutputTransform.originalMatrix(node) @ objectToNode)
        image, count = volume.image, volume.dimensions
        indexToPoint = np.eye(count + 1)
        indexToPoint[:count, :count] = np.reshape(image.GetDirection(), (count, count)) * image.GetSpacing()
        indexToPoint[:count, count] = image.GetOrigin()
        indexToObject = worldToObject @ volume.toWorld @ indexToPoint
        inside = np.ones(image.GetSize()[::-1], bool)
        for row, half in zip(indexToObject[:3], size / 2):
            steps = (np.arange(length) * row[axis] for axis, length in reversed(list(enumerate(image.GetSize()))))
            inside &= np.abs(row[count] + sum(np.ix_(*steps))) <= half
        if node.GetInsideOut():
            inside = ~inside
        if not inside.any():
            raise DiffuseMorphError(
                _("The region '{name}' marks nothing of the volume '{volume}': move it, or choose none.").format(
                    name=node.GetName(), volume=volume.node.GetName()
                )
            )
        mask = sitk.GetImageFromArray(inside.astype(np.uint8))
        mask.CopyInformation(image)
        return mask
