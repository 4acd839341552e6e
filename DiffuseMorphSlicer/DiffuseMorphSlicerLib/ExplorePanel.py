import math
import time

import qt
import slicer
from slicer.i18n import tr as _

from .EtaPlayer import EtaPlayer
from .FieldDisplay import FieldDisplay
from .OutputTransform import OutputTransform
from .ParameterNode import FieldMode, ViewMode
from .SliceLayers import SliceLayers

FRAME_MILLISECONDS = 33
REST_MILLISECONDS = 400
OVERLAYS = (ViewMode.jacobian, ViewMode.uncertainty)


class ExplorePanel:
    """Eta and what the slice views show. The newest eta wins: however many arrive, one tick writes the last of them."""

    def __init__(self, ui, logic, startExport, clock=time.monotonic):
        """startExport: function of a kind, a function to call with the finished map, and whether to do it quietly.

        clock: gives the seconds that playing follows.
        """
        self._ui, self._logic, self._startExport = ui, logic, startExport
        self._parameterNode = None
        self.clock = clock
        self._layers = SliceLayers()
        self._player = EtaPlayer()
        self._shownField = self._shownLayers = None
        # {(kind, ID of the transform, report): node}
        self._maps = {}
        self._tick = self._newTimer(0, self.tick, single=True)
        self._rest = self._newTimer(REST_MILLISECONDS, self._onRest, single=True)
        self._frame = self._newTimer(FRAME_MILLISECONDS, self._onFrame)
        ui.playButton.connect("toggled(bool)", self._onPlay)
        ui.fieldColorButton.connect("colorChanged(QColor)", self._onColor)

    @staticmethod
    def _newTimer(milliseconds, receiver, single=False):
        timer = qt.QTimer()
        timer.interval = milliseconds
        timer.singleShot = single
        timer.connect("timeout()", receiver)
        return timer

    def setParameterNode(self, parameterNode):
        """The views stay as they are: only what changes from now on is shown in them."""
        self._parameterNode = parameterNode
        self._shownField = None
        self._maps.clear()
        if parameterNode is None:
            self.stop()
        else:
            self._shownLayers = self._wantedLayers()

    @property
    def transformNode(self):
        node = self._parameterNode.outputTransform if self._parameterNode is not None else None
        return node if OutputTransform.isOutput(node) else None

    def update(self):
        """Bring the views to what the parameter node says; what is so already costs nothing."""
        if self._parameterNode is None:
            return
        ready = self._logic.hasTrajectory(self.transformNode)
        self._ui.etaSlider.enabled = self._ui.playButton.enabled = ready
        if ready and self._logic.result(self.transformNode).eta != self._parameterNode.eta:
            self._tick.start()
        self._updateField()
        self._updateLayers()

    def tick(self):
        """Write the newest eta; the views render once, when the application's event loop comes to it."""
        if self._parameterNode is None or not self._logic.hasTrajectory(self.transformNode):
            return
        if (
            self._logic.setEta(self._parameterNode.eta, self.transformNode)
            and self._parameterNode.viewMode == ViewMode.jacobian
        ):
            self._rest.start()

    def showBackground(self, node):
        """A volume that was made, behind whatever else the views show."""
        self._layers.background(node)

    def leaveScene(self):
        """The scene is being closed, and all that the views show with it."""
        self.stop()
        self._layers.forget()

    def stop(self):
        """End playing and whatever waits to be done."""
        for timer in (self._tick, self._rest, self._frame):
            timer.stop()
        self._player.stop()
        self._ui.playButton.checked = False

    def clear(self):
        """Take what belongs to this module out of the views, and give them back what they showed before."""
        self.stop()
        self._layers.restore()

    def _updateField(self):
        node, parameters = self.transformNode, self._parameterNode
        self._ui.fieldColorButton.color = qt.QColor(parameters.fieldColor)
        self._ui.fieldColorButton.enabled = not parameters.fieldColorBySize
        wanted = (
            node and node.GetID(),
            parameters.fieldMode,
            parameters.fieldSpacing,
            parameters.fieldColorBySize,
            parameters.fieldColor,
        )
        if node is None or wanted == self._shownField:
            return
        self._ui.fieldSpacingSlider.minimum = math.ceil(10 * FieldDisplay.smallestSpacing(node)) / 10
        before = slicer.mrmlScene.GetNodeByID((self._shownField or [""])[0])
        if before is not None and before != node:
            FieldDisplay.show(before, False)
        self._shownField = wanted
        color = qt.QColor(parameters.fieldColor)
        FieldDisplay.show(
            node,
            parameters.fieldMode != FieldMode.off,
            glyphs=parameters.fieldMode == FieldMode.glyphs,
            spacing=parameters.fieldSpacing,
            color=None if parameters.fieldColorBySize else (color.redF(), color.greenF(), color.blueF()),
        )

    def _wantedLayers(self):
        p = self._parameterNode
        ids = [node and node.GetID() for node in (p.fixedVolume, p.movingVolume, self.transformNode)]
        # A report belongs to one registration, and the maps with it.
        return p.viewMode, p.blend, p.checkerSize, *ids, p.report

    def _updateLayers(self):
        parameters = self._parameterNode
        fixed, moving, mode = parameters.fixedVolume, parameters.movingVolume, parameters.viewMode
        self._ui.blendSlider.enabled = mode in (ViewMode.blend, *OVERLAYS)
        self._ui.checkerSizeSlider.enabled = mode == ViewMode.checkerboard
        self._ui.legendLabel.visible = mode in OVERLAYS
        wanted = self._wantedLayers()
        if wanted == self._shownLayers:
            return
        self._shownLayers = wanted
        if mode == ViewMode.keep or fixed is None or moving is None or fixed == moving:
            self._layers.restore()
        elif mode in OVERLAYS:
            self._showOverlay(mode.value)
        elif mode == ViewMode.blend:
            self._layers.blend(fixed, moving, parameters.blend)
        elif mode == ViewMode.checkerboard:
            self._layers.checkerboard(fixed, moving, parameters.checkerSize)
        else:
            self._layers.difference(fixed, moving)

    def _showOverlay(self, kind):
        self._ui.legendLabel.text = {
            "jacobian": _(
                "Jacobian of the map from fixed to moving points. Blue, below 1: the moving tissue is stretched. "
                "White: it keeps its volume. Red, 2 at its end: it is compressed."
            ),
            "uncertainty": _(
                "Dark: the images say where each point belongs. Bright: they leave it open; trust the deformation less."
            ),
        }[kind]
        key = self._mapKey(kind)
        node = self._maps.get(key)
        if node is not None and slicer.mrmlScene.IsNodePresent(node):
            self._layers.overlay(self._parameterNode.movingVolume, node, self._parameterNode.blend)
        elif self._logic.hasTrajectory(self.transformNode):
            self._startExport(kind, lambda finished: self._onOverlay(key, finished), quiet=True)

    def _mapKey(self, kind):
        return kind, self.transformNode and self.transformNode.GetID(), self._parameterNode.report

    def _onOverlay(self, key, node):
        if self._parameterNode is not None and self._mapKey(self._parameterNode.viewMode.value) == key:
            self._maps[key] = node
            self._layers.overlay(self._parameterNode.movingVolume, node, self._parameterNode.blend)

    def _onRest(self):
        if self._logic.running:
            self._rest.start()
        elif (
            self._parameterNode is not None and self._parameterNode.viewMode == ViewMode.jacobian and self._layers.shown
        ):
            self._maps.pop(self._mapKey("jacobian"), None)
            self._showOverlay("jacobian")

    def _onPlay(self, checked):
        self._ui.playButton.text = _("Stop") if checked else _("Play")
        if checked and self._parameterNode is not None and self._logic.hasTrajectory(self.transformNode):
            self._player.start(self.clock(), self._parameterNode.eta)
            self._frame.start()
        else:
            self._frame.stop()
            self._player.stop()

    def _onFrame(self):
        parameters = self._parameterNode
        if parameters is None or not self._player.playing or not self._logic.hasTrajectory(self.transformNode):
            self.stop()
            return
        self._player.seconds = parameters.playSeconds
        self._player.loop = parameters.playLoop
        self._player.thereAndBack = parameters.playThereAndBack
        parameters.eta = min(max(self._player.eta(self.clock()), 0.0), 1.0)
        if not self._player.playing:
            self._ui.playButton.checked = False

    def _onColor(self, color):
        if self._parameterNode is not None:
            self._parameterNode.fieldColor = color.name()
