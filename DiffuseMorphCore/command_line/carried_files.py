"""The files that `diffusemorph apply` carries along: read one by one, moved, and written all or none."""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import system_reason
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import image_suffix, itk_name, keeps, printable, read_image, write_complete, write_image
from DiffuseMorphCore.images.formats import WRITABLE
from DiffuseMorphCore.images.kinds import is_segmentation
from DiffuseMorphCore.points import is_point_file, point_suffix, read_points
from DiffuseMorphCore.progress import Progress, advance
from DiffuseMorphCore.registration.chain import Chain
from DiffuseMorphCore.registration.resampling import chosen_interpolation, one_frame, resample
from DiffuseMorphCore.registration.transform_files import FORMATS, write_transforms
from DiffuseMorphCore.transforms import transform_points

_DOUBLE = re.compile(r"\.(seg|seq)\.nrrd$", re.IGNORECASE)
"""Extensions by which 3D Slicer tells segmentations and sequences."""
_OF_THE_GRID = re.compile(r"Segment\d+_Extent$|Segmentation_(ReferenceImageExtentOffset|ConversionParameters)$")
"""What a segmentation's header says of the grid that it lay on."""


@dataclass(frozen=True)
class Job:
    """One file to carry: where it is, and where it goes. exact : the name is the user's own, with its format."""

    source: Path
    target: Path
    exact: bool


def planned(
    sources: Sequence[str], output: str | None, overwrite: bool, format: str | None = None
) -> tuple[list[Job], Path]:
    """Where each file goes, and the folder that they go to; with a format, so do the files of the transforms.

    Raises
    ------
    DiffuseMorphError : a file that is not there, two that would get one name, one that exists and may not be replaced,
        or an output that is one of the inputs, or no format.
    """
    paths = [Path(itk_name(source)) for source in sources]
    for path in paths:
        if not path.exists():
            raise DiffuseMorphError(f"There is no file or folder '{printable(path)}': check what follows --to.")
    single = (
        output is not None and len(paths) == 1 and format is None and _is_file_name(Path(itk_name(output)), paths[0])
    )
    folder = Path(itk_name(output)) if output is not None and not single else Path()
    if folder.exists() and not folder.is_dir():
        raise DiffuseMorphError(f"The output '{printable(folder)}' is a file: name a folder for several files.")
    targets = [Path(output)] if single else [folder / _moved_name(path) for path in paths]
    for number, (path, target) in enumerate(zip(paths, targets)):
        if target in targets[:number]:
            other = paths[targets.index(target)]
            raise DiffuseMorphError(
                f"'{printable(other)}' and '{printable(path)}' would both become '{printable(target)}': apply them one "
                "after the other, to different folders."
            )
        if any(target.exists() and target.samefile(each) for each in paths):
            raise DiffuseMorphError(f"The output '{printable(target)}' is one of the inputs: name another.")
        _check_free(target, overwrite)
    for name in FORMATS[format] if format else ():
        _check_free(folder / name, overwrite)
    return [Job(path, target, single) for path, target in zip(paths, targets)], targets[0].parent if single else folder


def _is_file_name(output: Path, source: Path) -> bool:
    """Whether an output names the one file to write, and not a folder."""
    if output.is_dir():
        return False
    if is_point_file(source):
        if output.name.lower().endswith(suffix := point_suffix(source)):
            return True
        if output.suffix:
            raise DiffuseMorphError(
                f"The points of '{printable(source)}' stay in their format: name a folder, or a file with the "
                f"extension {suffix}, not '{printable(output)}'."
            )
        return False
    if is_point_file(output) and image_suffix(output) not in WRITABLE:
        raise DiffuseMorphError(
            f"The image '{printable(source)}' cannot become points: name a folder, or a file with the extension of an "
            f"image, not '{printable(output)}'."
        )
    return image_suffix(output) in WRITABLE or bool(output.suffix and output.is_file())


def _moved_name(path: Path) -> str:
    """The name of a file when it was moved, with its extension; a folder's with that of a volume."""
    name = path.absolute().name
    if path.is_dir():
        return f"{name}_moved.nii.gz"
    double = _DOUBLE.search(name)
    if is_point_file(path):
        suffix = name[len(name) - len(point_suffix(path)) :]
    else:
        suffix = double.group() if double else name[len(name) - len(image_suffix(name)) :]
    stem = name[: len(name) - len(suffix)]
    known = is_point_file(path) or suffix.lower() in WRITABLE or double
    return f"{stem}_moved{suffix if known else '.nii.gz'}"


