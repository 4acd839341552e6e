"""Every way in: file names, lists of DICOM files, and the images of SimpleITK, nibabel and numpy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import printable
from DiffuseMorphCore.images.reading import read_files, read_image

_WAYS = "give a file name, a SimpleITK image, a nibabel image, or DiffuseMorphCore.image_from_array(array, spacing=...)"


@dataclass(frozen=True)
class NamedImage:
    """An image that was read already, and what messages call it."""

    image: sitk.Image
    name: str


def as_image(source: Any, role: str, notes: list[str] | None = None) -> tuple[sitk.Image, str]:
    """What the caller gives as an image, and what messages call it.

    Parameters
    ----------
    source : a file name, the folder or the list of files of a DICOM series, a SimpleITK image, a nibabel image, or a
        NamedImage.
    role : what the image is for, for example "fixed image".
    notes : gathers what is odd about a file but no fault.

    Raises
    ------
    DiffuseMorphError : a file that cannot be read, or a thing that is no image.
    """
    if isinstance(source, NamedImage):
        return source.image, source.name
    if isinstance(source, sitk.Image):
        return source, role
    if isinstance(source, (str, os.PathLike)):
        return read_image(source, notes), f"{role} '{printable(os.fspath(source))}'"
    if isinstance(source, (list, tuple)) and source and all(isinstance(each, (str, os.PathLike)) for each in source):
        return read_files(list(source), notes), f"{role} '{printable(os.fspath(source[0]))}' and following"
    if all(hasattr(source, name) for name in ("affine", "dataobj", "header")):
        if source.affine is None:
            raise DiffuseMorphError(f"The {role} has no affine matrix: give the nibabel image one, or {_WAYS}.")
        return image_from_array(np.asanyarray(source.dataobj), affine=source.affine, name=role), role
    if isinstance(source, np.ndarray):
        raise DiffuseMorphError(
            f"The {role} is a numpy array, which does not say how large its voxels are: give "
            "DiffuseMorphCore.image_from_array(array, spacing=...) or (array, affine=...)."
        )
    raise DiffuseMorphError(f"The {role} is of the type {type(source).__name__}, which is no image: {_WAYS}.")


def image_from_array(
    array: np.ndarray,
    spacing: float | Sequence[float] | None = None,
    affine: np.ndarray | None = None,
    colour: bool = False,
    name: str = "array",
) -> sitk.Image:
    """A SimpleITK image of a numpy array that lies in space as one of two things says.

    Parameters
    ----------
    array : with `spacing`, axes (z, y, x) or (y, x), as SimpleITK has them. With `affine`, axes (x, y, z) or (x, y), as
        nibabel has them; a last axis of one volume is dropped.
    spacing : mm from voxel to voxel, in the order x, y[, z], or one number for all axes.
    affine : (4, 4), from indices to mm in RAS, as nibabel has it.
    colour : the last axis holds the 3 or 4 channels of a colour.
    name : what messages call the array.

    Raises
    ------
    DiffuseMorphError : both or neither of `spacing` and `affine`, or values, axes or numbers that make no image.
    """
    values, colour = _values(array, colour, name)
    if (spacing is None) == (affine is None):
        raise DiffuseMorphError(f"Where the {name} lies is said by either spacing or affine: give one of the two.")
    if affine is not None:
        while values.ndim - colour > 3 and values.shape[-1 - colour] == 1:
            values = values.squeeze(-1 - colour)
        values = np.moveaxis(values, -1, 0).T if colour else values.T
        if colour:
            values = np.moveaxis(np.moveaxis(values, -1, 0), 0, -1)
    n = values.ndim - colour
    if n not in (2, 3):
        raise DiffuseMorphError(
            f"The {name} has {n} dimensions ({' × '.join(map(str, np.shape(array)))}): give one image of "
            "2 or 3, and say colour=True where the last axis holds colours."
        )
    image = sitk.GetImageFromArray(np.ascontiguousarray(values), isVector=colour)
    if affine is not None:
        _place_by_affine(image, affine, name)
        return image
    try:
        steps = np.broadcast_to(np.asarray(spacing, dtype=float), (n,))
    except (TypeError, ValueError):
        steps = np.zeros(n)
    if not np.isfinite(steps).all() or steps.min() <= 0:
        raise DiffuseMorphError(
            f"The spacing {spacing!r} of the {name} does not hold {n} lengths above 0 in mm: "
            "give them in the order x, y" + (", z." if n == 3 else ".")
        )
    image.SetSpacing(steps.tolist())
    return image


def _values(array: Any, colour: bool, name: str) -> tuple[np.ndarray, bool]:
    """The array in a type that SimpleITK has, and whether its last axis holds colours."""
    values = np.asarray(array)
    if (
        values.dtype.names
        and set(values.dtype.names) <= set("RGBA")
        and len({values.dtype[i] for i in range(len(values.dtype))}) == 1
    ):
        values, colour = np.stack([values[channel] for channel in values.dtype.names], axis=-1), True
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    elif values.dtype.kind == "f":
        values = values.astype(np.float64 if values.dtype.itemsize > 4 else np.float32)
    elif values.dtype.kind in "iu":
        values = values.astype(values.dtype.newbyteorder("="))
    else:
        raise DiffuseMorphError(f"The {name} holds values of the type '{values.dtype}': give real numbers.")
    if values.size == 0:
        raise DiffuseMorphError(
            f"The {name} is empty ({' × '.join(map(str, values.shape))} voxels): give one with values."
        )
    return values, colour


def _place_by_affine(image: sitk.Image, affine: Any, name: str) -> None:
    try:
        matrix = np.asarray(affine, dtype=float)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    n = image.GetDimension()
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise DiffuseMorphError(f"The affine of the {name} is not a matrix of 4 × 4 numbers: give the one of nibabel.")
    matrix = np.diag([-1.0, -1.0, 1.0]) @ matrix[:3]
    columns = matrix[:n, :n]
    steps = np.linalg.norm(columns, axis=0)
    if steps.min() <= 0 or abs(np.linalg.det(columns / steps)) < 1e-6:
        raise DiffuseMorphError(
            f"The affine of the {name} leaves no room between its voxels along an axis: correct it."
        )
    image.SetSpacing(steps.tolist())
    image.SetDirection((columns / steps).ravel().tolist())
    image.SetOrigin(matrix[:n, 3].tolist())
