"""What every similarity term offers, so that a registration can add up any of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from DiffuseMorphCore.similarity.image_pair import ImagePair
from DiffuseMorphCore.warp import in_slabs, with_neighbours

REFERENCE_VOXELS = {2: 512 * 512, 3: 1_600_000}
"""Voxels of the grid, over any field of view, up to which lengths are counted in voxels; about 1.5 mm for a brain. On
finer ones they keep their millimetres, because the anatomy is no finer there."""


def fineness(shape: Sequence[int]) -> float:
    """How many times as many voxels a side a grid has as the reference grid; 1 where it has fewer."""
    return max(1.0, (math.prod(shape) / REFERENCE_VOXELS[len(shape)]) ** (1 / len(shape)))


def fine_window(window: int, shape: Sequence[int]) -> int:
    """The side in voxels, odd, of a window of ``window`` voxels of the reference grid on a grid of ``shape``."""
    return 2 * round((window * fineness(shape) - 1) / 2) + 1


@runtime_checkable
class PreparedTerm(Protocol):
    """A term that has seen its images on one level of resolution. Displacements may be on a coarser grid than these."""

    def value(self, displacement: Tensor) -> Tensor:
        """How similar the images are under displacements (B, ndim, *spatial), in voxels of their own grid, pulling.

        Returns (B,): 1 where they match perfectly, about 0 where they have nothing to do with each other.
        """

    def force(self, displacement: Tensor) -> tuple[Tensor, Tensor]:
        """The value (B,), and its derivative for a small extra displacement d, composed as (id + u) o (id + d).

        The derivative has the shape and the grid of ``displacement``. It is that of the voxel's own displacement, so
        it gets smaller with the number of voxels.
        """


@runtime_checkable
class SimilarityTerm(Protocol):
    """One way to compare two images.

    measure : what its value is, in words for a report.
    bytes_per_voxel : memory for every voxel of the images' grid at the height of :meth:`PreparedTerm.force`, without
        the pair and the displacement.
    uses_tissue : whether the pair shall have its shares of tissue.
    uses_canonical : whether it compares the images in a model's canonical contrast, and is left out where there is
        none.
    """

    measure: str
    bytes_per_voxel: int
    uses_tissue: bool
    uses_canonical: bool

    def prepare(self, pair: ImagePair, displacement: Tensor, shape: tuple[int, ...]) -> PreparedTerm:
        """Do once a level what does not depend on the displacement in the making.

        Parameters
        ----------
        pair : the images on the working grid, finer than or equal to the level's.
        displacement : (B, ndim, *spatial) found so far, in voxels of the working grid, for terms that learn from it.
        shape : the level's grid, in array order.
        """


class Guide(Protocol):
    """What pulls beside the images: it knows the working grid, and its force has the unit of theirs.

    measure, bytes_per_voxel, prepare : as of a :class:`SimilarityTerm`; the force of what is prepared is in multiples
    of the mean length of the images' force, whatever the number of voxels.
    """

    measure: str
    bytes_per_voxel: int

    def prepare(self, pair: ImagePair, displacement: Tensor, shape: tuple[int, ...]) -> PreparedTerm:
        """Do once a level what does not depend on the displacement in the making."""


def spatial_gradient(image: Tensor) -> Tensor:
    """(B, ndim, *spatial) central differences of an image (B, 1, *spatial), one-sided at the border."""
    return torch.stack(torch.gradient(image[:, 0], dim=tuple(range(1, image.dim() - 1))), dim=1)


def chain(slopes: Tensor, warped: Tensor) -> Tensor:
    """(B, ndim, *spatial): the derivative for a small extra displacement, from that for the warped image's channels.

    slopes, warped : (B, C, *spatial). Channel after channel, so that memory is needed for one at a time.
    """
    shape = warped.shape[2:]
    total = warped.new_zeros((warped.shape[0], len(shape), *shape))

    def slab(part: slice) -> None:
        wide, own = with_neighbours(part, shape[0])
        for channel in range(warped.shape[1]):
            gradient = spatial_gradient(warped[:, channel : channel + 1, wide])[:, :, own]
            total[:, :, part].addcmul_(slopes[:, channel : channel + 1, part], gradient)

    in_slabs(slab, shape, warped.device)
    return total
