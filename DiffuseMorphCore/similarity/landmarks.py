"""The guide by landmarks: points of the fixed image that are to arrive at given points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from DiffuseMorphCore.similarity.image_pair import ImagePair
from DiffuseMorphCore.warp import sample_points, smooth

_REACH = 2.0  # voxels of a level over which a landmark pulls its neighbours along
_PULL = 6.0  # of a landmark a voxel or more away from its target, in mean lengths of the images' force


@dataclass(frozen=True)
class LandmarkPull:
    """Pulls every landmark straight to its target.

    points, targets : (N, ndim) voxel coordinates on the working grid of shape ``shape``, in axis order: where a
    landmark of the fixed image is, and where its counterpart lies, the alignment undone.
    """

    points: Tensor
    targets: Tensor
    shape: tuple[int, ...]

    measure = "nearness of landmarks"
    bytes_per_voxel = 40

    def prepare(self, pair: ImagePair, displacement: Tensor, shape: tuple[int, ...]) -> PreparedLandmarks:
        """The landmarks, whose coordinates are brought to any grid when they are used."""
        return PreparedLandmarks(self)

    def without(self, index: int) -> LandmarkPull:
        """The same with one landmark left out."""
        kept = [number for number in range(len(self.points)) if number != index]
        return LandmarkPull(self.points[kept], self.targets[kept], self.shape)

    def remaining(self, displacement: Tensor) -> Tensor:
        """(B, N, ndim): the way that is left from each landmark to its target, in voxels of the displacement's grid."""
        shape = displacement.shape[2:]
        points, targets = (scaled(each.to(displacement), self.shape, shape) for each in (self.points, self.targets))
        return torch.stack([targets - points - sample_points(item[None], points) for item in displacement])


class PreparedLandmarks:
    """The landmarks on any level; see :class:`.term.PreparedTerm`. The force is in mean lengths of the images' one."""

    def __init__(self, guide: LandmarkPull) -> None:
        self.guide = guide

    def value(self, displacement: Tensor) -> Tensor:
        """1 where every landmark has arrived, a half where they are a voxel of the working grid away."""
        left = self.guide.remaining(displacement)
        scale = left.new_tensor(
            [(full - 1) / max(own - 1, 1) for full, own in zip(self.guide.shape, displacement.shape[2:])]
        )
        return (1 / (1 + (left * scale).norm(dim=-1))).mean(dim=-1)

    def force(self, displacement: Tensor) -> tuple[Tensor, Tensor]:
        """The value, and the pull: full from a voxel on, in proportion to what is left below."""
        left = self.guide.remaining(displacement)
        pull = left / left.norm(dim=-1, keepdim=True).clamp_min(1.0)
        shape = displacement.shape[2:]
        places = scaled(self.guide.points.to(displacement), self.guide.shape, shape).round().long()
        inside = ((places >= 0) & (places < places.new_tensor(shape))).all(dim=-1)
        index = places.new_zeros(len(places))
        for axis, size in enumerate(shape):
            index = index * size + places[:, axis].clamp(0, size - 1)
        index = index[inside]
        spread = displacement.new_zeros((len(displacement), len(shape) + 1, displacement[0, 0].numel()))
        spread[:, :-1].index_add_(2, index, pull[:, inside].transpose(1, 2))
        spread[:, -1:].index_add_(2, index, pull.new_ones((len(displacement), 1, len(index))))
        spread = smooth(spread.view(len(displacement), -1, *shape), _REACH)
        # A landmark by itself pulls with a Gaussian of height 1; where several reach, with their mean.
        single = displacement.new_zeros((1, 1, *[17] * len(shape)))
        single[(0, 0, *[8] * len(shape))] = 1
        height = smooth(single, _REACH).amax()
        return self.value(displacement), _PULL * spread[:, :-1] / spread[:, -1:].clamp_min(height)


def scaled(points: Tensor, own: Sequence[int], other: Sequence[int]) -> Tensor:
    """Voxel coordinates (N, ndim) of a grid of shape ``own`` on one of shape ``other`` with the same end points."""
    factors = [(to - 1) / max(size - 1, 1) for size, to in zip(own, other)]
    return points * points.new_tensor(factors)
