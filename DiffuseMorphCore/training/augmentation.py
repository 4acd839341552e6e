"""Random numbers of training: affine maps, flips, and smooth fields of several scales.

Everything is drawn from a generator made from (seed, index), so the sample number n of a run is the same whatever was
drawn before it: a run that was interrupted continues with the samples an unbroken run would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from DiffuseMorphCore.warp import resize, sample_points


def uniform(low: float, high: float, random: torch.Generator) -> float:
    """A number drawn evenly between two."""
    return low + (high - low) * float(torch.rand((), generator=random))


def integer(below: int, random: torch.Generator) -> int:
    """A whole number drawn evenly from 0 to below a limit."""
    return int(torch.randint(below, (), generator=random))


@dataclass(frozen=True)
class AffineRange:
    """How far random affine maps may go, each drawn evenly up to these limits in both directions.

    rotation in degrees about each axis; scale and shear as fractions; shift in voxels (or the unit of the points).
    """

    rotation: float = 15.0
    scale: float = 0.1
    shear: float = 0.02
    shift: float = 2.0


def random_affine(ndim: int, limits: AffineRange, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Matrix (ndim, ndim) and shift (ndim,), float32: x -> matrix x + shift, about the centre of the image."""
    matrix = torch.eye(ndim)
    for first in range(ndim):
        for second in range(first + 1, ndim):
            angle = torch.tensor(uniform(-limits.rotation, limits.rotation, random)).deg2rad()
            turn = torch.eye(ndim)
            turn[first, first] = turn[second, second] = angle.cos()
            turn[first, second], turn[second, first] = -angle.sin(), angle.sin()
            matrix = matrix @ turn
    stretch = torch.diag(torch.tensor([1 + uniform(-limits.scale, limits.scale, random) for _ in range(ndim)]))
    shear = torch.eye(ndim) + limits.shear * torch.triu(2 * torch.rand(ndim, ndim, generator=random) - 1, diagonal=1)
    shift = limits.shift * (2 * torch.rand(ndim, generator=random) - 1)
    return matrix @ stretch @ shear, shift


def random_orientation(ndim: int, flips: Sequence[bool], permute: bool, random: torch.Generator) -> Tensor:
    """A signed permutation matrix: axes listed True in `flips` are mirrored half of the time, axes exchanged evenly."""
    order = torch.randperm(ndim, generator=random) if permute else torch.arange(ndim)
    signs = torch.tensor([-1.0 if allowed and uniform(0, 1, random) < 0.5 else 1.0 for allowed in flips])
    return torch.diag(signs) @ torch.eye(ndim)[order]


def smooth_noise(
    shape: Sequence[int], coarse: float, channels: int, random: torch.Generator, device: torch.device | str = "cpu"
) -> Tensor:
    """(1, channels, *shape) normal noise drawn on a grid `coarse` times coarser and interpolated linearly."""
    small = [max(2, round(size / coarse) + 1) for size in shape]
    noise = torch.randn(1, channels, *small, generator=random)
    return resize(noise.to(device), shape)


def random_displacement(
    shape: Sequence[int],
    scales: Sequence[float],
    strength: float,
    random: torch.Generator,
    device: torch.device | str = "cpu",
) -> Tensor:
    """A smooth displacement (1, ndim, *shape) in voxels: a sum of noise fields, one per scale.

    The amplitude at a scale of s voxels is drawn evenly up to strength * s, so that the slope, and with it the
    likelihood of folding, is alike at every scale; 0.1 rarely folds, 0.2 does.
    """
    total = torch.zeros(1, len(shape), *shape, device=device)
    for scale in scales:
        amplitude = uniform(0, strength * scale, random)
        total += amplitude * smooth_noise(shape, scale, len(shape), random, device)
    return total


def grid_points(shape: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """(N, ndim) voxel coordinates of a grid, in the order of a flattened volume, about its centre."""
    axes = [torch.arange(size, device=device, dtype=torch.float32) - (size - 1) / 2 for size in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2)


def sample_affine(image: Tensor, matrix: Tensor, shift: Tensor, mode: str = "linear") -> Tensor:
    """(1, C, *spatial) resampled on its own grid: out(p) = image(matrix p + shift), p about the centre, in voxels."""
    shape = image.shape[2:]
    centre = torch.tensor([(size - 1) / 2 for size in shape], device=image.device)
    points = grid_points(shape, image.device) @ matrix.to(image.device).T + shift.to(image.device) + centre
    return sample_points(image, points, mode).T.view(1, image.shape[1], *shape)
