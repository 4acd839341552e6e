import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin
from vtk.util import numpy_support

from DiffuseMorphCore.errors import DiffuseMorphError

ATTRIBUTE = "DiffuseMorph.Eta"


class SequenceEta(VTKObservationMixin):
    """The transform of a registered sequence at any eta, whichever frame its browser shows.

    The way from the reference to a frame is straight: at eta its displacements are eta times those of the item. At eta
    1 the proxy shows the item itself, as Slicer puts it there. At another eta it shows a grid of this object's own,
    which is written anew when Slicer has put the next item there. Neither PyTorch nor the registration is needed, so it
    works in a reopened scene.
    """

    def __init__(self, browser, sequence):
        """browser, sequence: nodes, the sequence one of transforms. Eta is what the sequence was left at."""
        VTKObservationMixin.__init__(self)
        self.browser, self.sequence = browser, sequence
        self.eta = SequenceEta.of(sequence)
        self._grid = self._array = self._image = self._proxy = self._place = self._shown = None
        self._writing = False
        # After Slicer's own logic, which may make another proxy.
        self.addObserver(browser, vtk.vtkCommand.ModifiedEvent, self._onBrowser, priority=-1.0)
        self._onBrowser()

    @staticmethod
    def of(sequence):
        """The eta that a sequence of transforms was left at, also in a reopened scene."""
        return float(sequence.GetAttribute(ATTRIBUTE) or 1.0)

    def setEta(self, eta):
        """Move to eta, limited to 0 to 1. Returns whether anything changed.

        Raises DiffuseMorphError where the browser would write what is shown into the sequence.
        """
        eta = min(max(float(eta), 0.0), 1.0)
        if eta == self.eta:
            return False
        if self.browser.GetSaveChanges(self.sequence):
            raise DiffuseMorphError(
                _(
                    "The browser '{browser}' would save what eta changes in the sequence '{sequence}': turn off its "
                    "'Save changes' for that sequence."
                ).format(browser=self.browser.GetName(), sequence=self.sequence.GetName())
            )
        self.eta = eta
        # A modified sequence would make Slicer copy the items of all sequences into their proxies, at every step.
        disabled = self.sequence.GetDisableModifiedEvent()
        self.sequence.SetDisableModifiedEvent(True)
        self.sequence.SetAttribute(ATTRIBUTE, f"{eta:.6g}")
        self.sequence.SetDisableModifiedEvent(disabled)
        self._show()
        return True

    def end(self):
        self.removeObservers()
        self._proxy = None

    def _onBrowser(self, caller=None, event=None):
        proxy = self.browser.GetProxyNode(self.sequence)
        if proxy is not self._proxy:
            self._observe(proxy)
        self._show()

    def _observe(self, proxy):
        event = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
        if self._proxy is not None:
            self.removeObserver(self._proxy, event, self._onTransform)
        self._proxy = proxy
        if proxy is not None:
            self.addObserver(proxy, event, self._onTransform)

    def _onTransform(self, caller, event):
        if not self._writing and self._proxy.GetTransformFromParent() is not self._grid:
            self._show()

    def _show(self):
        """Let the proxy show the current item at the current eta."""
        proxy = self._proxy
        item = self._item()
        own = proxy is not None and self._grid is not None and proxy.GetTransformFromParent() is self._grid
        if proxy is None or item is None or (self.eta == 1.0 and not own):
            return
        if self.browser.GetSaveChanges(self.sequence):
            return
        wanted = (item, self.eta, item.GetMTime())
        if own and wanted == self._shown:
            return
        self._shown = wanted
        self._writing = True
        try:
            np.multiply(_vectors(item), np.float32(self.eta), out=self._ownField(item))
            self._image.Modified()
            if proxy.GetTransformFromParent() is self._grid:
                self._grid.Modified()
            else:
                proxy.SetAndObserveTransformFromParent(self._grid)
        finally:
            self._writing = False

    def _item(self):
        """The grid transform of the item that the browser shows; None where there is none."""
        master, number = self.browser.GetMasterSequenceNode(), self.browser.GetSelectedItemNumber()
        if master is None or number < 0 or number >= master.GetNumberOfDataNodes():
            return None
        node = self.sequence.GetDataNodeAtValue(master.GetNthIndexValue(number), False)
        grid = node and node.GetTransformFromParentAs("vtkOrientedGridTransform", False, False)
        return grid if grid is not None and grid.GetDisplacementGrid() is not None else None

    def _ownField(self, item):
        """The displacements of the own grid, which is made to lie where the item's does."""
        image, matrix = item.GetDisplacementGrid(), vtk.vtkMatrix4x4()
        if item.GetGridDirectionMatrix() is not None:
            matrix.DeepCopy(item.GetGridDirectionMatrix())
        direction = slicer.util.arrayFromVTKMatrix(matrix).tolist()
        place = (image.GetDimensions(), image.GetSpacing(), image.GetOrigin(), direction)
        if place != self._place:
            self._place = place
            self._image = vtk.vtkImageData()
            self._image.SetDimensions(place[0])
            self._image.SetSpacing(place[1])
            self._image.SetOrigin(place[2])
            self._image.AllocateScalars(vtk.VTK_FLOAT, 3)
            self._array = numpy_support.vtk_to_numpy(self._image.GetPointData().GetScalars())
            self._grid = slicer.vtkOrientedGridTransform()
            self._grid.SetInterpolationModeToLinear()
            self._grid.SetGridDirectionMatrix(matrix)
            self._grid.SetDisplacementGridData(self._image)
        return self._array


def _vectors(grid):
    return numpy_support.vtk_to_numpy(grid.GetDisplacementGrid().GetPointData().GetScalars())
