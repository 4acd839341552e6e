"""Where the voxels of images lie: axes that are off right angles, and the distance between two geometries."""

from __future__ import annotations

from itertools import product

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError

LARGEST_SHEAR = 5e-3
"""Largest deviation of the axes from right angles (0.3 degrees) that rounding in a header explains."""


def sheared(name: str) -> DiffuseMorphError:
    """The refusal of an image whose axes are not at right angles."""
    return DiffuseMorphError(
        f"The axes of the {name} are not at right angles (sheared or tilted): resample it onto a regular grid first."
    )


def check_axes(image: sitk.Image, name: str) -> None:
    """Raise DiffuseMorphError for a spacing or position that is none, and for axes that are not at right angles."""
    n = image.GetDimension()
    axes = np.array(image.GetDirection()).reshape(n, n)
    if not np.isfinite([*image.GetSpacing(), *image.GetOrigin(), *axes.flat]).all() or min(image.GetSpacing()) <= 0:
        raise DiffuseMorphError(f"The {name} has no valid spacing or position: export it again.")
    if np.abs(axes.T @ axes - np.eye(n)).max() > LARGEST_SHEAR:
        raise sheared(name)


def corners(image: sitk.Image, size: tuple[int, ...] | None = None) -> np.ndarray:
    """The centres of the corner voxels in mm, (2**n, n); with `size` those of an image of so many voxels in its
    place.
    """
    n = image.GetDimension()
    matrix = np.array(image.GetDirection()).reshape(n, n) * np.array(image.GetSpacing())
    indices = np.array(list(product(*[(0, length - 1) for length in size or image.GetSize()])), dtype=float)
    return indices @ matrix.T + np.array(image.GetOrigin())


def shift_in_voxels(image: sitk.Image, place: sitk.Image) -> float:
    """How far the corners of an image would move, at most, if it lay where `place` does; in its finest voxel side."""
    distances = np.linalg.norm(corners(image) - corners(place, image.GetSize()), axis=1)
    return float(distances.max()) / min(image.GetSpacing())
