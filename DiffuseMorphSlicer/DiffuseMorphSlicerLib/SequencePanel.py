import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from DiffuseMorphCore.errors import DiffuseMorphError

from .SequenceText import SequenceText


class SequencePanel(VTKObservationMixin):
    """Registering a sequence, and its two sliders: the browser's frame, and eta. The newest values win."""

    def __init__(self, ui, logic, runPanel):
        VTKObservationMixin.__init__(self)
        self._ui, self._logic, self._runPanel = ui, logic, runPanel
        self._parameterNode = self._browser = self._shownReport = self._wantedFrame = None
        self._updating = False
        self._tick = qt.QTimer()
        self._tick.interval = 0
        self._tick.singleShot = True
        self._tick.connect("timeout()", self.tick)
        ui.registerSequenceButton.connect("clicked(bool)", lambda *_clicked: self.onRegister())
        ui.sequenceFrameSlider.connect("valueChanged(double)", self._onSlider)
        ui.sequencePlayButton.connect("toggled(bool)", self._onPlay)

    def setParameterNode(self, parameterNode):
        self._parameterNode = parameterNode
        self._tick.stop()
        self._watch(None)

    def clear(self):
        self.setParameterNode(None)

    def update(self):
        """Bring the widgets to what the parameter node and the browser say."""
        p = self._parameterNode
        if p is None:
            return
        if p.sequenceBrowser is not self._browser:
            self._watch(p.sequenceBrowser)
            p.sequenceEta = self._logic.sequences.eta(self._browser) if self._browser is not None else 1.0
        missing = _("Computing") if self._runPanel.busy else ""
        if not missing and self._browser is None:
            missing = _("Select a sequence")
        self._ui.registerSequenceButton.enabled = not missing
        self._ui.registerSequenceButton.text = missing or _("Register sequence")
        registered = self._logic.sequences.isRegistered(self._browser)
        self._ui.sequenceEtaSlider.enabled = registered
        if registered and self._logic.sequences.eta(self._browser) != p.sequenceEta:
            self._tick.start()
        if self._shownReport != p.sequenceReport:
            self._shownReport = p.sequenceReport
            self._ui.sequenceResultLabel.text = SequenceText.toHtml(p.sequenceReport)
        self._updateFrame()

    def tick(self):
        """Write the newest frame and eta; the views render once, when the application's event loop comes to it."""
        p, browser = self._parameterNode, self._browser
        if p is None or browser is None or not slicer.mrmlScene.IsNodePresent(browser):
            return
        number, self._wantedFrame = self._wantedFrame, None
        if number is not None and number < browser.GetNumberOfItems():
            browser.SetSelectedItemNumber(number)
        if self._logic.sequences.isRegistered(browser):
            try:
                self._logic.sequences.setEta(p.sequenceEta, browser)
            except DiffuseMorphError as error:
                self._runPanel.say(str(error))

    def onRegister(self):
        p = self._parameterNode
        self._runPanel.attempt(
            lambda: self._logic.sequences.start(
                p.sequenceBrowser,
                reference=p.sequenceReference.value,
                periodic=p.sequencePeriodic,
                smoothing=p.sequenceSmoothing,
                align=p.sequenceAlignment.value,
                makeVolumes=p.sequenceVolumes,
                labels=p.sequenceLabels,
                labelsFrame=p.sequenceLabelsFrame.value,
                device=p.device,
                refine="auto" if p.refinement < 0 else p.refinement,
                quality=p.quality.value,
                # Frames of one scan have one contrast unless the user says otherwise.
                modality="different" if p.modality.value == "different" else "same",
            ),
            lambda result: self.update(),
        )

    def _watch(self, browser):
        self.removeObservers()
        self._browser, self._wantedFrame = browser, None
        if browser is not None:
            self.addObserver(browser, vtk.vtkCommand.ModifiedEvent, lambda *_: self._updateFrame())
        self._updateFrame()

    def _updateFrame(self):
        slider, play, browser = self._ui.sequenceFrameSlider, self._ui.sequencePlayButton, self._browser
        count = browser.GetNumberOfItems() if browser is not None else 0
        slider.enabled = play.enabled = count > 1
        self._updating = True
        try:
            slider.maximum = max(count - 1, 1)
            if self._wantedFrame is None:
                slider.value = max(browser.GetSelectedItemNumber(), 0) if browser is not None else 0
            play.checked = browser is not None and browser.GetPlaybackActive()
            play.text = _("Stop") if play.checked else _("Play frames")
        finally:
            self._updating = False

    def _onSlider(self, value):
        if not self._updating and self._browser is not None:
            self._wantedFrame = int(round(value))
            self._tick.start()

    def _onPlay(self, checked):
        if not self._updating and self._browser is not None:
            self._browser.SetPlaybackActive(checked)
