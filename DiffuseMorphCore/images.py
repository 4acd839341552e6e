"""Images on disk: reading what SimpleITK reads, refusing what cannot be registered, never leaving a half-written file.

All geometry stays as SimpleITK gives it (millimetres, LPS). Intensities are never changed here.
"""
from __future__ import annotations

import gzip
import math
import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError

FORMATS = ("NIfTI (.nii, .nii.gz), NRRD (.nrrd), MetaImage (.mha), TIFF (.tif), PNG (.png) or another format that "
           "SimpleITK reads")
SMALLEST_SIDE = 8
"""An image needs at least two sides of this many voxels: less shows nothing that could be matched."""
_FLAT_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_SERIES_LISTED = 8
_UNEVENNESS = 0.1  # of the slice distance, up to which DICOM slices count as evenly spaced
_SHEAR = 5e-3  # largest deviation of the axes from right angles (0.3 degrees) that rounding in a header explains


def image_suffix(path: str | Path) -> str:
    """The extension that tells an image's format, in lower case: ".nii.gz" for "a.b.nii.gz", "" for "a"."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    return "".join(suffixes[-2:]) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


def read_image(path: str | Path) -> sitk.Image:
    """Read an image file, or a folder that holds one DICOM series, with the pixel type it has on disk.

    Raises DiffuseMorphError where nothing is there, where it is no image, where the file is damaged or cut short, and
    for a folder with no DICOM series, with several, or with slices that do not form an even stack. Whether the image
    can be registered is the question of `check_image`.
    """
    path = Path(path)
    if not path.exists():
        raise DiffuseMorphError(f"There is no file or folder '{path}': check the name.")
    if path.is_dir():
        return _read_series(path)
    if not os.access(path, os.R_OK):
        raise DiffuseMorphError(f"The file '{path}' may not be read: check its permissions.")
    if path.stat().st_size == 0:
        raise DiffuseMorphError(f"The file '{path}' is empty (0 bytes): copy or export it again.")
    if image_suffix(path) in (".nii", ".nii.gz"):
        _check_nifti_length(path)
    return _read(path, lambda: sitk.ReadImage(str(path)))


def check_image(image: sitk.Image, name: str, labels: bool = False) -> sitk.Image:
    """Refuse an image that cannot be registered; return it, without a last axis that holds one volume only.

    Parameters
    ----------
    image : 2-D or 3-D, one value per voxel; a single slice of a volume is welcome.
    name : what the message calls it: its role, file or volume, for example "fixed image 'brain.nii.gz'".
    labels : the voxels are labels or a mask: whole numbers, and one value everywhere is no fault.

    Raises
    ------
    DiffuseMorphError : an empty image, more than three dimensions, colour, vectors or complex numbers, axes that are
        not at right angles, fewer than two sides of SMALLEST_SIDE voxels, no finite value, one value everywhere, labels
        that are not whole numbers.
    """
    while image.GetDimension() > 3 and image.GetSize()[-1] == 1:
        image = sitk.Extract(image, [*image.GetSize()[:-1], 0])
    size = " × ".join(str(length) for length in image.GetSize())
    if image.GetNumberOfPixels() == 0:
        raise DiffuseMorphError(f"The {name} is empty ({size} voxels): export it again.")
    if image.GetDimension() > 3:
        raise DiffuseMorphError(f"The {name} has {image.GetDimension()} dimensions ({size}): "
                                "extract the one volume to register first.")
    if image.GetNumberOfComponentsPerPixel() > 1:
        raise DiffuseMorphError(f"The {name} has {image.GetNumberOfComponentsPerPixel()} values per voxel "
                                "(colour or vectors): convert it to grey first.")
    if "complex" in image.GetPixelIDTypeAsString():
        raise DiffuseMorphError(f"The {name} has complex numbers: take their magnitude first.")
    if sum(length >= SMALLEST_SIDE for length in image.GetSize()) < 2:
        raise DiffuseMorphError(f"The {name} has only {size} voxels: "
                                f"at least {SMALLEST_SIDE} are needed along two axes.")
    _check_axes(image, name)
    _check_values(image, name, labels)
    return image


def write_image(image: sitk.Image, path: str | Path) -> None:
    """Write an image, with the type it has, so that `path` holds either the whole new file or what it held before.

    The format follows the extension. Raises DiffuseMorphError where the folder is missing or may not be written to,
    where the format is unknown, or where it cannot hold this image (PNG: two dimensions, 8 or 16 bits unsigned).
    """
    path = Path(path)
    suffix = image_suffix(path)
    if suffix in _FLAT_SUFFIXES and image.GetDimension() > 2:
        raise DiffuseMorphError(f"A volume cannot be written as '{path.name}': choose .nii.gz, .nrrd or .mha.")
    write_complete(path, lambda part: sitk.WriteImage(image, str(part), useCompression=True), suffix,
                   f"{image.GetPixelIDTypeAsString()} in {image.GetDimension()} dimensions")


def check_writable(path: str | Path) -> None:
    """Refuse, before long work, a path that `write_image` cannot write to: unknown format, missing or closed folder."""
    path = Path(path)
    if path.is_dir():
        raise DiffuseMorphError(f"'{path}' is a folder: name the image file to write.")
    with tempfile.TemporaryDirectory() as folder:
        write_image(sitk.Image([2, 2], sitk.sitkUInt8), Path(folder) / f"trial{image_suffix(path)}")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise DiffuseMorphError(f"There is no folder '{path.parent}' that may be written to: make it first.")


def write_complete(path: Path, write: Callable[[Path], None], suffix: str, content: str) -> None:
    """Call `write` with a temporary path beside `path` (ending in `suffix`), then rename what it wrote to `path`.

    `content` says in the message what did not fit the format. Nothing temporary is left, whatever happens.
    """
    if not path.parent.is_dir():
        raise DiffuseMorphError(f"There is no folder '{path.parent}' to write '{path.name}' into: make it first.")
    part = path.with_name(f".{path.name.removesuffix(suffix)}.{os.getpid()}{suffix}")
    try:
        write(part)
        os.replace(part, path)
    except OSError as error:
        raise DiffuseMorphError(f"The file '{path}' cannot be written: {error.strerror or error}.") from error
    except RuntimeError as error:
        if not os.access(path.parent, os.W_OK):
            reason = "the folder may not be written to"
        elif "Unable to determine ImageIO" in str(error):
            reason = f"the format '{suffix}' is unknown, choose for example .nii.gz, .nrrd or .mha"
        else:
            reason = f"the disk is full, or the format '{suffix}' cannot hold {content}"
        raise DiffuseMorphError(f"The file '{path}' cannot be written: {reason}.") from error
    finally:
        part.unlink(missing_ok=True)


def _read(path: Path, read: Callable[[], sitk.Image]) -> sitk.Image:
    try:
        return read()
    except RuntimeError as error:
        if "orthonormal" in str(error).lower():
            raise _sheared(f"image '{path}'") from error
        if "Unable to determine ImageIO" in str(error):
            raise DiffuseMorphError(f"The file '{path}' is not an image in a known format: use {FORMATS}.") from error
        raise DiffuseMorphError(f"The image '{path}' cannot be read, it seems to be damaged or incomplete: "
                                "copy or export it again.") from error


def _read_series(folder: Path) -> sitk.Image:
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not series:
        raise DiffuseMorphError(f"The folder '{folder}' holds no DICOM series: "
                                "name an image file, or the folder that holds the DICOM files themselves.")
    files = {each: sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), each) for each in series}
    if len(series) > 1:
        largest = sorted(files.values(), key=len, reverse=True)
        listed = ", ".join(f"'{_description(names[0])}' with {len(names)} files" for names in largest[:_SERIES_LISTED])
        listed += f" and {len(series) - _SERIES_LISTED} smaller ones" if len(series) > _SERIES_LISTED else ""
        raise DiffuseMorphError(f"The folder '{folder}' holds {len(series)} DICOM series ({listed}): "
                                "put the files of the one to register into a folder of their own.")
    names = files[series[0]]
    if len(names) == 1:
        return _read(folder, lambda: sitk.ReadImage(names[0]))
    _check_stack(folder, names)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(names)
    return _read(folder, reader.Execute)


def _information(name: str) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    reader.ReadImageInformation()
    return reader


def _description(name: str) -> str:
    reader = _information(name)
    for key in ("0008|103e", "0020|0011"):  # series description, series number
        if reader.HasMetaDataKey(key) and reader.GetMetaData(key).strip():
            return reader.GetMetaData(key).strip()
    return Path(name).name


def _check_stack(folder: Path, names: tuple[str, ...]) -> None:
    # ITK takes the first two slices for the distance of all and the normal of the first for the direction of the stack:
    # a missing slice or a tilted gantry would silently bend space.
    readers = [_information(name) for name in names]
    if not all(reader.HasMetaDataKey("0020|0032") for reader in readers):
        return
    positions = np.array([[float(v) for v in reader.GetMetaData("0020|0032").split("\\")] for reader in readers])
    steps = np.diff(positions, axis=0)
    usual = np.median(steps, axis=0)
    normal = np.array(readers[0].GetDirection()).reshape(3, 3)[:, 2]
    distance = float(np.linalg.norm(usual))
    uneven = float(np.abs(steps - usual).max())
    tilted = float(np.linalg.norm(usual - normal * (normal @ usual)))
    if distance == 0 or uneven > _UNEVENNESS * distance or tilted > _UNEVENNESS * distance:
        raise DiffuseMorphError(f"The {len(names)} DICOM slices in '{folder}' are no evenly spaced, upright stack: "
                                "export the series again without missing, repeated or tilted slices.")


def _check_nifti_length(path: Path) -> None:
    # The NIfTI reader takes what a cut file lacks for zeros, without a word.
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rb") as file:
            header = file.read(348)
            length = len(header)
            while block := file.read(1 << 22):
                length += len(block)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DiffuseMorphError(f"The image '{path}' is damaged or incomplete: copy or export it again.") from error
    needed = _nifti_length(header)
    if needed is not None and length < needed:
        raise DiffuseMorphError(f"The image '{path}' is incomplete ({length:,} of {needed:,} bytes): "
                                "copy or export it again.")


def _nifti_length(header: bytes) -> int | None:
    """Bytes that a single-file NIfTI-1 or NIfTI-2 file must have according to its header, None for anything else."""
    for order in "<>":
        if len(header) < 348:
            return None
        kind = struct.unpack_from(order + "i", header)[0]
        if kind == 348 and header[344:347] == b"n+1":
            sizes = struct.unpack_from(order + "8h", header, 40)
            bits = struct.unpack_from(order + "h", header, 72)[0]
            offset = int(struct.unpack_from(order + "f", header, 108)[0])
        elif kind == 540 and header[4:7] == b"n+2":
            sizes = struct.unpack_from(order + "8q", header, 16)
            bits = struct.unpack_from(order + "h", header, 14)[0]
            offset = struct.unpack_from(order + "q", header, 168)[0]
        else:
            continue
        return offset + math.prod(max(1, length) for length in sizes[1:1 + sizes[0]]) * bits // 8
    return None


def _sheared(name: str) -> DiffuseMorphError:
    return DiffuseMorphError(f"The axes of the {name} are not at right angles (sheared or tilted): "
                             "resample it onto a regular grid first.")


def _check_axes(image: sitk.Image, name: str) -> None:
    n = image.GetDimension()
    axes = np.array(image.GetDirection()).reshape(n, n)
    if not np.isfinite([*image.GetSpacing(), *image.GetOrigin(), *axes.flat]).all() or min(image.GetSpacing()) <= 0:
        raise DiffuseMorphError(f"The {name} has no valid spacing or position: export it again.")
    if np.abs(axes.T @ axes - np.eye(n)).max() > _SHEAR:
        raise _sheared(name)


def _check_values(image: sitk.Image, name: str, labels: bool) -> None:
    values = sitk.GetArrayViewFromImage(image)
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.any():
            raise DiffuseMorphError(f"The {name} has no finite value: check how it was exported.")
        if not finite.all():
            values = values[finite]
        if labels and (values != np.round(values)).any():
            raise DiffuseMorphError(f"The {name} does not hold whole numbers: give a label map or a mask.")
    if not labels and values.min() == values.max():
        raise DiffuseMorphError(f"The {name} is constant ({values.flat[0]:g} everywhere): "
                                "there is nothing to register.")
