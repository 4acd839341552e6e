"""The guide by ignored regions: a lesion or a resection keeps its volume, voxel by voxel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from DiffuseMorphCore.similarity.image_pair import ImagePair
from DiffuseMorphCore.similarity.term import spatial_gradient
from DiffuseMorphCore.warp import downsample, jacobian_determinant, resize_displacement, warp

_PULL = 40.0  # of a logarithm of the Jacobian that falls by 1 in a voxel, in mean lengths of the images' force
_VOLUMES = (0.05, 20.0)


@dataclass(frozen=True)
class KeptVolume:
    """Pulls the logarithm of the Jacobian to 0 in a region.

    fixed, moving : (1, 1, *spatial) on the working grid, 1 in the region that is marked on the image, the moving one
    aligned; None where nothing is.
    """

    fixed: Tensor | None
    moving: Tensor | None

    measure = "kept volume"
    bytes_per_voxel = 60

    def prepare(self, pair: ImagePair, displacement: Tensor, shape: tuple[int, ...]) -> PreparedVolume:
        """The regions on the level's grid."""
        return PreparedVolume(
            *(
                None if region is None else downsample(region.to(displacement), shape)
                for region in (self.fixed, self.moving)
            )
        )


class PreparedVolume:
    """The regions on one level; see :class:`.term.PreparedTerm`. The force is in mean lengths of the images' one."""

    def __init__(self, fixed: Tensor | None, moving: Tensor | None) -> None:
        self.fixed, self.moving = fixed, moving

    def value(self, displacement: Tensor) -> Tensor:
        """1 where no volume in the regions changes, a half where it changes by a factor of e."""
        weight, logarithm = self._seen(displacement)
        change = (weight * logarithm.abs()).flatten(1).sum(dim=1) / weight.flatten(1).sum(dim=1).clamp_min(1e-6)
        return 1 / (1 + change)

    def force(self, displacement: Tensor) -> tuple[Tensor, Tensor]:
        """The value, and minus the derivative of half the weighted square of log J for an extra displacement d, under
        which log J changes by div d + d · grad log J.
        """
        weight, logarithm = self._seen(displacement)
        weighted = weight * logarithm
        force = spatial_gradient(weighted) - weighted * spatial_gradient(logarithm)
        return self.value(displacement), _PULL * force

    def _seen(self, displacement: Tensor) -> tuple[Tensor, Tensor]:
        shape = displacement.shape[2:]
        logarithm = jacobian_determinant(displacement).clamp(*_VOLUMES).log()
        weight = torch.zeros_like(logarithm)
        if self.fixed is not None:
            weight = torch.maximum(weight, downsample(self.fixed, shape))
        if self.moving is not None:
            moved = warp(self.moving, resize_displacement(displacement, self.moving.shape[2:]))
            weight = torch.maximum(weight, downsample(moved, shape))
        return weight, logarithm
