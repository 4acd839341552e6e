"""Transforms on disk, in the formats that ITK, ANTs and 3D Slicer share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import decimal_points, image_suffix, itk_name, printable, read_image, write_complete
from DiffuseMorphCore.images.formats import WRITABLE


def read_transform(path: str | Path) -> sitk.Transform:
    """Read a transform file (.h5, .tfm, .txt, .mat of ANTs, or an image of displacements in mm, LPS, as ANTs writes
    its warps); it maps points of the fixed image to the moving one.

    Raises DiffuseMorphError where the file is missing or is no transform.
    """
    name = itk_name(path)
    if not Path(name).is_file():
        raise DiffuseMorphError(f"There is no file '{printable(name)}': check the name of the transform.")
    if image_suffix(name) in WRITABLE and image_suffix(name) != ".h5":
        return _read_field(name)
    try:
        with decimal_points():
            return sitk.ReadTransform(name)
    except RuntimeError as error:
        raise DiffuseMorphError(
            f"The file '{printable(name)}' is not a transform that ITK reads: "
            "give a .h5, .tfm or .mat file written by ITK, ANTs or 3D Slicer."
        ) from error


def _read_field(name: str) -> sitk.DisplacementFieldTransform:
    field = read_image(name)
    if field.GetNumberOfComponentsPerPixel() != field.GetDimension():
        raise DiffuseMorphError(
            f"The image '{printable(name)}' holds no displacements ({field.GetNumberOfComponentsPerPixel()} values a "
            f"voxel in {field.GetDimension()} dimensions): give a transform file, or a warp as ANTs writes it."
        )
    return sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))


def as_transform(source: sitk.Transform | str | Path) -> sitk.Transform:
    """The transform, read where `source` is a file. Raises DiffuseMorphError for a thing that is neither."""
    if isinstance(source, sitk.Transform):
        return source
    if isinstance(source, (str, Path)):
        return read_transform(source)
    raise DiffuseMorphError(
        f"The initial transform is of the type {type(source).__name__}: give a SimpleITK transform or the "
        "name of its file."
    )


def transform_points(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    """Points (N, ndim), or a single one (ndim,), through a transform, in the same shape."""
    array = np.asarray(points, dtype=float)
    carried = [transform.TransformPoint(point) for point in array.reshape(-1, transform.GetDimension()).tolist()]
    return np.array(carried, dtype=float).reshape(array.shape)


def write_transform(transform: sitk.Transform, path: str | Path) -> None:
    """Write a transform (.h5 keeps everything, displacement fields included) and read it back before it gets its name.

    Raises DiffuseMorphError where it cannot be written.
    """
    path = Path(itk_name(path))

    def write(part: Path) -> None:
        sitk.WriteTransform(transform, str(part))
        found = sitk.ReadTransform(str(part))
        if found.GetDimension() != transform.GetDimension():
            raise RuntimeError("another transform was read back")

    parts = [transform]
    if isinstance(transform, sitk.CompositeTransform):
        parts = [transform.GetNthTransform(number) for number in range(transform.GetNumberOfTransforms())]
    with decimal_points():
        write_complete(path, write, 8 * sum(part.GetNumberOfParameters() for part in parts))
