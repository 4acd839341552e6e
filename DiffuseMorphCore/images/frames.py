"""Frames in time, read one at a time: files with a last axis of time, sequences of 3D Slicer, folders of images."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import printable
from DiffuseMorphCore.images.arrays import as_image, image_from_array
from DiffuseMorphCore.images.checking import check_image
from DiffuseMorphCore.images.enhanced import enhanced_frames, is_dicom
from DiffuseMorphCore.images.geometry import shift_in_voxels
from DiffuseMorphCore.images.lengths import check_length
from DiffuseMorphCore.images.names import image_suffix, itk_name
from DiffuseMorphCore.images.nifti import is_packed
from DiffuseMorphCore.images.nrrd import Nrrd
from DiffuseMorphCore.images.phases import phases_of
from DiffuseMorphCore.images.reading import FORMATS, read_files, read_image

_LARGEST_SHIFT = 0.01  # voxels that a frame may lie off the first one
_IMAGES = (
    ".nii",
    ".nii.gz",
    ".nrrd",
    ".mha",
    ".mhd",
    ".png",
    ".tif",
    ".tiff",
    ".jpg",
    ".jpeg",
    ".bmp",
    ".gipl",
    ".vtk",
)


@dataclass(frozen=True)
class Frames:
    """Images of one thing at several times, all on one grid; each is read when it is asked for.

    name : what messages call them. read : gives the image with a number from 0, unchecked. times : of each, in the
    file's unit, ascending; None where they are not known. scratch : what keeps temporary files.
    """

    name: str
    count: int
    read: Callable[[int], sitk.Image]
    times: tuple[float, ...] | None = None
    scratch: Any = field(default=None, repr=False)

    def __len__(self) -> int:
        return self.count

    def image(self, number: int, first: sitk.Image | None = None) -> sitk.Image:
        """A frame, checked. first : on whose grid it has to lie.

        Raises DiffuseMorphError for a frame that cannot be registered, or lies on another grid.
        """
        image = check_image(self.read(number), self.frame_name(number))
        if first is not None and (image.GetSize() != first.GetSize() or shift_in_voxels(image, first) > _LARGEST_SHIFT):
            raise DiffuseMorphError(
                f"The {self.frame_name(number)} lies on another grid than the first one: resample the frames onto one "
                "grid, or take those of another sequence out."
            )
        return image

    def frame_name(self, number: int) -> str:
        """What messages call a frame."""
        return f"frame {number} of the {self.name}"

    def time(self, number: int) -> float:
        """Of a frame; its number where times are not known."""
        return float(number) if self.times is None else self.times[number]


def open_frames(source: Any, slices_are_frames: bool = False) -> Frames:
    """The frames of a source.

    Parameters
    ----------
    source : the name of a file with a last axis of time (NIfTI, NRRD …), of a sequence of 3D Slicer (.seq.nrrd), of a
        folder of images (sorted by the numbers in their names), of DICOM phases (one folder or series each, or one
        series with every position at several times), of a DICOM file with images at several times (enhanced MR or CT);
        a 4-D SimpleITK image; a list of images in any form; or numpy arrays of frames with voxels of 1 mm, as a list or
        as one with time as its first axis.
    slices_are_frames : the source is one 3-D image or its file, and its last axis is time.

    Raises
    ------
    DiffuseMorphError : fewer than two frames, or what cannot be read.
    """
    if isinstance(source, Frames):
        return source
    if slices_are_frames:
        found = _of_slices(*as_image(source, "film"))
    elif isinstance(source, sitk.Image):
        found = _of_image(source, "sequence")
    elif isinstance(source, (list, tuple, np.ndarray)):
        found = Frames("sequence", len(source), lambda number: _of_any(source[number], f"frame {number}"))
    elif not isinstance(source, (str, os.PathLike)):
        raise DiffuseMorphError(
            f"The frames are of the type {type(source).__name__}: give the name of a 4-D file or of a folder, a 4-D "
            "SimpleITK image, or a list of images."
        )
    else:
        path = Path(itk_name(source))
        if not path.exists():
            raise DiffuseMorphError(f"There is no file or folder '{printable(path)}': check the name of the frames.")
        found = _of_folder(path) if path.is_dir() else _of_file(path)
    if len(found) < 2:
        raise DiffuseMorphError(f"The {found.name} has {len(found)} frame(s): give at least two, or register a pair.")
    return found


def _of_any(source: Any, name: str) -> sitk.Image:
    if isinstance(source, np.ndarray):
        return image_from_array(source, spacing=1.0, name=name)
    return as_image(source, name)[0]


def _of_image(image: sitk.Image, name: str, scratch: Any = None) -> Frames:
    if image.GetDimension() != 4:
        raise DiffuseMorphError(
            f"The {name} is {image.GetDimension()}-D and has no axis of time: give a 4-D image, a sequence of 3D "
            "Slicer (.seq.nrrd) or a folder of frames, or say that its slices are frames."
        )
    start, step = image.GetOrigin()[-1], image.GetSpacing()[-1]
    count = image.GetSize()[-1]

    def read(number: int) -> sitk.Image:
        return sitk.Extract(
            image,
            [*image.GetSize()[:-1], 0],
            [0, 0, 0, number],
            directionCollapseToStrategy=sitk.ExtractImageFilter.DIRECTIONCOLLAPSETOSUBMATRIX,
        )

    return Frames(name, count, read, _times(count, start, step), scratch)


def _of_slices(image: sitk.Image, name: str) -> Frames:
    if image.GetDimension() != 3:
        raise DiffuseMorphError(
            f"The {name} is {image.GetDimension()}-D, so its slices are no frames: leave slices_are_frames out, or "
            "give a 3-D image."
        )
    step = image.GetSpacing()[2]
    return Frames(name, image.GetDepth(), lambda number: image[:, :, number], _times(image.GetDepth(), 0.0, step))


def _times(count: int, start: float, step: float) -> tuple[float, ...] | None:
    return tuple(start + step * number for number in range(count)) if step > 0 else None


def _of_file(path: Path) -> Frames:
    name = f"sequence '{printable(path)}'"
    if is_dicom(path):
        return Frames(name, *enhanced_frames(path))
    if image_suffix(path) == ".nrrd":
        nrrd = Nrrd.of(path)
        if nrrd is not None:
            scratch, read = nrrd.frames()
            return Frames(name, nrrd.count, read, nrrd.times, scratch)
    scratch, source = None, path
    if image_suffix(path) in (".nii", ".nii.gz"):
        check_length(path)
        if is_packed(path):  # a packed file would be unpacked from its beginning for every frame
            scratch = tempfile.TemporaryDirectory(prefix="diffusemorph-")
            source = Path(scratch.name) / "frames.nii"
            with gzip.open(path) as packed, open(source, "wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 22)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(source))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise DiffuseMorphError(
            f"The file '{printable(path)}' is no image with frames in time: use {FORMATS}."
        ) from error
    size = reader.GetSize()
    if len(size) != 4:
        raise DiffuseMorphError(
            f"The {name} is {len(size)}-D and has no axis of time: give a 4-D image, a sequence of 3D "
            "Slicer (.seq.nrrd) or a folder of frames."
        )

    def read(number: int) -> sitk.Image:
        reader.SetExtractIndex([0, 0, 0, number])
        reader.SetExtractSize([*size[:3], 0])
        try:
            return reader.Execute()
        except RuntimeError as error:
            raise DiffuseMorphError(
                f"The {name} cannot be read, it seems to be damaged or incomplete: copy or export it again."
            ) from error

    return Frames(name, size[3], read, _times(size[3], reader.GetOrigin()[3], reader.GetSpacing()[3]), scratch)


def _of_folder(path: Path) -> Frames:
    name = f"sequence in the folder '{printable(path)}'"
    entries = sorted((each for each in path.iterdir() if not each.name.startswith(".")), key=_natural)
    files = [each for each in entries if each.is_file() and image_suffix(each) in _IMAGES]
    if files:
        return Frames(name, len(files), lambda number: read_image(files[number]))
    folders = [each for each in entries if each.is_dir() and sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(each))]
    if len(folders) > 1:
        return Frames(name, len(folders), lambda number: read_image(folders[number]))
    alone = [each for each in entries if each.is_file()]
    if not folders and len(alone) == 1 and is_dicom(alone[0]):
        return Frames(name, *enhanced_frames(alone[0]))
    phases, times = phases_of(folders[0] if folders else path)
    return Frames(name, len(phases), lambda number: read_files(phases[number]), times)


def _natural(path: Path) -> list[Any]:
    """So that frame 10 comes after frame 9."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", path.name.lower())]
