"""Where a voxel grid lies in space: millimetres, LPS and orientation appear here and nowhere else in the
registration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    import SimpleITK as sitk


@dataclass(frozen=True)
class Grid:
    """Geometry of an image in ITK's terms: ``size``, ``spacing`` (mm) and ``origin`` (LPS mm) in x, y[, z] order,
    ``direction`` as ITK's row-major matrix whose columns are the directions of the axes.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image) -> Grid:
        """The grid of a SimpleITK image."""
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    @property
    def ndim(self) -> int:
        return len(self.size)

    @property
    def shape(self) -> tuple[int, ...]:
        """Size in array order: (z, y, x) or (y, x)."""
        return tuple(reversed(self.size))

    @property
    def voxel_spacing(self) -> tuple[float, ...]:
        """Spacing in mm in array order."""
        return tuple(reversed(self.spacing))

    def resampled(self, shape: tuple[int, ...]) -> Grid:
        """A grid of another ``shape`` (array order) whose first and last voxel centres coincide with this one's."""
        size = tuple(reversed(shape))
        spacing = tuple(
            step * (old - 1) / max(new - 1, 1) if old > 1 else step
            for step, old, new in zip(self.spacing, self.size, size)
        )
        return Grid(size, spacing, self.origin, self.direction)

    def part(self, start: tuple[int, ...], size: tuple[int, ...]) -> Grid:
        """The grid of ``size`` voxels from voxel ``start`` on, both in x, y[, z] order; it may reach beyond this
        one.
        """
        origin = tuple(self.points(np.array([start], dtype=float))[0].tolist())
        return Grid(tuple(size), self.spacing, origin, self.direction)

    def points(self, indices: np.ndarray) -> np.ndarray:
        """Points (N, ndim) in mm, LPS, of voxel indices (N, ndim), which may have fractions, in x, y[, z] order."""
        direction = np.array(self.direction).reshape(self.ndim, self.ndim)
        return np.array(self.origin) + (indices * np.array(self.spacing)) @ direction.T

    def indices(self, points: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`points`."""
        direction = np.array(self.direction).reshape(self.ndim, self.ndim)
        return (np.asarray(points) - np.array(self.origin)) @ np.linalg.inv(direction).T / np.array(self.spacing)

    def shape_at(self, spacing: float) -> tuple[int, ...]:
        """Shape (array order) with voxels of about ``spacing`` mm, never finer than this grid's own."""
        return tuple(
            min(size, max(int(round((size - 1) * step / spacing)) + 1, min(size, 4)))
            for size, step in zip(self.shape, self.voxel_spacing)
        )

    def image(self, values: Tensor | np.ndarray, vector: bool = False) -> sitk.Image:
        """A SimpleITK image on this grid; ``values`` in array order, vector components last when ``vector``."""
        import SimpleITK as sitk

        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        result = sitk.GetImageFromArray(np.ascontiguousarray(array), isVector=vector)
        self.place(result)
        return result

    def place(self, image: sitk.Image) -> None:
        """Give an image of this size this grid's spacing, origin and direction."""
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)

    def voxels_to_vectors(self, displacement: Tensor) -> np.ndarray:
        """A displacement (1, ndim, *spatial) in voxels of this grid as vectors (*spatial, ndim) in mm, x, y[, z] in
        LPS.
        """
        matrix = torch.tensor(
            np.array(self.direction).reshape(self.ndim, self.ndim) * np.array(self.spacing),
            dtype=displacement.dtype,
            device=displacement.device,
        )
        steps = displacement[0].flip(0).flatten(1)
        vectors = (matrix @ steps).T.reshape(*displacement.shape[2:], self.ndim)
        return vectors.cpu().numpy()

    def vectors_to_voxels(self, vectors: np.ndarray) -> Tensor:
        """The inverse of :meth:`voxels_to_vectors`: (*spatial, ndim) in mm, LPS, to (1, ndim, *spatial) in voxels."""
        matrix = np.array(self.direction).reshape(self.ndim, self.ndim) * np.array(self.spacing)
        steps = np.asarray(vectors, dtype=np.float64) @ np.linalg.inv(matrix).T
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(steps[..., ::-1], -1, 0))[None]).float()
