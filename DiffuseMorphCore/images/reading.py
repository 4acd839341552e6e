"""Reading what SimpleITK reads, in full and in its own place, or saying in one sentence why not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import printable
from DiffuseMorphCore.images.decimal_points import decimal_points
from DiffuseMorphCore.images.dicom import read_folder, read_stack
from DiffuseMorphCore.images.geometry import LARGEST_SHEAR, sheared
from DiffuseMorphCore.images.lengths import check_length
from DiffuseMorphCore.images.names import image_suffix, itk_name
from DiffuseMorphCore.images.nifti import SUFFIXES, Header, files_of, under_plain_name, unpacked_length

FORMATS = (
    "NIfTI (.nii, .nii.gz), NRRD (.nrrd), MetaImage (.mha), TIFF (.tif), PNG (.png) or another format that "
    "SimpleITK reads"
)


def read_image(path: str | Path, notes: list[str] | None = None, resample_slices: bool = False) -> sitk.Image:
    """Read an image file, or a folder that holds one DICOM series, with the pixel type it has on disk.

    Parameters
    ----------
    path : file or folder.
    notes : gathers what is odd about the file but no fault.
    resample_slices : bring DICOM slices that are tilted or unevenly spaced onto an even grid, in place of refusing
        them.

    Raises
    ------
    DiffuseMorphError : nothing is there, it is no image, the file is damaged or cut short, a name that the image
        library cannot open; a folder with no DICOM series, with several, or with slices that do not form an even stack.
        Whether the image can be registered is the question of `check_image`.
    """
    name = itk_name(path)
    path = Path(name)
    with _faults_told(path), decimal_points():
        if not path.exists():
            raise DiffuseMorphError(f"There is no file or folder '{printable(path)}': check the name.")
        if path.is_dir():
            if not os.access(path, os.R_OK | os.X_OK):
                raise DiffuseMorphError(f"The folder '{printable(path)}' may not be read: check its permissions.")
            return read_folder(path, notes, resample_slices)
        _check_file(path)
        if image_suffix(path) in SUFFIXES:
            return _read_nifti(path, notes)
        check_length(path, notes)
        return sitk.ReadImage(name)


def read_files(paths: list[str | Path], notes: list[str] | None = None, resample_slices: bool = False) -> sitk.Image:
    """Read a list of DICOM files as one volume, sorted by position. Raises DiffuseMorphError as `read_image` does."""
    names = [itk_name(path) for path in paths]
    if not names:
        raise DiffuseMorphError("The list of files is empty: give the DICOM files of one series.")
    first = Path(names[0])
    for name in names:
        if not Path(name).is_file():
            raise DiffuseMorphError(f"There is no file '{printable(name)}': check the list of files.")
        if len(names) > 1 and sitk.ImageFileReader.GetImageIOFromFileName(name) != "GDCMImageIO":
            raise DiffuseMorphError(
                f"The file '{printable(name)}' is not in DICOM format: a list of files must be the "
                "slices of one DICOM series."
            )
    if len(names) == 1:
        return read_image(first, notes, resample_slices)
    with _faults_told(first), decimal_points():
        return read_stack(names, f"list that starts with '{printable(first)}'", notes, resample_slices)


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise DiffuseMorphError(
            f"'{printable(path)}' is neither a file nor a folder (a pipe or a device): write what comes "
            "out of it into a file first."
        )
    if not os.access(path, os.R_OK):
        raise DiffuseMorphError(f"The file '{printable(path)}' may not be read: check its permissions.")
    if path.stat().st_size == 0:
        raise DiffuseMorphError(f"The file '{printable(path)}' is empty (0 bytes): copy or export it again.")


def _read_nifti(path: Path, notes: list[str] | None) -> sitk.Image:
    check_length(path, notes)
    header_file, voxel_file = files_of(path)
    header = Header.of(unpacked_length(header_file)[1])
    with under_plain_name(header_file, voxel_file) as plain:
        if notes is not None and image_suffix(plain).endswith(".gz") != image_suffix(header_file).endswith(".gz"):
            notes.append(
                f"The file '{printable(path)}' is {'' if plain.suffix == '.gz' else 'not '}compressed, other than "
                "its name says: it was read as what it is."
            )
        try:
            image = sitk.ReadImage(str(plain))
        except RuntimeError as error:
            if "orthonormal" not in str(error).lower() or header is None:
                raise
            with _axes_made_upright():
                image = sitk.ReadImage(str(plain))
            if not header.place(image, LARGEST_SHEAR):
                raise sheared(f"image '{printable(path)}'") from error
    if header is not None:
        header.place(image, LARGEST_SHEAR)
    return image


@contextmanager
def _axes_made_upright() -> Iterator[None]:
    """Let ITK read a NIfTI file whose axes are not at right angles; it turns them to the nearest ones that are."""
    os.environ["ITK_NIFTI_SFORM_PERMISSIVE"] = "YES"
    try:
        yield
    finally:
        del os.environ["ITK_NIFTI_SFORM_PERMISSIVE"]


@contextmanager
def _faults_told(path: Path) -> Iterator[None]:
    """Say what libraries and the system have against a file in the words of a user."""
    try:
        yield
    except OSError as error:
        raise DiffuseMorphError(
            f"The file '{printable(error.filename or path)}' cannot be read "
            f"({error.strerror or error}): check its name and permissions."
        ) from error
    except RuntimeError as error:
        text = str(error)
        if "orthonormal" in text.lower():
            raise sheared(f"image '{printable(path)}'") from error
        if "Unable to determine ImageIO" in text:
            raise DiffuseMorphError(
                f"The file '{printable(path)}' is not an image in a known format: use {FORMATS}."
            ) from error
        if "allocate" in text.lower():
            raise DiffuseMorphError(
                f"There is not enough memory to read the image '{printable(path)}': close other programs, "
                "or look whether its header is damaged."
            ) from error
        if "Unknown PixelType" in text:
            raise DiffuseMorphError(
                f"The image '{printable(path)}' has a kind of voxels that cannot be read: save it as "
                "grey values, RGB or RGBA."
            ) from error
        raise DiffuseMorphError(
            f"The image '{printable(path)}' cannot be read, it seems to be damaged or incomplete: "
            "copy or export it again."
        ) from error
