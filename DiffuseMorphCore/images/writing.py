"""Writing files so that their names hold the whole new content, checked, or what they held before."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import fault_of_place, printable, system_reason
from DiffuseMorphCore.images.decimal_points import decimal_points
from DiffuseMorphCore.images.formats import FLAT, WRITABLE, shift_in_format
from DiffuseMorphCore.images.lengths import check_length
from DiffuseMorphCore.images.names import image_suffix, itk_name
from DiffuseMorphCore.images.nifti import SUFFIXES

_CHOOSE = "choose for example .nii.gz, .nrrd or .mha"
_ENDS_THE_PROCESS = (".h5", ".hdf5")
"""Formats whose writer ends the process where the disk is full: whether there is room is found out before."""
_TWO_FILES = (".mhd", ".nhdr", ".hdr", ".img", ".hdr.gz", ".img.gz", ".spr")
_TABLES = 1 << 16  # bytes for what a file holds besides its numbers


def write_image(image: sitk.Image, path: str | Path) -> None:
    """Write an image, with the type it has, so that `path` holds either the whole new file or what it held before.

    The format follows the extension. What was written is read back before it gets its name.

    Raises
    ------
    DiffuseMorphError : the folder is missing, may not be written to or has no room; the format is unknown, or cannot
        hold this image (PNG: two dimensions, 8 or 16 bits unsigned).
    """
    path, suffix = Path(itk_name(path)), image_suffix(path)
    check_format(suffix, image.GetDimension(), path)

    def write(part: Path) -> None:
        sitk.WriteImage(image, str(part), useCompression=True)
        _check_written(part, image)

    def why_not() -> str | None:
        if shift_in_format(suffix, image) is None:
            kind = f"{image.GetPixelIDTypeAsString()} in {image.GetDimension()} dimensions"
            return f"the format '{suffix}' cannot hold {kind}"
        return None

    with decimal_points():
        write_complete(
            path,
            write,
            image.GetNumberOfPixels() * image.GetSizeOfPixelComponent() * image.GetNumberOfComponentsPerPixel(),
            why_not,
        )


def check_format(suffix: str, dimension: int, path: Path) -> None:
    """Raise DiffuseMorphError where no image of `dimension` can be written with the extension `suffix`."""
    if suffix in _TWO_FILES:
        raise DiffuseMorphError(
            f"'{printable(path)}' cannot be written: the format '{suffix}' takes two files, {_CHOOSE}."
        )
    if suffix in (".jpg", ".jpeg", ".bmp"):
        # Besides, the writer of JPEG ends the whole process where the disk is full.
        raise DiffuseMorphError(
            f"'{printable(path)}' cannot be written: the format '{suffix}' does not keep grey values as "
            "they are, choose .png."
        )
    if suffix not in WRITABLE:
        raise DiffuseMorphError(f"'{printable(path)}' cannot be written: the format '{suffix}' is unknown, {_CHOOSE}.")
    if suffix in FLAT and dimension > 2:
        raise DiffuseMorphError(
            f"A volume cannot be written as '{printable(path.name)}': choose .nii.gz, .nrrd or .mha."
        )


def check_writable(path: str | Path, dimension: int = 2) -> None:
    """Refuse, before long work, a path that `write_image` cannot write an image of `dimension` to: a format that is
    unknown or too flat, a folder that is missing or closed.
    """
    path = Path(itk_name(path))
    if path.is_dir():
        raise DiffuseMorphError(f"'{printable(path)}' is a folder: name the image file to write.")
    check_format(image_suffix(path), dimension, path)
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise DiffuseMorphError(f"There is no folder '{printable(path.parent)}' that may be written to: make it first.")


def write_complete(
    path: Path, write: Callable[[Path], None], size: int = 0, why_not: Callable[[], str | None] = lambda: None
) -> None:
    """Call `write` with a name in a hidden folder beside `path`, then rename what it wrote to `path`.

    Nothing temporary is left, whatever happens.

    Parameters
    ----------
    write : writes the file and checks it; what it raises counts as a failure.
    size : bytes that the file may take, to find out after a failure whether there is room.
    why_not : after a failure, what is wrong with the content, if anything.

    Raises
    ------
    DiffuseMorphError : saying whether the place or the content is at fault.
    """
    if not path.parent.is_dir():
        raise DiffuseMorphError(
            f"There is no folder '{printable(path.parent)}' to write '{printable(path.name)}' into: make it first."
        )
    try:
        with tempfile.TemporaryDirectory(
            prefix=".diffusemorph-", dir=path.parent, ignore_cleanup_errors=True
        ) as folder:
            if image_suffix(path) in _ENDS_THE_PROCESS and (reason := fault_of_place(Path(folder), size + _TABLES)):
                raise DiffuseMorphError(f"The file '{printable(path)}' cannot be written: {reason}.")
            part = Path(folder) / f"new{image_suffix(path)}"  # ITK does not know every spelling of an extension
            try:
                write(part)
                flush(part)
            except (RuntimeError, DiffuseMorphError) as error:
                reason = why_not() or fault_of_place(Path(folder), size) or "what was written could not be read back"
                raise DiffuseMorphError(f"The file '{printable(path)}' cannot be written: {reason}.") from error
            os.replace(part, path)
    except OSError as error:
        raise DiffuseMorphError(f"The file '{printable(path)}' cannot be written: {system_reason(error)}.") from error


def flush(path: Path) -> None:
    """Have the system put a file onto the disk: some say only then that there is no room. Raises OSError."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _check_written(part: Path, image: sitk.Image) -> None:
    """Raise RuntimeError or DiffuseMorphError where a file is not the whole image."""
    check_length(part)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(part))
    # The NIfTI reader would not say what is missing, so its length was checked; others have to read it all.
    found = reader.ReadImageInformation() or reader if image_suffix(part) in SUFFIXES else reader.Execute()
    if [side for side in found.GetSize() if side > 1] != [side for side in image.GetSize() if side > 1]:
        raise RuntimeError(f"{found.GetSize()} voxels in place of {image.GetSize()}")
