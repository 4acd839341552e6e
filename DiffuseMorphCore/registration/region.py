"""Where in the fixed image's space there is something to register: where the moving image meets it."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid

LEAST_OVERLAP = 0.02
"""Share of the smaller image that must lie inside the other one."""
_CROPPED = 0.5  # a region of less than this share of the fixed image is worked on alone
_MARGIN, _MARGIN_VOXELS, _SMALLEST = (0.15, 4, 12)  # around the moving image: share, voxels; least side
_SAMPLES = 24  # points a side at which an overlap is measured


def overlap(fixed: Grid, moving: Grid, alignment: sitk.AffineTransform) -> float:
    """The larger one of the share of the fixed image that lies inside the moving one, and of that the other way round.

    alignment : fixed points to moving points, mm, LPS.
    """
    shares = [_inside(moving, _points(fixed) @ _matrix(alignment).T + _offset(alignment))]
    inverse = alignment.GetInverse()
    shares.append(_inside(fixed, _points(moving) @ _matrix(inverse).T + _offset(inverse)))
    return max(shares)


def working_region(fixed: Grid, moving: Grid, alignment: sitk.AffineTransform) -> Grid:
    """The part of the fixed image's grid that is worked on: all of it, unless the aligned moving image, with a margin,
    covers less than half.

    Raises
    ------
    DiffuseMorphError : the two images do not overlap.
    """
    if overlap(fixed, moving, alignment) < LEAST_OVERLAP:
        raise DiffuseMorphError(
            "The moving image does not overlap the fixed one after the alignment: "
            "choose the alignment 'affine' or 'center', or give an initial transform."
        )
    inverse = alignment.GetInverse()
    corners = fixed.indices(_points(moving, 2) @ _matrix(inverse).T + _offset(inverse))
    size = np.array(fixed.size)
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = np.maximum(_MARGIN * (high - low), _MARGIN_VOXELS)
    short = np.maximum(_SMALLEST - (high - low + 2 * margin), 0) / 2
    start = np.clip(np.floor(low - margin - short), 0, np.maximum(size - _SMALLEST, 0)).astype(int)
    stop = np.clip(np.ceil(high + margin + short) + 1, np.minimum(start + _SMALLEST, size), size).astype(int)
    if np.prod(stop - start) > _CROPPED * math.prod(fixed.size):
        return fixed
    return fixed.part(tuple(start.tolist()), tuple((stop - start).tolist()))


def _matrix(transform: sitk.AffineTransform) -> np.ndarray:
    return np.array(transform.GetMatrix()).reshape(transform.GetDimension(), -1)


def _offset(transform: sitk.AffineTransform) -> np.ndarray:
    return np.array(transform.TransformPoint([0.0] * transform.GetDimension()))


def _points(grid: Grid, side: int = _SAMPLES) -> np.ndarray:
    """Points (N, ndim) in mm, evenly over the image with its outer voxels' far sides, ``side`` along each axis."""
    index = np.stack(np.meshgrid(*[np.linspace(-0.5, size - 0.5, side) for size in grid.size], indexing="ij"), axis=-1)
    return grid.points(index.reshape(-1, grid.ndim))


def _inside(grid: Grid, points: np.ndarray) -> float:
    index = grid.indices(points)
    return float(((index >= -0.5) & (index <= np.array(grid.size) - 0.5)).all(axis=1).mean())
