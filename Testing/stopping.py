"""A command that is stopped in the middle: started, waited for, and gone in any case."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def begun(
    program: Sequence[str], arguments: Sequence[str], folder: Path, repository: Path
) -> Iterator[tuple[subprocess.Popen, Callable[[], bytes]]]:
    """A process in a folder that has come to a first place, and a function that waits until it comes to a next one.

    program : Python's own arguments. The program's first argument is the number of a pipe, into which it writes "." at
    each of these places; the others follow.
    """
    told, tell = os.pipe()
    process = subprocess.Popen(
        [sys.executable, *program, str(tell), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=(tell,),
    )
    os.close(tell)
    try:
        assert os.read(told, 1) == b".", process.communicate()
        yield process, lambda: os.read(told, 1)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
        os.close(told)
