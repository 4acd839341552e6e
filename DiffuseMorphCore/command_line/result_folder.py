"""A folder of results that stays the folder it is, and holds complete results only."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from DiffuseMorphCore.errors import Cancelled, DiffuseMorphError
from DiffuseMorphCore.files import printable, system_reason
from DiffuseMorphCore.images.names import itk_name

WORK = ".diffusemorph-work"
"""The hidden folder, in the folder of results, that holds them until they are complete, and the lock."""
UNFINISHED = ".diffusemorph-unfinished"
"""The hidden folder, in the folder of results, where long jobs keep what is done, so that they can go on."""
LAST = "report.json"
"""The file that gets its name last: where it is, the result is complete."""


@contextmanager
def complete_folder(path: str | Path, overwrite: bool, is_result: Callable[[str], bool]) -> Iterator[Path]:
    """Give a hidden folder inside `path` to write into; what it holds gets its place when the block ends well.

    The folder keeps its owner, mode and identity; one that is missing is made, with those above it, and removed again
    where the block fails. It is locked meanwhile. Files are renamed into place one by one, LAST at last. A folder that
    holds something is refused before any work starts, unless `overwrite`: then former results, those whose names
    `is_result` knows, make room at the end, and files of other making are kept. What cannot get its place, because
    somebody else put a file there meanwhile, is kept in a folder beside it.

    Raises
    ------
    DiffuseMorphError : `path` is a file, holds something, is in use by another process, cannot be made or written to.
    """
    target = Path(itk_name(os.path.realpath(itk_name(path))))
    shown = printable(path)
    if os.path.exists(target) and not os.path.isdir(target):
        raise DiffuseMorphError(f"The output '{shown}' is a file: name a new folder.")
    if not overwrite:
        _check_empty(target, shown)
    made: list[Path] = []
    try:
        _make(target, made, shown)
        with locked_folder(target, shown) as work:
            _recover(target, work, is_result)
            if not overwrite:
                _check_empty(target, shown)
            new = work / "new"
            new.mkdir()
            with _final_names(new, shown):
                yield new
            _put_in_place(new, target, overwrite, is_result, shown)
    except BaseException:
        for folder in reversed(made):
            with suppress(OSError):  # somebody else may have put something there meanwhile
                folder.rmdir()
        raise


@contextmanager
def _final_names(new: Path, shown: str) -> Iterator[None]:
    """Let messages name files where they would be, not in the hidden folder."""
    try:
        yield
    except Cancelled:
        raise
    except DiffuseMorphError as error:
        text = str(error).replace(printable(new), shown)
        raise (error if text == str(error) else DiffuseMorphError(text)) from error.__cause__
    except OSError as error:
        if not str(error.filename).startswith(str(new)):
            raise
        place = printable(error.filename).replace(printable(new), shown)
        raise DiffuseMorphError(f"The file '{place}' cannot be written: {system_reason(error)}.") from error


def check_inputs_stay(path: str | Path, files: dict[str, str], is_result: Callable[[str], bool]) -> None:
    """Refuse a folder whose former results, which make room for the new ones, are inputs of the same job.

    Raises DiffuseMorphError naming the file.
    """
    target = os.path.realpath(itk_name(path))
    for role, file in files.items():
        inside = os.path.relpath(os.path.realpath(file), target).split(os.sep)
        if is_result(inside[0]):
            raise DiffuseMorphError(
                f"The {role.replace('_', ' ')} '{printable(file)}' lies in the output folder under the "
                "name of a result, and would be replaced: name another output folder."
            )


def _check_empty(target: Path, shown: str) -> None:
    try:
        full = any(name not in (WORK, UNFINISHED) for name in os.listdir(target))
    except OSError:  # it is not there yet, or cannot be made: what comes next says so
        return
    if full:
        raise DiffuseMorphError(
            f"The output folder '{shown}' exists and is not empty: name another, or give --overwrite."
        )


def _make(target: Path, made: list[Path], shown: str) -> None:
    try:
        for folder in (*reversed(target.parents), target):
            if not folder.exists():
                folder.mkdir(exist_ok=True)
                made.append(folder)
    except OSError as error:
        raise DiffuseMorphError(
            f"The output folder '{shown}' cannot be made ({system_reason(error)}): name one where you may write."
        ) from error


@contextmanager
def locked_folder(target: Path, shown: str) -> Iterator[Path]:
    """The folder WORK, which only this process has while the block runs; it is gone afterwards."""
    work = target / WORK
    try:
        lock = _lock(work)
    except Timeout:
        raise DiffuseMorphError(
            f"The output folder '{shown}' is being written to by another process: wait for it, or name another folder."
        ) from None
    except OSError as error:
        raise DiffuseMorphError(
            f"The output folder '{shown}' may not be written to ({system_reason(error)}): name one where you may write."
        ) from error
    try:
        yield work
    finally:
        _remove(work)
        left = work.exists()  # some systems keep the file of a lock that is held
        lock.release()
        if left:
            _remove(work)


def _lock(work: Path) -> FileLock | SoftFileLock:
    """A lock that is held, on a file in the folder `work`, which is made. Raises Timeout where another process has
    it.
    """
    while True:
        work.mkdir(exist_ok=True)
        try:
            lock = FileLock(work / "lock")
            lock.acquire(timeout=0)
        except FileNotFoundError:  # the process before has just removed its folder
            continue
        except NotImplementedError:  # a file system without locks
            lock = SoftFileLock(work / "lock")
            lock.acquire(timeout=0)
        if (work / "lock").exists():
            return lock
        lock.release()


def _recover(target: Path, work: Path, is_result: Callable[[str], bool]) -> None:
    """Undo what a process that was killed has left behind."""
    former = work / "former"
    if former.is_dir() and any(former.iterdir()):
        _roll_back(
            target, former, [entry for entry in target.iterdir() if entry.name != WORK and is_result(entry.name)]
        )
    _remove(former)
    _remove(work / "new")


def _put_in_place(new: Path, target: Path, overwrite: bool, is_result: Callable[[str], bool], shown: str) -> None:
    former = new.with_name("former")
    former.mkdir()
    placed: list[Path] = []
    try:
        for entry in sorted(target.iterdir(), key=lambda each: each.name != LAST):
            if overwrite and entry.name not in (WORK, UNFINISHED) and is_result(entry.name):
                entry.rename(former / entry.name)
        for entry in sorted(new.iterdir(), key=lambda each: each.name == LAST):
            place = target / entry.name
            if place.exists() or place.is_symlink():
                raise FileExistsError(0, f"'{entry.name}' appeared there meanwhile")
            entry.rename(place)
            placed.append(place)
    except OSError as error:
        for place in reversed(placed):
            place.rename(new / place.name)
        _roll_back(target, former, [])
        aside = _kept_aside(new, target)
        raise DiffuseMorphError(
            f"The output folder '{shown}' could not take the result ({system_reason(error)}): "
            f"the complete result is in '{printable(aside)}' instead."
        ) from error
    except BaseException:
        for place in reversed(placed):
            place.rename(new / place.name)
        _roll_back(target, former, [])
        raise


def _kept_aside(new: Path, target: Path) -> Path:
    """A folder of its own for a result that found its place taken."""
    for number in range(1, 1000):
        for aside in (target / f"result-{number}", target.with_name(f"{target.name}-{number}")):
            with suppress(OSError):
                if not aside.exists():
                    new.rename(aside)
                    return aside
    raise DiffuseMorphError(f"The result could not be put anywhere in '{printable(target)}': give another folder.")


def _roll_back(target: Path, former: Path, doubtful: list[Path]) -> None:
    for entry in doubtful:
        _remove(entry)
    for entry in sorted(former.iterdir(), key=lambda each: each.name == LAST):
        entry.rename(target / entry.name)


def _remove(path: Path) -> None:
    """Remove a file or a folder with all in it, also what its owner has protected."""

    def open_and_try_again(function: Callable[[str], object], name: str, _: object) -> None:
        with suppress(OSError):
            os.chmod(os.path.dirname(name), stat.S_IRWXU)
            os.chmod(name, stat.S_IRWXU)
            (shutil.rmtree(name, ignore_errors=True) if function in (os.scandir, os.open, os.lstat) else function(name))

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=open_and_try_again)
    else:
        with suppress(OSError):
            path.unlink()


def remove_unfinished(path: str | Path) -> None:
    """Remove what a job that is complete now kept to go on with."""
    _remove(Path(itk_name(path)) / UNFINISHED)
