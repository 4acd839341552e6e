"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def completed(path: str | Path) -> Iterator[Path]:
    """A name beside ``path``, with its extension, to write to; the file gets its own name when the block ends well.

    Until then, and after an error, ``path`` holds what it held before, and nothing temporary is left. The folder is
    made where it is missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}.part.{path.name}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
