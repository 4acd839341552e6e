"""A displacement beyond the grid it was computed on: it fades to nothing over some voxels, without folding."""

from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor

SMALLEST_WIDTH, WIDTH_PER_DISPLACEMENT = 4, 1.5
"""Voxels over which a displacement fades: at least so many, and so many for every voxel that the border moves. With
less than one for every voxel the border would overtake what lies still, and shear adds to that."""


def fading_widths(displacements: Tensor) -> tuple[int, ...]:
    """Voxels along each axis over which the displacements (B, ndim, *spatial) at the border fade without folding."""
    widths = []
    lengths = displacements.square().sum(dim=1).sqrt()
    for axis, size in enumerate(displacements.shape[2:], start=1):
        faces = lengths.index_select(axis, torch.tensor([0, size - 1], device=lengths.device))
        widths.append(max(SMALLEST_WIDTH, int(torch.ceil(WIDTH_PER_DISPLACEMENT * faces.amax()))))
    return tuple(widths)


def fade(displacements: Tensor, widths: Sequence[int]) -> Tensor:
    """Displacements (B, ndim, *spatial) on a grid that reaches ``widths`` voxels further on either side of each axis.

    Beyond the border they are those of the nearest voxel of the border, times a weight that falls evenly from one there
    to zero at the new border.
    """
    ndim = displacements.shape[1]
    padding = [width for width in reversed(widths) for _ in range(2)]
    wide = functional.pad(displacements, padding, mode="replicate")
    distance = wide.new_zeros(())
    for axis, (width, size) in enumerate(zip(widths, displacements.shape[2:])):
        index = torch.arange(size + 2 * width, device=wide.device, dtype=wide.dtype) - width
        beyond = torch.maximum(-index, index - (size - 1)).clamp(min=0) / width
        distance = distance + beyond.view([-1 if other == axis else 1 for other in range(ndim)]).square()
    return wide.mul_((1 - distance.sqrt()).clamp(min=0))
