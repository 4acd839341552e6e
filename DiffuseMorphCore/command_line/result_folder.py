"""A folder of results that is complete or absent."""
from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from DiffuseMorphCore.errors import DiffuseMorphError


@contextmanager
def complete_folder(path: str | Path, overwrite: bool, is_result: Callable[[str], bool]) -> Iterator[Path]:
    """Give a hidden folder beside `path` to write into; it becomes `path` when the block ends well, else it is removed.

    A folder that exists and holds something is refused before any work starts, unless `overwrite`; then it is replaced
    at the end, and of what it held only former results, those whose names `is_result` knows, are dropped: files of
    other making are kept. Folders above `path` are made, and removed again where the block fails.

    Raises DiffuseMorphError where `path` is a file, holds something, or cannot be made.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_dir():
        raise DiffuseMorphError(f"The output '{path}' is a file: name a new folder.")
    if not overwrite and target.is_dir() and any(target.iterdir()):
        raise DiffuseMorphError(f"The output folder '{path}' exists and is not empty: "
                                "name another, or give --overwrite.")
    made: list[Path] = []
    part: Path | None = None
    try:
        try:
            _make_above(target, made)
            part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        except OSError as error:
            raise DiffuseMorphError(f"The output folder '{path}' cannot be made ({error.strerror or error}): "
                                    "name one where you may write.") from error
        yield part
        _open_to_others(part)
        _put_in_place(part, target, is_result)
    except BaseException:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        for folder in reversed(made):
            folder.rmdir()
        raise


def _make_above(target: Path, made: list[Path]) -> None:
    for folder in reversed(target.parents):
        if not folder.exists():
            folder.mkdir()
            made.append(folder)


def _open_to_others(folder: Path) -> None:
    # A temporary folder is private; the result gets the permissions that any new folder of the user has.
    mask = os.umask(0)
    os.umask(mask)
    folder.chmod(0o777 & ~mask)


def _put_in_place(part: Path, target: Path, is_result: Callable[[str], bool]) -> None:
    try:
        if not target.exists():
            part.rename(target)
            return
        former = part.with_suffix(".former")
        target.rename(former)
    except OSError as error:
        raise DiffuseMorphError(f"The output folder '{target}' cannot be replaced ({error.strerror or error}): "
                                "name a new folder, for example inside it.") from error
    try:
        part.rename(target)
    except BaseException:
        former.rename(target)
        raise
    for entry in former.iterdir():
        if not is_result(entry.name) and not (target / entry.name).exists():
            entry.rename(target / entry.name)
    shutil.rmtree(former)
