import numpy as np
import slicer
from slicer.i18n import tr as _

from .VolumeImage import VolumeImage
from .VolumeWriter import VolumeWriter

CHECKER_ROLE = "DiffuseMorph.Checkerboard"


class SliceLayers:
    """Fixed and moving volume together in the slice views. The moving volume follows eta in every mode."""

    def __init__(self):
        self._checkerID = None

    def blend(self, fixedNode, movingNode, opacity):
        """The moving volume over the fixed one; opacity 0 shows the fixed one alone, 1 the moving one."""
        self._show(fixedNode, movingNode, opacity, slicer.vtkMRMLSliceCompositeNode.Alpha)

    def difference(self, fixedNode, movingNode):
        """The fixed volume minus the moving one, as they look with their window and level."""
        self._show(fixedNode, movingNode, 1.0, slicer.vtkMRMLSliceCompositeNode.Subtract)

    def checkerboard(self, fixedNode, movingNode, size):
        """Fields of the fixed volume on the moving one. size: edge of a field in mm."""
        checker = self._checker(fixedNode, size)
        self._show(movingNode, checker, 1.0, slicer.vtkMRMLSliceCompositeNode.Alpha)

    def overlay(self, movingNode, overlayNode, opacity):
        """A colour map over the moving volume."""
        self._show(movingNode, overlayNode, opacity, slicer.vtkMRMLSliceCompositeNode.Alpha)

    def clear(self):
        """Remove what belongs to this module, and end the difference view, which other modules do not expect."""
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            composite.SetCompositing(slicer.vtkMRMLSliceCompositeNode.Alpha)
        self._removeChecker()

    def _show(self, background, foreground, opacity, compositing):
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            with slicer.util.NodeModify(composite):
                composite.SetBackgroundVolumeID(background.GetID())
                composite.SetForegroundVolumeID(foreground.GetID())
                composite.SetForegroundOpacity(opacity)
                composite.SetCompositing(compositing)
        if foreground.GetID() != self._checkerID:
            self._removeChecker()

    def _removeChecker(self):
        node = slicer.mrmlScene.GetNodeByID(self._checkerID or "")
        self._checkerID = None
        if node is not None:
            slicer.mrmlScene.RemoveNode(node)

    def _checker(self, fixedNode, size):
        """A hidden copy of the fixed volume in which every other field lies below the display threshold."""
        node = slicer.mrmlScene.GetNodeByID(self._checkerID or "")
        wanted = f"{fixedNode.GetID()} {fixedNode.GetImageData().GetMTime()} {size:g}"
        if node is not None and node.GetAttribute(CHECKER_ROLE) == wanted:
            return node
        array = slicer.util.arrayFromVolume(fixedNode)
        spacing = np.linalg.norm(VolumeImage.ijkToRAS(fixedNode)[:3, :3], axis=0)[::-1]
        fields = sum(np.floor(np.arange(length) * step / size).astype(int).reshape([-1 if a == axis else 1 for a in range(3)])
                     for axis, (length, step) in enumerate(zip(array.shape, spacing)))
        low = float(array.min())
        below = low - max(1.0, abs(low) * 1e-3)
        fieldsOnly = np.where(fields % 2 == 0, array, np.float32(below)).astype(np.float32)
        import SimpleITK as sitk

        if node is None:
            node = VolumeWriter.newVolume(_("{fixed} checkerboard").format(fixed=fixedNode.GetName()))
            node.SetHideFromEditors(True)
            node.SetSaveWithScene(False)
        VolumeWriter.write(node, sitk.GetImageFromArray(fieldsOnly), fixedNode, like=fixedNode)
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        # Between a field and a gap an interpolated value would pass the threshold.
        display.SetInterpolate(False)
        display.SetLowerThreshold((low + below) / 2)
        display.SetUpperThreshold(float(array.max()))
        display.SetApplyThreshold(True)
        node.SetAttribute(CHECKER_ROLE, wanted)
        self._checkerID = node.GetID()
        return node
