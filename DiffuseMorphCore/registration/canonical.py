"""Both images of a pair in the canonical contrast of a model, on the working grid.

The diffusion network has learnt anatomy in one orientation (LPS) and on voxels of some millimetres, so it is given the
images that way, whatever the order of their axes and their spacing, and what it gives is brought back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from DiffuseMorphCore.devices import computes_in_bf16
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.networks import DiffuseMorph
from DiffuseMorphCore.similarity import ImagePair
from DiffuseMorphCore.warp import downsample, smooth
from DiffuseMorphCore.warp.filters import box_sum

INSIDE = 0.8
"""Brightness, of 1, below which 95 % of the inside of an image lies when the network sees it."""


@dataclass(frozen=True)
class NetworkFrame:
    """From a grid's own order of axes to LPS order with cubic voxels, and back.

    order, flips : for each axis of the LPS array (foot to head first), the array axis of the grid that runs along it,
    and whether it runs the other way. shape : in LPS order. original : shape of the grid, in its own order.
    """

    order: tuple[int, ...]
    flips: tuple[bool, ...]
    shape: tuple[int, ...]
    original: tuple[int, ...]

    @classmethod
    def of(cls, grid: Grid, spacing: tuple[float, float]) -> NetworkFrame:
        """For a grid, with voxels as fine as its finest but within ``spacing`` (least, most) in mm."""
        direction = np.array(grid.direction).reshape(grid.ndim, grid.ndim)
        order, flips, left = [], [], list(range(grid.ndim))
        for axis in reversed(range(grid.ndim)):  # array order: z first
            nearest = max(left, key=lambda column: abs(direction[axis, column]))
            left.remove(nearest)
            order.append(grid.ndim - 1 - nearest)
            flips.append(bool(direction[axis, nearest] < 0))
        side = min(max(min(grid.spacing), spacing[0]), spacing[1])
        shape = tuple(max(4, round((grid.shape[axis] - 1) * grid.voxel_spacing[axis] / side) + 1) for axis in order)
        return cls(tuple(order), tuple(flips), shape, grid.shape)

    def into(self, image: Tensor) -> Tensor:
        """(B, C, *original) -> (B, C, *shape)."""
        turned = image.permute(0, 1, *(2 + axis for axis in self.order))
        return downsample(turned.flip(self._flipped()).contiguous(), self.shape)

    def back(self, image: Tensor) -> Tensor:
        """(B, C, *shape) -> (B, C, *original)."""
        turned = downsample(image, tuple(self.original[axis] for axis in self.order)).flip(self._flipped())
        return turned.permute(0, 1, *(2 + self.order.index(axis) for axis in range(len(self.order)))).contiguous()

    def images(self, model: DiffuseMorph, pair: ImagePair) -> tuple[Tensor, Tensor]:
        """(moving, fixed), each (1, 1, *shape) in [-1, 1] on the model's device, windowed to what lies inside."""
        moving, fixed = (windowed(self.into(image.to(model.device))) * 2 - 1 for image in (pair.moving, pair.fixed))
        return moving, fixed

    def _flipped(self) -> list[int]:
        return [2 + axis for axis, flipped in enumerate(self.flips) if flipped]


def windowed(image: Tensor) -> Tensor:
    """An image (1, 1, *spatial) in [0, 1], scaled so that nearly all of what lies deep inside it is below
    :data:`INSIDE`; what is brighter than 1 then is cut.

    Beside the bright fat under the skin a brain can be nearly black, which no synthetic image is.
    """
    sample = image.flatten()[:: 1 if image.numel() < 1_000_000 else 7]
    object_ = (smooth(image, 1.0) > 0.1 * sample.quantile(0.98)).to(image)
    window = 2 * max(1, min(image.shape[2:]) // 16) + 1
    share = box_sum(object_, window) / box_sum(torch.ones_like(object_), window)
    for depth in (0.999, 0.9, 0.5):
        inside = image[share > depth]
        if inside.numel() > 0.02 * image.numel():
            break
    if not inside.numel():
        return image
    bright = inside[:: max(1, inside.numel() // 100_000)].quantile(0.95)
    return (image * (INSIDE / bright.clamp(min=1e-3)).clamp(min=1.0)).clamp(max=1.0)


@torch.no_grad()
def with_canonical(model: DiffuseMorph, pair: ImagePair, grid: Grid) -> ImagePair:
    """The pair with ``fixed_canonical`` and ``moving_canonical``, each (1, 1, *spatial) in [0, 1].

    model : one with a canonical contrast. pair : on the working grid, which spans the same field of view as ``grid``.
    """
    frame = NetworkFrame.of(grid.resampled(pair.shape), model.configuration.spacing)
    moving, fixed = frame.images(model, pair)
    with _quickest(model):
        canonical = {
            "fixed_canonical": model.latent(moving, fixed),
            "moving_canonical": model.moving_input(moving, fixed),
        }
    return replace(
        pair,
        **{name: ((frame.back(image) + 1) / 2).to(pair.fixed.device).clamp(0, 1) for name, image in canonical.items()},
    )


@torch.no_grad()
def drawn_latent(model: DiffuseMorph, pair: ImagePair, grid: Grid, step: int, seed: int) -> Tensor:
    """``fixed_canonical`` as the network gives it from that image with the noise of ``step``: (1, 1, *spatial) in [0,
    1].

    pair : with canonical images. The noise is drawn on the CPU, so that a seed means the same on every device.
    """
    frame = NetworkFrame.of(grid.resampled(pair.shape), model.configuration.spacing)
    moving, fixed = frame.images(model, pair)
    clean = frame.into(pair.fixed_canonical.to(model.device)) * 2 - 1
    noise = torch.randn(clean.shape, generator=torch.Generator("cpu").manual_seed(seed)).to(clean.device)
    with _quickest(model):
        latent = model.latent(moving, fixed, model.schedule.add_noise(clean, step, noise), step)
    return ((frame.back(latent) + 1) / 2).to(pair.fixed.device).clamp(0, 1)


def _quickest(model: DiffuseMorph) -> torch.autocast:
    """16-bit numbers where the device computes quicker in them, as in training; channels last, which convolutions
    like.
    """
    model.diffusion.to(memory_format=torch.channels_last if model.ndim == 2 else torch.channels_last_3d)
    return torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=computes_in_bf16(model.device))
