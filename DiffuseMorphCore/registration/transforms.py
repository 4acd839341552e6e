"""From displacements on the working grid to the transforms that ITK, ANTs and 3D Slicer read.

All map points in mm (LPS) and say which way: a transform takes fixed points to moving points, as resampling needs, its
inverse takes moving points to fixed points, as points, surfaces and markups need.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.linear import affine_transform, linear_map
from DiffuseMorphCore.registration.prepare import SlicePlane


def displacement_transform(grid: Grid, vectors: np.ndarray) -> sitk.DisplacementFieldTransform:
    """P -> p + vectors(p), linear between the grid's voxels, nothing outside; ``vectors`` (*spatial, ndim) in mm,
    LPS.
    """
    return sitk.DisplacementFieldTransform(grid.image(vectors.astype(np.float64), vector=True))


def scaled_alignment(alignment: sitk.AffineTransform, share: float) -> sitk.AffineTransform:
    """The affine map p -> p + share · (A(p) − p): the identity at 0, the alignment at 1."""
    matrix, offset = linear_map(alignment)
    return affine_transform((1 - share) * np.eye(len(offset)) + share * matrix, share * offset)


def forward(
    alignment: sitk.AffineTransform, deformation: sitk.Transform, planes: tuple[SlicePlane, SlicePlane] | None = None
) -> sitk.CompositeTransform:
    """Fixed points to moving points: the deformation, then the alignment."""
    # ITK applies the transform that was added last first.
    return sitk.CompositeTransform(_between(planes, 1, 0, [_lifted(alignment, planes), deformation]))


def backward(
    alignment: sitk.AffineTransform,
    inverse_deformation: sitk.Transform,
    planes: tuple[SlicePlane, SlicePlane] | None = None,
) -> sitk.CompositeTransform:
    """Moving points to fixed points: the inverse alignment, then the inverse deformation."""
    inverse = sitk.AffineTransform(alignment.GetInverse())
    return sitk.CompositeTransform(_between(planes, 0, 1, [inverse_deformation, _lifted(inverse, planes)]))


def lifted_grid(grid: Grid, plane: SlicePlane) -> Grid:
    """A 2-D grid as one slice of a volume, in the slice's own frame (x, y, height)."""
    return Grid((*grid.size, 1), (*grid.spacing, plane.thickness), (*grid.origin, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def _lifted(affine: sitk.AffineTransform, planes: tuple[SlicePlane, SlicePlane] | None) -> sitk.AffineTransform:
    if planes is None:
        return affine
    flat, offset = linear_map(affine)
    matrix = np.eye(3)
    matrix[:2, :2] = flat
    return affine_transform(matrix, np.append(offset, 0.0))


def _between(
    planes: tuple[SlicePlane, SlicePlane] | None, to: int, start: int, inner: list[sitk.Transform]
) -> list[sitk.Transform]:
    """For slices: from the frame of one (0 fixed, 1 moving) through ``inner`` to the other's, in ITK's order."""
    if planes is None:
        return inner
    return [planes[to].to_space(), *inner, planes[start].to_space().GetInverse()]