def _check_free(target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise DiffuseMorphError(f"'{printable(target)}' is a folder, where a file has to go: name another output.")
    if target.exists() and not overwrite:
        raise DiffuseMorphError(f"The file '{printable(target)}' exists: name another output, or give --overwrite.")


@dataclass
class Carrier:
    """Carries files through a chain, as the arguments of the command say."""

    chain: Chain
    arguments: argparse.Namespace
    notes: list[str] = field(default_factory=list)

    def write_all(
        self, jobs: Sequence[Job], output: Path, progress: Progress | None
    ) -> tuple[list[tuple[Path, str]], list[str]]:
        """Write all files, or none where one of them fails. Returns what was written and how, and notes.

        Raises DiffuseMorphError naming the file at fault; Cancelled when ``progress`` cancels.
        """
        written = []
        where = _existing(output)
        try:
            with tempfile.TemporaryDirectory(prefix=".diffusemorph-", dir=where, ignore_cleanup_errors=True) as hidden:
                staged: list[tuple[Path, Path]] = []
                for number, job in enumerate(jobs):
                    folder = Path(hidden) / str(number)
                    folder.mkdir()

                    def step(fraction: float) -> None:
                        advance(progress, "apply", (number + fraction) / len(jobs))

                    step(0.0)
                    name, what = self._carry(job, folder, step)
                    target = job.target.with_name(name)
                    _check_free(target, self.arguments.overwrite)
                    staged.append((folder / name, target))
                    written.append((target, what))
                if self.arguments.format:
                    for name in self._write_transforms(Path(hidden)):
                        staged.append((Path(hidden) / name, output / name))
                        written.append((output / name, f"format {self.arguments.format}"))
                advance(progress, "apply", 1.0)
                for part, target in staged:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(part, target)
        except OSError as error:
            raise DiffuseMorphError(
                f"The output cannot be written into '{printable(output)}': {system_reason(error)}."
            ) from error
        return written, self.notes

    def _write_transforms(self, folder: Path) -> list[str]:
        """The transforms of the whole chain, from where images arrive to where they come from, and back."""
        ends = (self.chain.start, self.chain.end)
        grids = ends[::-1] if self.arguments.inverse else ends
        return write_transforms(folder, self._forth, self._back, *grids, self.arguments.format)

    def _carry(self, job: Job, folder: Path, step: Callable[[float], None]) -> tuple[str, str]:
        """Write the moved file into a folder; its name there, and in words how it was moved."""
        if is_point_file(job.source):
            return job.target.name, self._carry_points(job, folder / job.target.name)
        name = f"image '{printable(job.source)}'"
        image = read_image(job.source, self.notes, self.arguments.resample_slices)
        while image.GetDimension() > self.chain.ndim and image.GetSize()[-1] == 1:
            image = sitk.Extract(image, [*image.GetSize()[:-1], 0])
        how = chosen_interpolation(image, self.arguments.interpolation)
        found = resample(image, self._reference, self._forth, how, self.arguments.fill, name, step)
        target = job.target
        if is_segmentation(image) and image_suffix(target) == ".nrrd":
            _keep_segments(image, found)
        if not job.exact and not keeps(image_suffix(target), found):
            target = target.with_name(target.name[: len(target.name) - len(image_suffix(target))] + ".nrrd")
            self.notes.append(
                f"{printable(target.name)} is in the format .nrrd, because {image_suffix(job.target)} cannot hold its "
                "numbers or its position exactly."
            )
        write_image(found, folder / target.name)
        return target.name, f"{how} interpolation"

    def _carry_points(self, job: Job, target: Path) -> str:
        found = read_points(job.source, self.arguments.points_in)
        if found.points.shape[1] != self.chain.ndim:
            raise DiffuseMorphError(
                f"The points of '{printable(job.source)}' are {found.points.shape[1]}-D, but the transform is "
                f"{self.chain.ndim}-D."
            )
        moved = transform_points(self._back, found.points)
        grid = self._grid
        write_complete(target, lambda part: found.write(part, moved, grid))
        return f"{len(moved)} points"

    @cached_property
    def _forth(self) -> sitk.Transform:
        """From where images arrive to where they come from."""
        return self.chain.backward() if self.arguments.inverse else self.chain.forward()

    @cached_property
    def _back(self) -> sitk.Transform:
        """From where points come from to where they arrive."""
        return self.chain.forward() if self.arguments.inverse else self.chain.backward()

    @cached_property
    def _grid(self) -> Grid | None:
        """The grid on which images arrive, where it is known."""
        if self.arguments.like is None:
            return self.chain.end if self.arguments.inverse else self.chain.start
        like = one_frame(read_image(self.arguments.like, self.notes, self.arguments.resample_slices))
        if like.GetDimension() != self.chain.ndim:
            raise DiffuseMorphError(
                f"The image '{printable(self.arguments.like)}' is {like.GetDimension()}-D, but the transform is "
                f"{self.chain.ndim}-D: give another --like."
            )
        return Grid.of(like)

    @cached_property
    def _reference(self) -> sitk.Image:
        if self._grid is None:
            raise DiffuseMorphError(
                "A transform file does not say on which grid images arrive: give --like IMAGE, or the folder of a "
                "result."
            )
        reference = sitk.Image(self._grid.size, sitk.sitkUInt8)
        self._grid.place(reference)
        return reference


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.is_dir())


def _keep_segments(image: sitk.Image, moved: sitk.Image) -> None:
    """Names and colours of segments go along; what their header says of the old grid is said of the new one."""
    extent = " ".join(f"0 {length - 1}" for length in moved.GetSize())
    for key in image.GetMetaDataKeys():
        if not key.startswith("Segment"):
            continue
        if key.endswith("_Extent"):
            moved.SetMetaData(key, extent)
        elif not _OF_THE_GRID.match(key):
            moved.SetMetaData(key, image.GetMetaData(key))
