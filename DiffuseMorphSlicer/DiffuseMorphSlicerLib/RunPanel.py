import logging
import time

import qt
import slicer
from slicer.i18n import tr as _

from DiffuseMorphCore.errors import DiffuseMorphError

from .TorchProvider import TorchProvider

POLL_MILLISECONDS = 10
POLL_WAIT_SECONDS = 0.025
# Importing PyTorch and a call of the network cannot be interrupted. The panel need not wait for them: a cancelled run
# changes nothing, and ends by itself at its next step.
PATIENCE_SECONDS = 1.5


class RunPanel:
    """Progress bar, time left, Cancel and the status line: what the user sees of a BackgroundRun."""

    def __init__(self, ui, onStateChanged, clock=time.monotonic):
        """onStateChanged: called without arguments when a run begins and when it has ended. clock: gives seconds."""
        self._ui = ui
        self._onStateChanged = onStateChanged
        self.clock = clock
        self._run = self._done = None
        self._beginning = False
        self._endText = ""
        self._cancelledAt = 0.0
        self._timer = qt.QTimer()
        self._timer.interval = POLL_MILLISECONDS
        self._timer.connect("timeout()", self.poll)
        ui.cancelButton.connect("clicked(bool)", lambda *_clicked: self.cancel())
        self.stages = {
            "prepare": _("Preparing the images"),
            "align": _("Aligning"),
            "predict": _("Running the network"),
            "refine": _("Refining"),
            "frames": _("Registering the frames"),
            "smooth": _("Smoothing in time"),
            "deliver": _("Computing the results"),
            "display": _("Preparing the display"),
            "synthesize": _("Drawing the image"),
            "uncertainty": _("Measuring the uncertainty"),
        }

    @property
    def busy(self):
        return self._beginning or self._run is not None

    def say(self, text):
        self._ui.statusLabel.text = text

    def attempt(self, begin, done, quiet=False):
        """begin: function that starts and returns a BackgroundRun. done: called with what the run gives.

        quiet: the status line says at the end what it said before, for work that the user asked for by no button.

        Returns whether it started; what hinders it is said in the status line. While it begins PyTorch may be
        installed, which takes minutes in which every button of the application can be pressed.
        """
        if self.busy:
            return False
        self._beginning = True
        self._endText = self._ui.statusLabel.text if quiet else _("Done.")
        installed = TorchProvider.installed()
        self.say(_("Starting") if installed else _("Installing PyTorch, this takes some minutes"))
        self._onStateChanged()
        slicer.app.setOverrideCursor(qt.Qt.WaitCursor)
        try:
            self._run = begin()
        except DiffuseMorphError as error:
            self.say(str(error))
            return False
        finally:
            slicer.app.restoreOverrideCursor()
            self._beginning = False
            if self._run is None:
                self._onStateChanged()
        self._done = done
        self._ui.progressBar.value = 0
        self._ui.progressBar.visible = self._ui.cancelButton.visible = True
        self._ui.cancelButton.enabled = True
        self.say(_("Starting"))
        self._timer.start()
        self._onStateChanged()
        return True

    def cancel(self):
        if self._run is not None:
            self._run.cancel()
            self._cancelledAt = self.clock()
            self._ui.cancelButton.enabled = False
            self.say(_("Stopping"))

    def abandon(self):
        """Stop the run and never take its result, because the scene it belongs to is gone."""
        if self._run is not None:
            self._run.cancel()
            self._end("")

    def poll(self):
        run = self._run
        if run is None:
            return
        ended = run.poll(POLL_WAIT_SECONDS)
        if not ended and not (run.cancelled and self.clock() - self._cancelledAt > PATIENCE_SECONDS):
            self._showProgress(run)
            return
        if run.cancelled:
            self._end(_("Cancelled. The scene is as it was."))
            return
        try:
            done, result = self._done, run.take()
        except Exception as error:
            # What the user can put right is no fault of the program.
            if not isinstance(error, DiffuseMorphError):
                logging.error(run.errorDetails or str(error))
            self._end(TorchProvider.explain(error))
            return
        self._end(self._endText)
        done(result)

    def _showProgress(self, run):
        self._ui.progressBar.value = int(100 * run.fraction)
        if run.cancelled:
            return
        stage = self.stages.get(run.stage, run.stage)
        left = run.secondsLeft
        if left is not None:
            stage = _("{stage}: about {seconds:.0f} s left").format(stage=stage, seconds=max(left, 1.0))
        if self._ui.statusLabel.text != stage:
            self.say(stage)

    def _end(self, text):
        self._timer.stop()
        self._run = self._done = None
        self._ui.progressBar.visible = self._ui.cancelButton.visible = False
        self.say(text)
        TorchProvider.releaseMemory()
        self._onStateChanged()
