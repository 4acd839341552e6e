"""What a caller gives to be carried along by a registration: an image, labels, points; read and checked against it."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import as_image, check_image
from DiffuseMorphCore.points import is_point_file, read_points


def image_to_warp(source: Any, ndim: int, role: str = "image to warp", labels: bool = False) -> sitk.Image:
    """The image in any form that registration takes it in.

    Raises
    ------
    DiffuseMorphError : it cannot be read, has another dimension than the registration, or as a label map holds no
        labels.
    """
    image, name = as_image(source, role)
    if labels:
        image = check_image(image, name, labels=True)
    frames = ndim == 3 and image.GetDimension() == 4 and not labels
    if image.GetDimension() != ndim and not frames:
        raise DiffuseMorphError(
            f"The {name} is {image.GetDimension()}-D, but the registration is {ndim}-D: "
            "give one of the moving image's dimension."
        )
    if image.GetNumberOfPixels() == 0:
        raise DiffuseMorphError(f"The {name} is empty: give one with voxels.")
    return image


def points_of(source: Any) -> Any:
    """The points where a source is some, or a file of some; None where it is an image.

    Raises DiffuseMorphError for a file of points that cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        return read_points(source).points if is_point_file(source) else None
    if isinstance(source, (list, tuple)):
        return None if any(isinstance(each, (str, os.PathLike)) for each in source) else source
    return source if isinstance(source, np.ndarray) else None


def points_to_warp(points: Any, ndim: int) -> np.ndarray:
    """Points as an array (N, ndim), also a single one (ndim,).

    Raises
    ------
    DiffuseMorphError : other shapes, and what are no finite numbers.
    """
    try:
        array = np.asarray(points, dtype=float)
    except (TypeError, ValueError):
        raise DiffuseMorphError(
            f"The points are not numbers: give them as an array of N × {ndim} coordinates in mm."
        ) from None
    if array.size == 0 and array.ndim <= 2:
        return array.reshape(0, ndim)
    if array.ndim not in (1, 2) or array.shape[-1] != ndim:
        raise DiffuseMorphError(
            f"The points have the shape {' × '.join(map(str, array.shape)) or 'of one number'}: "
            f"give N × {ndim} coordinates in mm."
        )
    if not np.isfinite(array).all():
        raise DiffuseMorphError("Some of the points have coordinates that are not finite: leave them out.")
    return array
