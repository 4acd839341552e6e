"""Text for the terminal, which may be closed, full, or know few characters: it never decides how a job ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def say(text: str) -> None:
    """Print a line on stdout, where that is possible."""
    try:
        print(text, flush=True)
    except (OSError, ValueError):
        flush_stdout()


def say_fault(text: str) -> None:
    """Print a line on stderr, where that is possible."""
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


@contextmanager
def any_characters() -> Iterator[None]:
    """Let stdout and stderr show what they have no character for as an escape, in place of failing."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if hasattr(stream, "reconfigure")]
    before = [stream.errors for stream in streams]
    for stream in streams:
        with suppress(OSError, ValueError):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors=errors)


def flush_stdout() -> OSError | None:
    """Write out what is left for stdout; where nobody takes it, send it nowhere, so that Python's end does not fail
    too.

    Returns the error, None where all went well.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
        return None
    except (OSError, ValueError) as error:
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
            sys.stdout.flush()
        return error if isinstance(error, OSError) else None


def occupy_standard_streams() -> None:
    """Open nothing under the numbers of stdin, stdout and stderr where they are closed: an image file must not get one,
    since libraries would print their warnings into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
