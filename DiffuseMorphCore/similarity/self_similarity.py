"""The similarity term for images whose intensities cannot be compared: self-similarity descriptors (MIND-SSC).

Heinrich et al. ("Towards realtime multimodal fusion for image-guided interventions using self-similarities", MICCAI
2013) describe a voxel by how much its neighbours' patches differ from each other, divided by how much they do so on
average there. What a tissue looks like cancels; where tissues meet remains. Compared are the descriptors, by their
squared difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from DiffuseMorphCore.similarity.image_pair import ImagePair
from DiffuseMorphCore.similarity.term import spatial_gradient
from DiffuseMorphCore.warp import downsample, resize_displacement, smooth, warp

_RANGE = (1e-3, 1e3)
"""The local variance is not taken for less or more than these multiples of its mean over the image."""
_LEAST_DIFFERENCE = 1e-5
"""Of the largest intensity: what differs by less is taken for equal."""
_TOGETHER = 4  # channels that are warped at a time


@dataclass(frozen=True)
class SelfSimilarity:
    """Concordance of self-similarity descriptors: 1 − mean squared difference / what it would be for unrelated images.

    Lin's coefficient ("A concordance correlation coefficient to evaluate reproducibility", Biometrics 1989), so that
    the value reads like the other terms': 1 for equal descriptors, about 0 for unrelated ones.

    patch : Gaussian width of a patch in voxels of the level. distance : from a voxel to its neighbours, in voxels.
    """

    patch: float = 0.8
    distance: int = 1

    measure = "concordance of self-similarity descriptors"
    bytes_per_voxel = 210
    uses_tissue = False
    uses_canonical = False

    def prepare(self, pair: ImagePair, displacement: Tensor, shape: tuple[int, ...]) -> PreparedSelfSimilarity:
        """The descriptors of both images on the level's grid."""
        level = pair.at(shape)
        return PreparedSelfSimilarity(level, self.patch, self.distance)


