"""What happens on the terminal while a job runs: progress bars, signals, and silence from the libraries."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tqdm import tqdm


class ProgressBar:
    """A progress callback: one bar a stage on stderr, with the time left; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._stage: str | None = None
        self._bar: tqdm | None = None
        self._disabled = None if sys.stderr is not None else True  # None: where there is no terminal

    def __call__(self, stage: str, fraction: float) -> None:
        if stage != self._stage:
            self.close()
            self._stage = stage
            self._bar = tqdm(
                total=100,
                desc=f"{stage:<8}",
                leave=False,
                disable=self._disabled,
                file=sys.stderr,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed} so far, {remaining} left",
            )
        try:
            self._bar.update(100 * fraction - self._bar.n)
        except (OSError, ValueError):  # the terminal was closed: the job goes on
            self._bar, self._disabled = tqdm(total=100, disable=True), True

    def close(self) -> None:
        """Remove the bar from the terminal."""
        if self._bar is not None:
            with suppress(OSError, ValueError):
                self._bar.close()
            self._bar = None
            self._stage = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into one KeyboardInterrupt, so that whatever was begun is cleaned up once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _stop_signals()}

    def stop(*_: object) -> None:
        # A second signal must not interrupt the cleaning up after the first.
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:  # as nohup sets it
                signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


@contextmanager
def signals_noted() -> Iterator[list[int]]:
    """Inside `stopped_by_signals`: the first signal is put into the list given, only the next one stops the block."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {number: signal.getsignal(number) for number in _stop_signals()}

    def note(number: int, _: object) -> None:
        noted.append(number)
        for other, handler in before.items():
            signal.signal(other, handler)

    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, note)
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def library_messages_hidden(hidden: bool = True) -> Iterator[None]:
    """Keep what C and C++ libraries write to stderr away from the user; what Python writes there goes through.

    The image libraries print warnings about files that are refused, or read well, anyway.
    """
    if not hidden or sys.stderr is None:
        yield
        return
    python_stderr = sys.stderr
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        if _writes_to(python_stderr, 2):
            sys.stderr = os.fdopen(os.dup(kept), "w", buffering=1, encoding=python_stderr.encoding, errors="replace")
        yield
    finally:
        if sys.stderr is not python_stderr:
            sys.stderr.close()
            sys.stderr = python_stderr
        os.dup2(kept, 2)
        os.close(kept)


def _stop_signals() -> list[signal.Signals]:
    # Windows has no SIGHUP.
    return [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _writes_to(stream: object, descriptor: int) -> bool:
    try:
        return stream.fileno() == descriptor
    except (AttributeError, io.UnsupportedOperation, ValueError):
        return False
