import threading
import time
import traceback

from slicer.i18n import tr as _

from DiffuseMorphCore.errors import Cancelled


class BackgroundRun:
    """Work in a thread of its own, watched from the main thread by poll(). The work must not touch MRML, VTK or Qt.

    work: function of one argument, a progress callback (stage, fraction) that answers False once cancel() was called.
    weights: share of the time that each stage usually takes, {stage: share}, for the time left.
    deliver: function that turns the result of the work into what the user gets; take() calls it in the main thread.
    """

    def __init__(self, work, weights, deliver=lambda result: result):
        self.stage = ""
        self.fraction = 0.0
        self.error = None
        self._result = None
        self._deliver = deliver
        self.errorDetails = ""
        self.started = time.monotonic()
        self._weights = weights
        self._cancelled = threading.Event()
        self._finished = threading.Event()
        self._work = work
        self._thread = threading.Thread(target=self._do, name="DiffuseMorph", daemon=True)
        self._thread.start()

    def _do(self):
        try:
            self._result = self._work(self._progress)
        except BaseException as error:  # whatever happened is told by the main thread
            self.error = error
            self.errorDetails = traceback.format_exc()
            # The frames of the traceback would keep the images and the network alive as long as the error.
            self.error.__traceback__ = None
        finally:
            self._work = None
            self._finished.set()

    def _progress(self, stage, fraction):
        self.stage = stage
        total = sum(self._weights.values()) or 1.0
        before = 0.0
        for name, weight in self._weights.items():
            if name == stage:
                self.fraction = max(self.fraction, (before + weight * fraction) / total)
                break
            before += weight
        return not self._cancelled.is_set()

    def cancel(self):
        """Ask the work to stop; it does at its next progress report."""
        self._cancelled.set()

    @property
    def cancelled(self):
        """Whether cancel() was called or the work ended because of it."""
        return self._cancelled.is_set() or isinstance(self.error, Cancelled)

    def poll(self, seconds=0.0):
        """Whether the work has ended; waits for that as long as `seconds`.

        The short wait gives the interpreter to the other thread: while the application sits in Qt's event loop without
        running Python code it may keep the interpreter's lock, and a Python thread would stand still.
        """
        return self._finished.wait(seconds)

    def take(self):
        """What the finished work gives, once and in the main thread; raises what the work raised.

        Raises Cancelled after cancel(), although the work may have come to its end before it noticed.
        """
        result, self._result = self._result, None
        if self.error is not None:
            raise self.error
        if self._cancelled.is_set():
            raise Cancelled(_("The work was stopped."))
        return self._deliver(result)

    def wait(self, idle=None):
        """Wait for the end, calling idle() meanwhile and at least once, and take the result."""
        while True:
            if idle is not None:
                idle()
            if self.poll(0.02):
                return self.take()

    @property
    def seconds(self):
        return time.monotonic() - self.started

    @property
    def secondsLeft(self):
        """Estimated seconds to the end, or None while too little is done to tell."""
        if self.fraction < 0.03:
            return None
        return self.seconds * (1.0 - self.fraction) / self.fraction
