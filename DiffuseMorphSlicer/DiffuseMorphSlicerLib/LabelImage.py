import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util import numpy_support

from DiffuseMorphCore.errors import DiffuseMorphError

from .VolumeImage import VolumeImage


class LabelImage:
    """A label map or a segmentation as a label image on the grid of a volume.

    image: SimpleITK image of 16-bit labels on the reference's grid. names: {label: name}.
    """

    def __init__(self, image, names, node):
        self.image = image
        self.names = names
        self.node = node

    @staticmethod
    def fromNode(node, reference, values=None, parentToWorld=None):
        """reference: VolumeImage whose grid the labels are put on (nearest neighbour).

        values: {segment name: label}, shared by the segmentations of two volumes so that equal names get equal labels;
        new names are added; None where names do not matter. parentToWorld: 4x4 matrix to use in place of the node's
        own parent transforms.
        Raises DiffuseMorphError where the node has no labels on that grid, and where two segments have one name
        although names matter.
        """
        if node.IsA("vtkMRMLSegmentationNode"):
            image, names = _segments(node, reference, values, parentToWorld)
        else:
            image = _onGrid(VolumeImage.fromNode(node, parentToWorld), reference)
            names = {int(label): str(int(label)) for label in np.unique(_array(image)) if label}
        if not names or not _array(image).any():
            raise DiffuseMorphError(
                _(
                    "'{labels}' marks nothing inside the volume '{volume}': choose other labels or leave them out."
                ).format(labels=node.GetName(), volume=reference.node.GetName())
            )
        return LabelImage(image, names, node)

    def dice(self, other):
        """{name: Dice overlap 0 to 1} for the labels that both images have; both on the same grid."""
        from DiffuseMorphCore.images import dice_of_each

        found, present = dice_of_each(_array(self.image), _array(other)), set(np.unique(_array(other)).tolist())
        return {name: found[label] for label, name in self.names.items() if label in present}


def _array(image):
    import SimpleITK as sitk

    return sitk.GetArrayViewFromImage(image)


def _onGrid(labels, reference):
    import SimpleITK as sitk

    image = sitk.Cast(labels.image, sitk.sitkUInt16)
    if labels.dimensions == reference.dimensions == 3:
        return sitk.Resample(image, reference.image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    if image.GetSize() != reference.image.GetSize():
        raise DiffuseMorphError(
            _("'{labels}' and the slice '{volume}' have different sizes: draw the labels on the slice itself.").format(
                labels=labels.node.GetName(), volume=reference.node.GetName()
            )
        )
    image.CopyInformation(reference.image)
    return image


def _segments(node, reference, values, parentToWorld):
    """One label image of all segments; where they overlap, the later segment is kept."""
    import SimpleITK as sitk

    if reference.dimensions == 2:
        raise DiffuseMorphError(
            _(
                "The segmentation '{labels}' cannot be used with the single slice '{volume}': export it "
                "to a label map first."
            ).format(labels=node.GetName(), volume=reference.node.GetName())
        )
    segmentation = node.GetSegmentation()
    if not segmentation.CreateRepresentation("Binary labelmap"):
        raise DiffuseMorphError(
            _(
                "The segmentation '{labels}' has no binary labelmap representation: create one in the "
                "Segmentations module."
            ).format(labels=node.GetName())
        )
    if parentToWorld is None:
        parentToWorld = VolumeImage.parentMatrix(node)
    merged, names = np.zeros(sitk.GetArrayViewFromImage(reference.image).shape, np.uint16), {}
    labels = {} if values is None else values
    for index in range(segmentation.GetNumberOfSegments()):
        identifier = segmentation.GetNthSegmentID(index)
        segment = segmentation.GetSegment(identifier)
        labelmap = segment.GetRepresentation("Binary labelmap")
        if labelmap is None or labelmap.GetNumberOfPoints() == 0:
            continue
        geometry = vtk.vtkMatrix4x4()
        labelmap.GetImageToWorldMatrix(geometry)
        inside = _binary(labelmap, segment.GetLabelValue(), parentToWorld @ slicer.util.arrayFromVTKMatrix(geometry))
        onGrid = sitk.Resample(inside, reference.image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
        label = labels.setdefault(segment.GetName(), len(labels) + 1)
        if label in names and values is not None:
            raise DiffuseMorphError(
                _("The segmentation '{labels}' has two segments named '{name}': give each a name of its own.").format(
                    labels=node.GetName(), name=segment.GetName()
                )
            )
        merged[sitk.GetArrayViewFromImage(onGrid) != 0] = label
        names[label] = segment.GetName()
    image = sitk.GetImageFromArray(merged)
    image.CopyInformation(reference.image)
    return image, names


def _binary(labelmap, value, ijkToRAS):
    import SimpleITK as sitk

    extent = labelmap.GetExtent()
    shape = [extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in (2, 1, 0)]
    scalars = numpy_support.vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(shape)
    image = sitk.GetImageFromArray((scalars == value).astype(np.uint8))
    axes = np.diag([-1.0, -1.0, 1.0]) @ ijkToRAS[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((axes / spacing).ravel().tolist())
    first = ijkToRAS @ np.array([extent[0], extent[2], extent[4], 1.0])
    image.SetOrigin((np.diag([-1.0, -1.0, 1.0]) @ first[:3]).tolist())
    return image
