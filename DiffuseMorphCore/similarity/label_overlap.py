"""The guide by labels: soft overlap of the same labels drawn on both images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from DiffuseMorphCore.similarity.image_pair import ImagePair
from DiffuseMorphCore.similarity.term import chain
from DiffuseMorphCore.warp import downsample, resize_displacement, warp

_PULL = 12.0  # of a border that is as wrong as can be, in mean lengths of the images' force


@dataclass(frozen=True)
class LabelOverlap:
    """Pulls labels over one another.

    labels : the label maps on the working grid, as codes: every label a vector of its own in (1, C, *spatial), the
        background 0, so that few channels serve any number of labels.
    """

    labels: ImagePair

    measure = "overlap of labels"
    bytes_per_voxel = 60

    def prepare(self, pair: ImagePair, displacement: Tensor, shape: tuple[int, ...]) -> PreparedOverlap:
        """The labels' codes on the level's grid."""
        return PreparedOverlap(self.labels.to(displacement.device).at(shape))


class PreparedOverlap:
    """Labels on one level; see :class:`.term.PreparedTerm`. The force is in mean lengths of the images' one."""

    def __init__(self, labels: ImagePair) -> None:
        self.labels = labels

    def value(self, displacement: Tensor) -> Tensor:
        """2 a·b / (a·a + b·b) of the codes: for labels with codes at right angles the soft Dice of all together."""
        displacement = resize_displacement(displacement, self.labels.shape)
        return self._overlap(warp(self.labels.moving, displacement))

    def force(self, displacement: Tensor) -> tuple[Tensor, Tensor]:
        """The value, and the pull that lessens the squared difference of the codes."""
        own = displacement.shape[2:]
        displacement = resize_displacement(displacement, self.labels.shape)
        warped = warp(self.labels.moving, displacement)
        slopes = self.labels.fixed.expand_as(warped) - warped
        return self._overlap(warped), _PULL * downsample(chain(slopes, warped), own)

    def _overlap(self, warped: Tensor) -> Tensor:
        fixed = self.labels.fixed.expand_as(warped)
        common = (fixed * warped).flatten(1).sum(dim=1)
        return 2 * common / (fixed.square() + warped.square()).flatten(1).sum(dim=1).clamp_min(1e-6)


def label_codes(count: int) -> Tensor:
    """(count, C): a unit vector for each label; at right angles for up to eight, else drawn by a fixed seed."""
    if count <= 8:
        return torch.eye(count)
    codes = torch.randn((count, 8), generator=torch.Generator().manual_seed(0))
    return codes / codes.norm(dim=1, keepdim=True)
