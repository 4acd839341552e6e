class EtaPlayer:
    """Where eta stands while it plays: a function of time alone, so that a slow computer skips frames, not time."""

    def __init__(self, seconds=4.0, loop=True, thereAndBack=True):
        """seconds: one way from 0 to 1. loop: begin again at the end. thereAndBack: turn round at 1."""
        self.seconds = seconds
        self.loop = loop
        self.thereAndBack = thereAndBack
        self._started = None
        self._offset = 0.0

    @property
    def playing(self):
        return self._started is not None

    def start(self, now, eta):
        """Play from eta on, now in seconds; from 0 when there is nothing left to play."""
        self._offset = 0.0 if eta >= 1.0 and not self.thereAndBack else eta
        self._started = now

    def stop(self):
        self._started = None

    def eta(self, now):
        """Eta at the time now; stops by itself at the end when it does not loop."""
        position = self._offset + (now - self._started) / self.seconds
        length = 2.0 if self.thereAndBack else 1.0
        if not self.loop and position >= length:
            self.stop()
            return 0.0 if self.thereAndBack else 1.0
        position %= length
        return 2.0 - position if position > 1.0 else position
