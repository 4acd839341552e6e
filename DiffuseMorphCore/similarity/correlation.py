"""The similarity term for images of one contrast: mean squared local correlation, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from DiffuseMorphCore.similarity.correlation_slope import StillImage
from DiffuseMorphCore.similarity.image_pair import ImagePair
from DiffuseMorphCore.similarity.local_correlation import local_correlation
from DiffuseMorphCore.similarity.term import chain, fine_window
from DiffuseMorphCore.warp import downsample, resize_displacement, warp


@dataclass(frozen=True)
class LocalCorrelation:
    """Mean squared local correlation; blind to the sign, so contrasts may be inverted, but not exchanged.

    window : side of the window in voxels of the level, odd; as long in mm on all that are finer than the reference.
    """

    window: int = 5

    measure = "mean squared local correlation"
    bytes_per_voxel = 150
    uses_tissue = False
    uses_canonical = False

    def prepare(self, pair: ImagePair, displacement: Tensor, shape: tuple[int, ...]) -> PreparedCorrelation:
        """The images on the level's grid."""
        return PreparedCorrelation(pair.at(shape), fine_window(self.window, shape))


class PreparedCorrelation:
    """Local correlation of two images on one level; see :class:`.term.PreparedTerm`."""

    def __init__(self, pair: ImagePair, window: int) -> None:
        self.pair, self.window = pair, window
        masked = pair.fixed_mask is not None or pair.moving_mask is not None
        self.still = None if masked else StillImage(pair.fixed, window)

    def value(self, displacement: Tensor) -> Tensor:
        displacement = resize_displacement(displacement, self.pair.shape)
        return self._compare(warp(self.pair.moving, displacement), displacement)

    def force(self, displacement: Tensor) -> tuple[Tensor, Tensor]:
        own = displacement.shape[2:]
        displacement = resize_displacement(displacement, self.pair.shape)
        warped = warp(self.pair.moving, displacement)
        if self.still is not None:
            value, slopes = self.still.compare(warped)
            return value, downsample(chain(slopes, warped), own)
        with torch.enable_grad():
            leaf = warped.requires_grad_()
            value = self._compare(leaf, displacement)
            (slopes,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), downsample(chain(slopes, warped.detach()), own)

    def _compare(self, warped: Tensor, displacement: Tensor) -> Tensor:
        weight = self.pair.overlap(displacement)
        return local_correlation(warped, self.pair.fixed.expand_as(warped), self.window, weight, each=True)