class PreparedSelfSimilarity:
    """Descriptors of two images on one level, kept in 16 bits; see :class:`.term.PreparedTerm`."""

    def __init__(self, pair: ImagePair, patch: float, distance: int) -> None:
        self.pair = pair
        self.fixed = descriptors(pair.fixed, pair.fixed_mask, patch, distance)
        self.moving = descriptors(pair.moving, pair.moving_mask, patch, distance)
        self.unrelated = _unrelated(self.fixed, self.moving, pair)
        # A constant image has nothing that another could be similar to; all its entries are 1.
        self.told = (self.fixed.flatten(1).amin(dim=1) < 1) & (self.moving.flatten(1).amin(dim=1) < 1)

    def value(self, displacement: Tensor) -> Tensor:
        displacement = resize_displacement(displacement, self.pair.shape)
        weight = self._weight(displacement)
        parts = self._differences(displacement)
        return self._concordance(sum(_total(weight * difference.square()) for _, difference in parts), weight)

    def force(self, displacement: Tensor) -> tuple[Tensor, Tensor]:
        own = displacement.shape[2:]
        displacement = resize_displacement(displacement, self.pair.shape)
        weight = self._weight(displacement)
        total, slope = 0.0, torch.zeros_like(displacement)
        for warped, difference in self._differences(displacement):
            weighted = weight * difference
            total = total + _total(weighted * difference)
            for channel in range(warped.shape[1]):
                slope.addcmul_(weighted[:, channel : channel + 1], spatial_gradient(warped[:, channel : channel + 1]))
        scale = (-2 / self.unrelated).view(-1, *[1] * (slope.dim() - 1))
        return self._concordance(total, weight), downsample(slope.mul_(scale), own)

    def _weight(self, displacement: Tensor) -> Tensor:
        """(B, 1, *spatial) weights that sum up to one over voxels and channels, or to nothing where nothing can be
        told.
        """
        weight = self.pair.overlap(displacement)
        if weight is None:
            weight = displacement.new_ones((1, 1, *displacement.shape[2:]))
        scale = self.told / (_total(weight) * self.fixed.shape[1]).clamp_min(1e-12)
        return weight * scale.view(-1, *[1] * (weight.dim() - 1))

    def _differences(self, displacement: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Warped moving descriptors and what they differ by from the fixed ones, some channels at a time."""
        for fixed, moving in zip(self.fixed.split(_TOGETHER, dim=1), self.moving.split(_TOGETHER, dim=1)):
            warped = warp(moving, displacement)
            yield warped, warped - fixed

    def _concordance(self, mean_square: Tensor, weight: Tensor) -> Tensor:
        return torch.where(_total(weight) > 0, 1 - mean_square / self.unrelated, 0)


def descriptors(image: Tensor, mask: Tensor | None = None, patch: float = 0.8, distance: int = 1) -> Tensor:
    """MIND-SSC of an image: how much each pair of neighbouring patches around a voxel differs, as exp(−D / V).

    Parameters
    ----------
    image : (B, C, *spatial), two or three spatial axes; any scale and offset of the intensities gives the same.
    mask : (B, 1, *spatial), 0 where the image says nothing: values there have no influence. None: everywhere.
    patch : Gaussian width of a patch in voxels. distance : from a voxel to its neighbours, in voxels.

    Returns
    -------
    (B, C · pairs, *spatial) in (0, 1], 16 bits: 12 pairs of neighbours in 3-D, 4 in 2-D, those at a right angle. Beyond
    the border the outermost voxels are repeated. Where the image is constant every entry is 1.
    """
    parts = [_describe(channel, mask, patch, distance) for channel in image.float().split(1, dim=1)]
    return torch.cat(parts, dim=1)


def _describe(image: Tensor, mask: Tensor | None, patch: float, distance: int) -> Tensor:
    ndim = image.dim() - 2
    steps = [(axis, sign * distance) for axis in range(2, 2 + ndim) for sign in (1, -1)]
    pairs = [(a, b) for a, b in combinations(steps, 2) if a[0] != b[0]]
    result = image.new_empty((image.shape[0], len(pairs), *image.shape[2:]))
    for entry, (a, b) in zip(result.split(1, dim=1), pairs):
        difference = (_shifted(image, *a) - _shifted(image, *b)).square_()
        if mask is None:
            entry.copy_(smooth(difference, patch))
        else:
            weight = _shifted(mask, *a) * _shifted(mask, *b)
            weight = torch.where(weight > 0, weight, 0)
            entry.copy_(smooth(difference * weight, patch) / smooth(weight, patch).clamp_min(1e-6))
    result -= result.amin(dim=1, keepdim=True)
    variance = result.mean(dim=1, keepdim=True)
    typical = _mean(variance, mask)
    # Differences of the size of rounding are none: a constant image that was resampled is still constant.
    least = (_LEAST_DIFFERENCE * image.abs().amax()).square().clamp_min(torch.finfo(image.dtype).tiny * 1e6)
    result = torch.where(result > least, result, 0)
    variance = torch.minimum(torch.maximum(variance, _RANGE[0] * typical), _RANGE[1] * typical).clamp_min(least)
    return result.div_(variance).neg_().exp_().half()


def _shifted(image: Tensor, axis: int, step: int) -> Tensor:
    """The image as seen ``step`` voxels further along an axis, the outermost voxel repeated."""
    length = image.shape[axis]
    index = (torch.arange(length, device=image.device) + step).clamp_(0, length - 1)
    return image.index_select(axis, index)


def _unrelated(fixed: Tensor, moving: Tensor, pair: ImagePair) -> Tensor:
    """(B,): the mean squared difference to expect of descriptors that lie anywhere: both variances, and the means'
    square.
    """
    total: Tensor | float = 0.0
    for first, second in zip(fixed.split(1, dim=1), moving.split(1, dim=1)):
        first, second = first.float(), second.float()
        means = [_mean(first, pair.fixed_mask), _mean(second, pair.moving_mask)]
        squares = [_mean(first.square(), pair.fixed_mask), _mean(second.square(), pair.moving_mask)]
        total = total + (squares[0] + squares[1] - 2 * means[0] * means[1]).flatten()
    return (total / fixed.shape[1]).clamp_min(1e-6)


def _mean(image: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of each item of a batch within a mask, (B, 1, …), ready to be combined with the image."""
    axes = tuple(range(1, image.dim()))
    if mask is None:
        return image.mean(axes, keepdim=True)
    return (image * mask).sum(axes, keepdim=True) / mask.sum(axes, keepdim=True).clamp_min(1e-12)


def _total(image: Tensor) -> Tensor:
    return image.flatten(1).sum(dim=1)
