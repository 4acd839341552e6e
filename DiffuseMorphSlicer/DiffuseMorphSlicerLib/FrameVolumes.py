import math

import numpy as np
import slicer
from slicer.i18n import tr as _

from DiffuseMorphCore.errors import DiffuseMorphError

from .VolumeImage import VolumeImage

SAME_GRID = 0.01  # voxels that an item may lie off the first


class FrameVolumes:
    """The volumes of a sequence as the core takes frames: each is copied only when it is asked for.

    browser, sequence: nodes. indices: the index value of each item. geometry: 4x4 from voxels to the coordinates of the
    items, without the transform that the shown one may be under. shape: (k, j, i). first: VolumeImage of the first one.
    """

    def __init__(self, browser, sequence=None):
        """sequence: one of the browser's, the only one of scalar volumes or the browser's first if None.

        Raises DiffuseMorphError, naming sequence and item, for what is no sequence of volumes on one grid.
        """
        if browser is None or not browser.IsA("vtkMRMLSequenceBrowserNode"):
            raise DiffuseMorphError(_("Choose the browser of a sequence of volumes."))
        self.browser = browser
        self.sequence = FrameVolumes.volumesOf(browser) if sequence is None else sequence
        if not browser.IsSynchronizedSequenceNode(self.sequence, True):
            raise DiffuseMorphError(
                _("The browser '{browser}' does not show the sequence '{sequence}': add it there first.").format(
                    browser=browser.GetName(), sequence=self.sequence.GetName()
                )
            )
        if self.sequence.GetDataNodeClassName() != "vtkMRMLScalarVolumeNode":
            raise DiffuseMorphError(
                _("The items of the sequence '{sequence}' are no scalar volumes: choose another sequence.").format(
                    sequence=self.sequence.GetName()
                )
            )
        count = self.sequence.GetNumberOfDataNodes()
        if count < 2:
            raise DiffuseMorphError(
                _("The sequence '{sequence}' has {count} item(s): at least two are needed.").format(
                    sequence=self.sequence.GetName(), count=count
                )
            )
        self.indices = [self.sequence.GetNthIndexValue(item) for item in range(count)]
        self._voxels = [self._read(item) for item in range(count)]
        self._times = self._changes()
        self.first = self._image(0)

    @staticmethod
    def volumesOf(browser):
        """The sequence of scalar volumes that a browser shows, its first if it is one, and none that we have made."""
        from .SequenceOutput import SequenceOutput

        found = [
            sequence
            for sequence in SequenceOutput.sequences(browser)
            if sequence.GetDataNodeClassName() == "vtkMRMLScalarVolumeNode" and not SequenceOutput.kind(sequence)
        ]
        if not found:
            raise DiffuseMorphError(
                _("The browser '{browser}' shows no sequence of scalar volumes: choose another.").format(
                    browser=browser.GetName()
                )
            )
        if len(found) > 1 and found[0] is not browser.GetMasterSequenceNode():
            raise DiffuseMorphError(
                _("The browser '{browser}' shows several sequences of volumes ({names}): name one of them.").format(
                    browser=browser.GetName(), names=", ".join(f"'{each.GetName()}'" for each in found)
                )
            )
        return found[0]

    def __len__(self):
        return len(self.indices)

    @property
    def current(self):
        """The number of the item that the browser shows."""
        master, number = self.browser.GetMasterSequenceNode(), self.browser.GetSelectedItemNumber()
        if number < 0:
            return 0
        return max(self.sequence.GetItemNumberFromIndexValue(master.GetNthIndexValue(number), False), 0)

    def frames(self):
        """DiffuseMorphCore's Frames, for another thread: no node is touched."""
        from DiffuseMorphCore.images.frames import Frames

        return Frames(self._title, len(self), lambda number: self._image(number).image, self._timesOfIndices())

    def checkUnchanged(self):
        """Raises DiffuseMorphError where the sequence has left the scene or its volumes are not what they were."""
        present = slicer.mrmlScene.IsNodePresent(self.sequence) and slicer.mrmlScene.IsNodePresent(self.browser)
        if not present or self._changes() != self._times:
            raise DiffuseMorphError(
                _(
                    "The sequence '{sequence}' was changed or removed during the computation: nothing was written, "
                    "repeat it."
                ).format(sequence=self.sequence.GetName())
            )

    @property
    def _title(self):
        return _("sequence '{name}'").format(name=self.sequence.GetName())

    def _read(self, item):
        name = _("Item {item} of the {sequence}").format(item=item + 1, sequence=self._title)
        node = self.sequence.GetNthDataNode(item)
        if node is None:
            raise DiffuseMorphError(_("{name} is not loaded: load the file of the sequence.").format(name=name))
        array, geometry = VolumeImage.voxels(node, name), VolumeImage.ijkToRAS(node)
        VolumeImage.checkGeometry(geometry, array.shape, name)
        if item == 0:
            self.geometry, self.shape = geometry, array.shape
        elif array.shape != self.shape or self._shift(geometry) > SAME_GRID:
            raise DiffuseMorphError(
                _("{name} lies on another grid than the first: resample all onto one grid.").format(name=name)
            )
        return array

    def _shift(self, geometry):
        """How far the corners of an item lie off those of the first, in voxels of that."""
        corners = np.array(np.meshgrid(*([0, length - 1] for length in self.shape[::-1]), [1])).reshape(4, -1)
        return np.abs(np.linalg.inv(self.geometry) @ geometry @ corners - corners).max()

    def _image(self, item):
        return VolumeImage.ofVoxels(self._voxels[item], self.geometry, None)

    def _changes(self):
        nodes = [self.sequence.GetNthDataNode(item) for item in range(self.sequence.GetNumberOfDataNodes())]
        return [node.GetImageData().GetMTime() if node and node.GetImageData() else None for node in nodes]

    def _timesOfIndices(self):
        """The index values as ascending numbers, or None."""
        try:
            times = tuple(float(index) for index in self.indices)
        except ValueError:
            return None
        return times if all(a < b for a, b in zip(times, times[1:])) and math.isfinite(sum(times)) else None
