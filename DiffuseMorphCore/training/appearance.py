"""From labels to images: random contrast, texture, bias field, gamma, blur, noise and artefacts, after SynthMorph's
recipe (Hoffmann et al., "SynthMorph: learning contrast-invariant registration without acquired images", TMI 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from DiffuseMorphCore.seeds import normal_on
from DiffuseMorphCore.training.artefacts import cut_field_of_view, lesion, thick_slices
from DiffuseMorphCore.training.augmentation import smooth_noise, uniform
from DiffuseMorphCore.warp import smooth

# FreeSurfer ids of the right half, and their twins on the left: both halves of a structure look alike in a scan.
_TWINS = {
    41: 2,
    42: 3,
    43: 4,
    44: 5,
    46: 7,
    47: 8,
    49: 10,
    50: 11,
    51: 12,
    52: 13,
    53: 17,
    54: 18,
    57: 25,
    58: 26,
    60: 28,
    62: 30,
    63: 31,
    137: 136,
    164: 163,
}
_FLUID = {4, 5, 14, 15, 24, 30, 72}
_WHITE = {2, 7, 16, 28, 60, 85}


@dataclass(frozen=True)
class Appearance:
    """Limits of the random appearance.

    natural : share of pairs whose tissues are as bright as in a T1- or T2-weighted brain scan (FreeSurfer ids only).
    texture : largest standard deviation of slow intensity changes inside a label, intensities being in [0, 1].
    bias : largest standard deviation of the logarithm of the multiplicative bias field.
    gamma : largest standard deviation of the logarithm of gamma.
    blur : (smallest, largest) Gaussian sigma in voxels of the final grid; below 0.4 that grid shows aliasing.
    noise : largest standard deviation of the noise of a voxel.
    lesions, thick_slices, cuts : shares of the images with a lesion, with thick slices, with a field of view cut short.
    """

    natural: float = 0.5
    texture: float = 0.05
    bias: float = 0.3
    gamma: float = 0.25
    blur: tuple[float, float] = (0.4, 0.7)
    noise: float = 0.02
    lesions: float = 0.0
    thick_slices: float = 0.0
    cuts: float = 0.0

    def scaled(self, breadth: float) -> Appearance:
        """Milder limits for the beginning of a training: from a third (0) to all (1) of the strengths and shares."""
        share = (1 + 2 * breadth) / 3
        return replace(
            self,
            **{
                name: share * getattr(self, name)
                for name in ("bias", "gamma", "noise", "lesions", "thick_slices", "cuts")
            },
        )


def random_contrast(ids: Sequence[int], natural: float, random: torch.Generator) -> Tensor:
    """Brightness (len(ids),) in [0, 1] of every label; the background (first) black, twins of both halves equal."""
    values = torch.rand(len(ids), generator=random)
    brain = _WHITE & set(ids) and _FLUID & set(ids)
    if uniform(0, 1, random) < natural and brain:
        fluid, white, grey = uniform(0, 0.25, random), uniform(0.75, 1, random), uniform(0.4, 0.75, random)
        if uniform(0, 1, random) < 0.3:  # as in a T2-weighted scan: fluid brightest, white matter darkest
            fluid, white, grey = uniform(0.85, 1, random), uniform(0.2, 0.4, random), uniform(0.45, 0.7, random)
        spread = 0.06 * (2 * values - 1)
        tissue = [_TWINS.get(label, label) for label in ids]
        means = torch.tensor([fluid if t in _FLUID else white if t in _WHITE else grey for t in tissue])
        values = (means + spread).clamp(0, 1)
    place = {label: index for index, label in enumerate(ids)}
    for index, label in enumerate(ids):
        values[index] = values[place.get(_TWINS.get(label, label), index)]
    values[0] = 0
    return values


def render(labels: Tensor, contrast: Tensor, limits: Appearance, coarser: float, random: torch.Generator) -> Tensor:
    """Image (1, 1, *spatial) in about [0, 1] of a label map (1, 1, *spatial) of indices into `contrast`.

    coarser : how many of its voxels one voxel of the final grid is long; the blur grows with it, against aliasing.
    The background keeps its brightness exactly, as after brain extraction; edges are blurred by the scanner's width.
    """
    shape, device = labels.shape[2:], labels.device
    image = contrast.to(device)[labels.long()]
    texture = smooth_noise(shape, coarser * uniform(1, 4, random), 1, random, device)
    image = image + uniform(0, limits.texture, random) * texture * (labels > 0)
    return smooth(image, coarser * uniform(*limits.blur, random))


def degrade(image: Tensor, limits: Appearance, random: torch.Generator) -> Tensor:
    """Artefacts, bias field, gamma and noise on an image in about [0, 1], then scaled to [-1, 1] as `scaled` does."""
    shape, device = image.shape[2:], image.device
    if uniform(0, 1, random) < limits.lesions:
        image = lesion(image, random)
    if uniform(0, 1, random) < limits.thick_slices:
        image = thick_slices(image, random)
    coarse = max(shape) * uniform(0.3, 0.6, random)
    bias = smooth_noise(shape, coarse, 1, random, device) * uniform(0, limits.bias, random)
    noise = normal_on(device, image.shape, random) * uniform(0, limits.noise, random)
    gamma = float(torch.randn((), generator=random) * limits.gamma)
    inside = image > 1e-3
    image = image.clamp_min(0).mul(bias.exp())
    image = (image / image.amax().clamp_min(1e-6)).pow(2.718281828**gamma)
    image = (image + noise * inside).clamp_min(0)
    return scaled(cut_field_of_view(image, random) if uniform(0, 1, random) < limits.cuts else image)


def scaled(image: Tensor) -> Tensor:
    """Any image brought to [-1, 1] by its 0.1 and 99.9 percentiles; a constant image becomes -1."""
    values = image.flatten().sort().values
    low, high = values[int(0.001 * (len(values) - 1))], values[int(round(0.999 * (len(values) - 1)))]
    return ((image - low) / (high - low).clamp_min(1e-6)).clamp(0, 1) * 2 - 1
