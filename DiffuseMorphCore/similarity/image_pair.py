"""The two images that similarity terms compare, on one grid."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from DiffuseMorphCore.warp import downsample, warp

_SAME = 1e-4  # difference of intensities from 0 to 1 that is rounding


@dataclass(frozen=True)
class ImagePair:
    """A fixed and a moving image on one grid, the moving one aligned.

    Parts are (B, C, *spatial), masks and tissue (B, 1, *spatial); a batch of one serves every displacement.

    fixed, moving : intensities in [0, 1].
    fixed_mask, moving_mask : 1 where the image counts, 0 where it does not; None: everywhere.
    fixed_tissue, moving_tissue : the share of each voxel that is not background, that is, has more than the lowest
        intensity of its scan; None where no term needs it.
    fixed_canonical, moving_canonical : both images in the canonical contrast of a model, in [0, 1]; None without one.
    """

    fixed: Tensor
    moving: Tensor
    fixed_mask: Tensor | None = None
    moving_mask: Tensor | None = None
    fixed_tissue: Tensor | None = None
    moving_tissue: Tensor | None = None
    fixed_canonical: Tensor | None = None
    moving_canonical: Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The grid, in array order."""
        return tuple(self.fixed.shape[2:])

    def _each(self, change) -> ImagePair:
        parts = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(self, **{name: change(part) for name, part in parts.items() if isinstance(part, Tensor)})

    def to(self, device: torch.device) -> ImagePair:
        """The same on a device."""
        return self._each(lambda part: part.to(device))

    def at(self, shape: tuple[int, ...]) -> ImagePair:
        """The same on a coarser grid with the same end points."""
        return self._each(lambda part: downsample(part, shape))

    def item(self, index: int) -> ImagePair:
        """One pair of a batch, as a batch of one; a batch of one serves every index."""
        return self._each(lambda part: part if part.shape[0] == 1 else part[index : index + 1])

    def identical(self) -> bool:
        """Whether the images are the same as they lie, but for rounding, wherever both count."""
        difference = (self.fixed - self.moving).abs()
        for mask in (self.fixed_mask, self.moving_mask):
            if mask is not None:
                difference = difference * mask
        return float(difference.amax()) < _SAME

    def overlap(self, displacement: Tensor) -> Tensor | None:
        """Weights (B, 1, *spatial) of the voxels inside both masks, the moving one warped; None without masks."""
        if self.moving_mask is None:
            return self.fixed_mask
        moved = warp(self.moving_mask, displacement)
        return moved if self.fixed_mask is None else moved * self.fixed_mask
