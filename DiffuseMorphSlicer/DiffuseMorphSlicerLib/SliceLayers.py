import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from .ColorScales import colorScale
from .VolumeImage import VolumeImage
from .VolumeWriter import VolumeWriter

ATTRIBUTE = "DiffuseMorph.Layer"


class SliceLayers(VTKObservationMixin):
    """Fixed and moving volume together in the slice views. The moving volume follows eta in every mode.

    Modes that need another look of the fixed volume show a hidden copy of it; nothing of the volumes' own display is
    touched. What a view showed before is remembered, and given back by restore() unless the user has chosen otherwise.
    """

    def __init__(self):
        VTKObservationMixin.__init__(self)
        self._copyID = self._copied = None
        self._before, self._shown = {}, {}

    @property
    def shown(self):
        """Whether a view still shows what this module put there."""
        return any(self._volumes(composite) == self._shown.get(composite.GetID()) for composite in self._composites())

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

    def background(self, node):
        """A volume in the background, the other layers as they are."""
        for composite in self._composites():
            self._put(composite, node.GetID(), composite.GetForegroundVolumeID(), composite.GetForegroundOpacity())

    def restore(self):
        """Give the views back what they showed before, and remove what belongs to this module."""
        for composite in self._composites():
            if self._volumes(composite) == self._shown.get(composite.GetID()):
                background, foreground, opacity = self._before[composite.GetID()]
                with slicer.util.NodeModify(composite):
                    composite.SetBackgroundVolumeID(self._present(background))
                    composite.SetForegroundVolumeID(self._present(foreground))
                    composite.SetForegroundOpacity(opacity)
        self._removeCopy()
        self.forget()

    def forget(self):
        """Keep nothing of the views and the scene, which is being closed."""
        self.removeObservers()
        self._before.clear()
        self._shown.clear()
        self._copyID = self._copied = None

    def _show(self, background, foreground, opacity):
        for composite in self._composites():
            self._put(composite, background.GetID(), foreground.GetID(), opacity)
        if self._copyID not in (background.GetID(), foreground.GetID()):
            self._removeCopy()

    def _put(self, composite, background, foreground, opacity):
        if self._volumes(composite) != self._shown.get(composite.GetID()):
            self._before[composite.GetID()] = (*self._volumes(composite), composite.GetForegroundOpacity())
        with slicer.util.NodeModify(composite):
            composite.SetBackgroundVolumeID(background)
            composite.SetForegroundVolumeID(foreground)
            composite.SetForegroundOpacity(opacity)
        self._shown[composite.GetID()] = self._volumes(composite)

    @staticmethod
    def _composites():
        return slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")

    @staticmethod
    def _volumes(composite):
        return composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()

    @staticmethod
    def _present(nodeID):
        return nodeID if slicer.mrmlScene.GetNodeByID(nodeID or "") is not None else None

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeRemoved(self, caller, event, node):
        """The hidden copy goes with the volume it is a copy of."""
        if node is self._copied:
            self.restore()

    def _removeCopy(self):
        self.removeObservers()
        self._copied = None
        node = slicer.mrmlScene.GetNodeByID(self._copyID or "")
        self._copyID = None
        if node is not None:
            slicer.mrmlScene.RemoveNode(node)

    def _copy(self, fixedNode, what, array):
        """The hidden copy, made anew unless it is what is wanted. array: function that gives its voxels."""
        import SimpleITK as sitk

        wanted = f"{what} {fixedNode.GetID()} {fixedNode.GetImageData().GetMTime()}"
        node = slicer.mrmlScene.GetNodeByID(self._copyID or "")
        if node is not None and node.GetAttribute(ATTRIBUTE) == wanted:
            return node
        self._removeCopy()
        node = VolumeWriter.newVolume(_("{fixed} for comparison").format(fixed=fixedNode.GetName()))
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        VolumeWriter.write(node, sitk.GetImageFromArray(array()), fixedNode, like=fixedNode)
        node.GetDisplayNode().SetSaveWithScene(False)
        node.SetAttribute(ATTRIBUTE, wanted)
        self._copyID, self._copied = node.GetID(), fixedNode
        self.addObserver(slicer.mrmlScene, slicer.vtkMRMLScene.NodeRemovedEvent, self._onNodeRemoved)
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
