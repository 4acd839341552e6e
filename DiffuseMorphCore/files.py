"""Files that appear whole or not at all, and how texts name them."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from DiffuseMorphCore.errors import DiffuseMorphError


@contextmanager
def completed(path: str | Path, make_folder: bool = False) -> Iterator[Path]:
    """A name beside ``path``, with its extension, to write to; the file gets its own name when the block ends well.

    Until then, and after an error, ``path`` holds what it held before, and nothing temporary is left.

    make_folder : make the folder where it is missing. A folder that a user has named is better refused, as it may be
        mistyped.
    """
    path = Path(path)
    if make_folder:
        path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}.part.{path.name}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, text: str, kind: str = "file") -> None:
    """Write a text file (UTF-8, its line ends as they are) whole or not at all.

    kind : what messages call it. Raises DiffuseMorphError where it cannot be written.
    """
    try:
        with completed(path) as part:
            part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
    except OSError as error:
        raise DiffuseMorphError(f"The {kind} '{printable(path)}' cannot be written: {system_reason(error)}.") from error


def printable(name: str | Path) -> str:
    """A name as it can be printed and encoded anywhere, its odd bytes and control characters as escapes."""
    text = str(name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def system_reason(error: OSError) -> str:
    """What the system has against a file, as the end of a sentence."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def reason_not_written(error: Exception, folder: Path, size: int) -> str:
    """Why a file of ``size`` bytes could not be written into ``folder``, as the end of a sentence: what the system
    says, or finds when asked for so many bytes; else what the writer said.
    """
    if isinstance(error, OSError):
        return system_reason(error)
    return fault_of_place(folder, size) or first_line(error)


def first_line(error: BaseException) -> str:
    """What an error says, without what follows in further lines; its type where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def fault_of_place(folder: Path, size: int) -> str | None:
    """What keeps a folder from taking a file of so many bytes, if anything."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            _reserve(file, max(size, 1))
    except OSError as error:
        return system_reason(error)
    return None


def _reserve(file: BinaryIO, size: int) -> None:
    """Make a file so long, on the disk and not only by name. Raises OSError where there is no room."""
    try:
        os.posix_fallocate(file.fileno(), 0, size)
        return
    except AttributeError:  # Windows, macOS
        pass
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    for start in range(0, size, 1 << 20):
        file.write(bytes(min(1 << 20, size - start)))
    file.flush()
    os.fsync(file.fileno())
