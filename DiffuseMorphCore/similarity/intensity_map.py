"""What one image's intensities mean in another: the mean intensity of the second at every intensity of the first.

Two images of different contrast, roughly aligned, tell this by themselves: the rows of their joint histogram have
means. Roche et al. ("The correlation ratio as a new similarity measure for multimodal image registration", MICCAI 1998)
build a similarity on them; Guimond et al. ("Three-dimensional multimodal brain warping using the demons algorithm and
adaptive intensity corrections", IEEE TMI 2001) map one image through a polynomial fitted to the pairs of intensities.
An image mapped so can be compared by its intensities again.
"""

from __future__ import annotations

import torch
from torch import Tensor

from DiffuseMorphCore.warp.filters import smooth

BINS = 64
"""Intensities at which the map is kept; it is linear in between."""
_SAMPLES = 500_000  # voxels that are looked at: enough for 64 means, and little to bring over from a GPU
_LEAST_SHARE = 1e-5  # an intensity that fewer voxels have says nothing of its own: the mean of all of them takes over


def intensity_map(source: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of ``target`` at each of :data:`BINS` even intensities of ``source`` from 0 to 1, as a (BINS,) tensor.

    Parameters
    ----------
    source, target : tensors of one shape on one grid; ``source`` in [0, 1], values outside count as the nearest end.
    weight : of the same shape, from 0 (ignored) to 1, or None. Without any weight the map is 0 everywhere.

    Returns
    -------
    (BINS,) float on the device of ``source``; intensities that hardly occur are given the mean of their neighbours or,
    far from all others, of the whole image. The same voxels give the same map to the last digit on every device.
    """
    step = -(-source.numel() // _SAMPLES)
    # Sums on a GPU come in any order; on the CPU they do not, and half a million voxels are quickly there.
    x, y = (image.flatten()[::step].cpu().double() for image in (source, target))
    share = torch.ones_like(x) if weight is None else weight.flatten()[::step].cpu().double()
    position = x.clamp(0, 1) * (BINS - 1)
    lower = position.floor().clamp(max=BINS - 2)
    upper_share = position - lower
    count, total = torch.zeros(2, BINS, dtype=torch.float64)
    for index, part in ((lower.long(), (1 - upper_share) * share), (lower.long() + 1, upper_share * share)):
        count += torch.bincount(index, part, BINS)
        total += torch.bincount(index, part * y, BINS)
    everything, mean = count.sum(), total.sum() / count.sum().clamp(min=1e-12)
    count, total = (smooth(values.view(1, 1, 1, BINS), (0.0, 1.0)).view(BINS) for values in (count, total))
    least = (_LEAST_SHARE * everything).clamp(min=1e-12)
    return ((total + least * mean) / (count + least)).to(source)


def map_intensities(image: Tensor, table: Tensor) -> Tensor:
    """``image`` (any shape, in [0, 1]) with its intensities replaced by those of a map of :func:`intensity_map`."""
    position = image.clamp(0, 1) * (BINS - 1)
    lower = position.floor().clamp(max=BINS - 2)
    fraction = position - lower
    lower = lower.int()
    return torch.lerp(table[lower], table[lower + 1], fraction)
