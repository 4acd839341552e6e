import numpy as np
import slicer
from slicer.i18n import tr as _
from vtk.util import numpy_support

from DiffuseMorphCore.errors import DiffuseMorphError

from .LabelImage import LabelImage
from .OutputTransform import OutputTransform
from .VolumeImage import VolumeImage

BINARY = "Binary labelmap"


class FrameLabels:
    """A segmentation or label map that was drawn on one frame of a sequence, and its nodes on every frame.

    The node is read when this is made; later it may change or go. drawnOn: number of the frame. className: of the node.
    """

    def __init__(self, node, volumes, frame, reference):
        """volumes: FrameVolumes. frame: "current" for the one that the browser shows, "reference", or a number from 0.

        reference: the number of the reference, or "mean".
        Raises DiffuseMorphError for labels that lie nowhere on the frames, and for a frame that is none.
        """
        if node is None or not (node.IsA("vtkMRMLSegmentationNode") or node.IsA("vtkMRMLLabelMapVolumeNode")):
            raise DiffuseMorphError(_("Labels are a segmentation or a label map: choose one, or leave them out."))
        self.drawnOn = FrameLabels._number(volumes, frame, reference)
        self.className, self.name = node.GetClassName(), node.GetName()
        display = node.GetDisplayNode()
        self._colorID = display.GetColorNodeID() if display is not None and not self.isSegmentation else None
        onFrame = VolumeImage(volumes.first.image, volumes.first.toWorld, volumes.sequence)
        self._labels = LabelImage.fromNode(node, onFrame, {}, FrameLabels._toFrames(node, volumes))
        self._type = np.uint8 if max(self._labels.names) < 256 else np.uint16
        self._segments = []
        if self.isSegmentation:
            source = node.GetSegmentation()
            for label, name in self._labels.names.items():
                identifier = source.GetSegmentIdBySegmentName(name)
                self._segments.append((label, identifier, name, source.GetSegment(identifier).GetColor()))

    @property
    def isSegmentation(self):
        return self.className == "vtkMRMLSegmentationNode"

    def carried(self, registration):
        """The labels (k, j, i) on every frame, one after another; no node is touched.

        registration: what DiffuseMorphCore.register_sequence gave.
        """
        import SimpleITK as sitk

        for image in registration.carry_labels(self._labels.image, self.drawnOn):
            yield sitk.GetArrayFromImage(image).astype(self._type)

    def nodes(self, volumes, arrays):
        """A node that is in no scene for each array of :meth:`carried`, of the same kind as what was drawn."""
        for array in arrays:
            array = array.reshape(volumes.shape)
            yield self._segmentation(array, volumes.geometry) if self.isSegmentation else self._labelMap(array, volumes)

    def style(self, node):
        """Let the node that shows the labels have the colours of what was drawn."""
        if self._colorID is not None and node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetAndObserveColorNodeID(self._colorID)

    @staticmethod
    def _number(volumes, frame, reference):
        if frame == "current":
            return volumes.current
        if frame == "reference":
            if reference == "mean":
                raise DiffuseMorphError(
                    _("The mean of all frames is nothing to draw on: say on which frame the labels were drawn.")
                )
            return 0 if reference == "first" else int(reference)
        isNumber = isinstance(frame, int) and not isinstance(frame, bool)
        if not isNumber or not 0 <= frame < len(volumes):
            raise DiffuseMorphError(
                _(
                    "The labels were drawn on item {number}, counted from 0, but the sequence '{name}' has {count}: "
                    "give 'current', 'reference' or a number below that."
                ).format(number=frame, name=volumes.sequence.GetName(), count=len(volumes))
            )
        return frame

    @staticmethod
    def _toFrames(node, volumes):
        """4x4 matrix from the labels' coordinates to those of the frames, which may lie under a transform."""
        shown = volumes.browser.GetProxyNode(volumes.sequence)
        if shown is None or OutputTransform.originalParent(node) is OutputTransform.originalParent(shown):
            return np.eye(4)
        return np.linalg.inv(OutputTransform.originalMatrix(shown)) @ OutputTransform.originalMatrix(node)

    @staticmethod
    def _labelMap(array, volumes):
        node = slicer.vtkMRMLLabelMapVolumeNode()
        slicer.util.updateVolumeFromArray(node, array)
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(volumes.geometry))
        return node

    def _segmentation(self, array, geometry):
        """All segments share one label map, as those do that Slicer's editor makes."""
        image = slicer.vtkOrientedImageData()
        image.SetDimensions(array.shape[::-1])
        image.AllocateScalars(numpy_support.get_vtk_array_type(array.dtype), 1)
        numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())[:] = array.ravel()
        image.SetGeometryFromImageToWorldMatrix(slicer.util.vtkMatrixFromArray(geometry))
        node = slicer.vtkMRMLSegmentationNode()
        segmentation = node.GetSegmentation()
        segmentation.SetSourceRepresentationName(BINARY)
        geometryText = slicer.vtkSegmentationConverter.SerializeImageGeometry(image)
        segmentation.SetConversionParameter(
            slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName(), geometryText
        )
        for label, identifier, name, color in self._segments:
            segment = slicer.vtkSegment()
            segment.SetName(name)
            segment.SetColor(color)
            segment.SetLabelValue(label)
            segment.AddRepresentation(BINARY, image)
            segmentation.AddSegment(segment, identifier)
        return node
