"""The two images of a registration on their working grid."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from DiffuseMorphCore.warp import downsample, warp


@dataclass(frozen=True)
class WorkingPair:
    """Both images on the working grid, the moving one aligned: (1, 1, *spatial) in [0, 1], masks likewise or None.

    fixed_tissue, moving_tissue : the share of each voxel that is not background, that is, has more than the lowest
    intensity of its scan; None where it is not needed.
    """

    fixed: Tensor
    moving: Tensor
    fixed_mask: Tensor | None = None
    moving_mask: Tensor | None = None
    fixed_tissue: Tensor | None = None
    moving_tissue: Tensor | None = None

    def _each(self, change) -> WorkingPair:
        parts = (getattr(self, each.name) for each in fields(self))
        return WorkingPair(*(None if part is None else change(part) for part in parts))

    def to(self, device: torch.device) -> WorkingPair:
        """The same on a device."""
        return self._each(lambda part: part.to(device))

    def at(self, shape: tuple[int, ...]) -> WorkingPair:
        """The same on a coarser grid with the same end points."""
        return self._each(lambda part: downsample(part, shape))

    def overlap(self, displacement: Tensor) -> Tensor | None:
        """Weights (1, 1, *spatial) of the voxels inside both masks, the moving one warped; None without masks."""
        if self.moving_mask is None:
            return self.fixed_mask
        moved = warp(self.moving_mask, displacement)
        return moved if self.fixed_mask is None else moved * self.fixed_mask
