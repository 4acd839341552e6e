"""What scanners and disease do to an image, beyond bias and noise: lesions, thick slices, a field of view cut short.

Each takes and gives an image (1, 1, *spatial) in [0, 1] on the grid of the pair. Training images get them, the
rendering that the similarity compares does not: the networks learn to see past them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from DiffuseMorphCore.training.augmentation import grid_points, integer, smooth_noise, uniform
from DiffuseMorphCore.warp import resize


def lesion(image: Tensor, random: torch.Generator) -> Tensor:
    """A blob of any brightness, 5 to 15 % of the grid in radius, with an uneven outline, inside what is not
    background.
    """
    shape, device = image.shape[2:], image.device
    tissue = torch.nonzero(image[0, 0] > 0.05)
    if not len(tissue):
        return image
    centre = tissue[integer(len(tissue), random)].float()
    points = grid_points(shape, device) + torch.tensor([(side - 1) / 2 for side in shape], device=device)
    radius = max(shape) * uniform(0.05, 0.15, random)
    stretch = torch.tensor([uniform(0.7, 1.4, random) for _ in shape], device=device)
    distance = ((points - centre) / (radius * stretch)).norm(dim=1).reshape(image.shape)
    outline = 1 + 0.25 * smooth_noise(shape, max(2.0, radius / 2), 1, random, device)
    inside = torch.sigmoid((outline - distance) * radius) * (image > 0.02)
    return torch.lerp(image, torch.full_like(image, uniform(0, 1, random)), inside)


def thick_slices(image: Tensor, random: torch.Generator) -> Tensor:
    """Along one axis, slices 1.5 to 4 times as thick, resampled to the grid as any viewer would."""
    shape = list(image.shape[2:])
    axis = integer(len(shape), random)
    shape[axis] = max(2, round(shape[axis] / uniform(1.5, 4, random)))
    mean = {2: functional.adaptive_avg_pool2d, 3: functional.adaptive_avg_pool3d}[len(shape)]
    return resize(mean(image, shape), image.shape[2:])


def cut_field_of_view(image: Tensor, random: torch.Generator) -> Tensor:
    """Nothing (0) beyond one or two planes, each 5 to 30 % of a side away from the border."""
    image = image.clone()
    for _ in range(1 + integer(2, random)):
        axis = integer(image.dim() - 2, random)
        side = image.shape[2 + axis]
        width = max(1, round(side * uniform(0.05, 0.3, random)))
        image.narrow(2 + axis, integer(2, random) * (side - width), width).zero_()
    return image
