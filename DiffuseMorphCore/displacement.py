"""A displacement together with the grid it lives on: what is done with displacements, without mixing up their grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.warp import compose, invert_evenly, jacobian_determinant, resize_displacement, sample_axes

if TYPE_CHECKING:
    import SimpleITK as sitk


@dataclass(frozen=True)
class Displacement:
    """One displacement field, pulling: warped(p) = moving(p + u(p)).

    values : (1, ndim, *grid.shape) in voxels of the grid, component order = axis order.
    grid : where these voxels lie in space.
    """

    values: Tensor
    grid: Grid

    def __post_init__(self) -> None:
        if tuple(self.values.shape) != (1, self.grid.ndim, *self.grid.shape):
            raise ValueError(
                f"A displacement on a grid of {self.grid.shape} has the shape "
                f"{(1, self.grid.ndim, *self.grid.shape)}, not {tuple(self.values.shape)}."
            )

    @classmethod
    def zero(cls, grid: Grid, device: torch.device | str = "cpu") -> Displacement:
        """The one that moves nothing."""
        return cls(torch.zeros((1, grid.ndim, *grid.shape), device=device), grid)

    @classmethod
    def from_vectors(cls, vectors: np.ndarray, grid: Grid) -> Displacement:
        """From (*grid.shape, ndim) vectors in mm, components x, y[, z] in LPS."""
        return cls(grid.vectors_to_voxels(vectors), grid)

    @classmethod
    def mean(cls, displacements: Sequence[Displacement]) -> Displacement:
        """The mean of displacements on grids over the same field of view, on the grid of the first."""
        grid = displacements[0].grid
        return cls(torch.stack([each.at(grid.shape).values for each in displacements]).mean(dim=0), grid)

    def to(self, device: torch.device | str) -> Displacement:
        """The same on a device."""
        return Displacement(self.values.to(device), self.grid)

    def at(self, shape: Sequence[int]) -> Displacement:
        """The same on a grid of another shape (array order) whose first and last voxels lie where this one's do."""
        return Displacement(resize_displacement(self.values, shape), self.grid.resampled(tuple(shape)))

    def on(self, grid: Grid) -> Displacement:
        """The same on a grid with the same directions of its axes, anywhere in space; nothing outside this one's."""
        start = self.grid.indices(grid.points(np.zeros((1, grid.ndim))))[0][::-1]
        steps = np.array(grid.voxel_spacing) / np.array(self.grid.voxel_spacing)
        values = sample_axes(self.values, start.tolist(), steps.tolist(), grid.shape, outside=0.0)
        scale = torch.tensor(1 / steps, device=values.device, dtype=values.dtype).view(1, -1, *[1] * grid.ndim)
        return Displacement(values * scale, grid)

    def compose(self, inner: Displacement) -> Displacement:
        """(id + self) o (id + inner), on the grid of ``inner``, which spans the same field of view."""
        return Displacement(compose(self.at(inner.grid.shape).values, inner.values), inner.grid)

    def inverse(self, shape: Sequence[int] | None = None) -> Displacement:
        """V with (id + self) o (id + v) = id, on a grid of ``shape`` (its own unless given); self must be fold-free."""
        shape = tuple(shape or self.grid.shape)
        return Displacement(invert_evenly(self.values, shape), self.grid.resampled(shape))

    def jacobian(self) -> Tensor:
        """(1, 1, *grid.shape): the determinant of the deformation, 1 where the volume stays."""
        return jacobian_determinant(self.values)

    def vectors(self) -> np.ndarray:
        """(*grid.shape, ndim) vectors in mm, components x, y[, z] in LPS."""
        return self.grid.voxels_to_vectors(self.values)

    def transform(self) -> sitk.DisplacementFieldTransform:
        """As ITK has it: p -> p + u(p) in mm, LPS; linear between the grid's voxels, nothing outside."""
        import SimpleITK as sitk

        return sitk.DisplacementFieldTransform(self.grid.image(self.vectors().astype(np.float64), vector=True))
