import numpy as np
import slicer
from slicer.i18n import tr as _

from .ColorScales import colorScale
from .VolumeImage import VolumeImage
from .VolumeWriter import VolumeWriter

ATTRIBUTE = "DiffuseMorph.Layer"


class SliceLayers:
    """Fixed and moving volume together in the slice views. The moving volume follows eta in every mode.

    Modes that need another look of the fixed volume show a hidden copy of it; nothing of the volumes' own display is
    touched.
    """

    def __init__(self):
        self._copyID = None

    def blend(self, fixedNode, movingNode, opacity):
        """The moving volume over the fixed one; opacity 0 shows the fixed one alone, 1 the moving one."""
        self._show(fixedNode, movingNode, opacity)

    def difference(self, fixedNode, movingNode):
        """The moving minus the fixed volume as they look with their window and level: equal parts are grey.

        It is the moving volume half transparent over the negative of the fixed one.
        """
        self._show(self._negative(fixedNode), movingNode, 0.5)

    def checkerboard(self, fixedNode, movingNode, size):
        """Fields of the fixed volume on the moving one. size: edge of a field in mm."""
        self._show(movingNode, self._fields(fixedNode, size), 1.0)

    def overlay(self, movingNode, overlayNode, opacity):
        """A colour map over the moving volume."""
        self._show(movingNode, overlayNode, opacity)

    def clear(self):
        """Remove what belongs to this module."""
        node = slicer.mrmlScene.GetNodeByID(self._copyID or "")
        self._copyID = None
        if node is not None:
            slicer.mrmlScene.RemoveNode(node)

    def _show(self, background, foreground, opacity):
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            with slicer.util.NodeModify(composite):
                composite.SetBackgroundVolumeID(background.GetID())
                composite.SetForegroundVolumeID(foreground.GetID())
                composite.SetForegroundOpacity(opacity)
        if self._copyID not in (background.GetID(), foreground.GetID()):
            self.clear()

    def _copy(self, fixedNode, what, array):
        """The hidden copy, made anew unless it is what is wanted. array: function that gives its voxels."""
        import SimpleITK as sitk

        wanted = f"{what} {fixedNode.GetID()} {fixedNode.GetImageData().GetMTime()}"
        node = slicer.mrmlScene.GetNodeByID(self._copyID or "")
        if node is not None and node.GetAttribute(ATTRIBUTE) == wanted:
            return node
        self.clear()
        node = VolumeWriter.newVolume(_("{fixed} for comparison").format(fixed=fixedNode.GetName()))
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        VolumeWriter.write(node, sitk.GetImageFromArray(array()), fixedNode, like=fixedNode)
        node.GetDisplayNode().SetSaveWithScene(False)
        node.SetAttribute(ATTRIBUTE, wanted)
        self._copyID = node.GetID()
        return node

    def _negative(self, fixedNode):
        node = self._copy(fixedNode, "negative", lambda: slicer.util.arrayFromVolume(fixedNode))
        node.GetDisplayNode().SetAndObserveColorNodeID(colorScale("negative").GetID())
        return node

    def _fields(self, fixedNode, size):
        """A copy of the fixed volume in which every other field lies below the display threshold."""
        values = slicer.util.arrayFromVolume(fixedNode)
        low, high = float(values.min()), float(values.max())
        # So far below that a pixel interpolated between a field and a gap is below the threshold: fields end sharply.
        gap = low - 1000 * max(high - low, 1.0)

        def array():
            spacing = np.linalg.norm(VolumeImage.ijkToRAS(fixedNode)[:3, :3], axis=0)[::-1]
            place = sum(
                (np.arange(length) * step // size).astype(int).reshape([-1 if a == axis else 1 for a in range(3)])
                for axis, (length, step) in enumerate(zip(values.shape, spacing))
            )
            return np.where(place % 2 == 0, values, np.float32(gap)).astype(np.float32)

        node = self._copy(fixedNode, f"fields {size:g}", array)
        display = node.GetDisplayNode()
        display.SetLowerThreshold(low)
        display.SetUpperThreshold(high)
        display.SetApplyThreshold(True)
        return node
