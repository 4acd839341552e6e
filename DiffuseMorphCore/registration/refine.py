"""Refine: a short multi-resolution optimisation of the displacement on the two images themselves.

At every step the gradient of the similarity with respect to a small extra displacement is smoothed, normalised as Adam
does, limited to half a voxel, composed with the displacement so far, and the result is smoothed lightly; then changes of
volume are evened out. Both keep the field fold-free far better than a penalty would. The network's answer is where it
starts.

Images of different contrast are made comparable before every level: the fixed one is put into the intensities that the
moving one has where they meet so far. Comparing self-similarity descriptors instead (MIND-SSC) reached .07 less Dice on
brains of inverted contrast, in almost twice the time. A background of one value has to be left out (see ``contrast``):
with it, brains lost .03.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from DiffuseMorphCore.registration.contrast import in_moving_contrast
from DiffuseMorphCore.registration.working_pair import WorkingPair
from DiffuseMorphCore.similarity import local_correlation
from DiffuseMorphCore.warp import compose, downsample, jacobian_determinant, resize_displacement, smooth, warp


@dataclass(frozen=True)
class Descent:
    """Settings of the optimisation; lengths in voxels of the level at work.

    window : side of the local correlation's window. force_smoothing, field_smoothing : Gaussian widths for the gradient
    and the displacement. volume_smoothing : voxels² that the logarithm of the determinant diffuses after each step.
    largest_step : the longest step. floor : forces well below this multiple of their mean get less than a full step, so
    that an empty background stays calm. momentum, memory : Adam's two averages. coarsest : longest side of the coarsest
    grid. patience, least_gain : a level ends when ``patience`` steps gained less than this share; at_last : the same two
    for the finest grid.
    """

    window: int = 5
    force_smoothing: float = 1.1
    field_smoothing: float = 0.65
    volume_smoothing: float = 0.25
    largest_step: float = 0.5
    floor: float = 1.0
    momentum: float = 0.8
    memory: float = 0.999
    coarsest: int = 28
    patience: int = 10
    least_gain: float = 1e-3
    at_last: tuple[int, float] = (10, 1e-3)

    def scaled(self, ratio: float) -> Descent:
        """The same lengths for a displacement in voxels of a grid with ``ratio`` times as many a side."""
        return replace(self, force_smoothing=ratio * self.force_smoothing, field_smoothing=ratio * self.field_smoothing,
                       largest_step=ratio * self.largest_step)


MODALITIES = {"same": "mean squared local correlation",
              "different": "mean squared local correlation, the fixed image in the moving one's contrast"}
"""What is maximised, by modality; both are 1 for images that match perfectly."""
AUTOMATIC_STEPS = 12
"""Steps on the finest grid when the caller leaves the number to us. On two brains 6, 10, 20 and 40 reached a Dice of .636,
.637, .637 and .637, and the lung CT pair 1.62, 1.57, 1.52 and 1.51 mm (before volumes were evened out, as the figures of the next two)."""
CONTENT = Descent(at_last=(2, 5e-3))
"""Then, on a large finest grid, where a step costs as much as eight on the next coarser one, fewer are enough when two of them
gain little: brains take 7, the lung 11."""

_VOLUMES = (0.05, 20.0)  # determinants beyond are taken as these: folds have no logarithm

LARGE_GRID, FIELD_RATIO = 1_000_000, 2 / 3
"""On grids with more voxels the displacement has so many times as many a side. It is smoothed so much that little is lost
(.001 Dice on two brains, nothing on the lung CT pair), and a step takes six tenths of the time. With half as many the lung
lost .07 mm."""


def field_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The grid of the displacement where the images have one of ``shape``."""
    if torch.Size(shape).numel() <= LARGE_GRID:
        return tuple(shape)
    return tuple(max(min(size, 4), round(size * FIELD_RATIO)) for size in shape)


def levels(shape: tuple[int, ...], coarsest: int) -> list[tuple[int, ...]]:
    """Shapes from coarse to fine, each side halved until the longest is at most ``coarsest`` (never below 4 voxels)."""
    result = [tuple(shape)]
    while max(result[0]) > coarsest:
        result.insert(0, tuple(max(min(size, 4), (size + 1) // 2) for size in result[0]))
    return result


def step_counts(steps: int, grids: int) -> list[int]:
    """Steps allowed on each of so many grids, coarse to fine: four times as many on coarser ones, where they are cheap."""
    return [4 * steps] * (grids - 1) + [steps]


def refine(pair: WorkingPair, start: Tensor, *, steps: int, modality: str = "same",
           settings: Descent = Descent(), advance: Callable[[float], None] = lambda fraction: None) -> Tensor:
    """Improve a displacement until the images agree better.

    Parameters
    ----------
    pair : both images on the working grid; where it has masks, only voxels inside both drive the deformation.
    start : (1, ndim, *spatial) displacement in voxels of that grid.
    steps : most steps on the finest grid, four times as many on each coarser one; fewer where they gain nothing.
    modality : ``"same"`` maximises local correlation, ``"different"`` does so after the fixed image has
        been put into the contrast of the moving one.
    advance : called with the fraction done; it may raise to stop.

    Returns
    -------
    (1, ndim, *spatial) displacement in voxels of the working grid.
    """
    shapes = levels(pair.fixed.shape[2:], settings.coarsest)
    counts = step_counts(steps, len(shapes))
    work = [count * torch.Size(shape).numel() for count, shape in zip(counts, shapes)]
    correction = start
    done = 0.0
    for shape, count, share in zip(shapes, counts, work):
        similarity = _Correlation(comparable(pair, correction, modality).at(shape), settings)
        own = field_shape(shape)
        coarse = resize_displacement(correction, own)
        scaled = settings if own == shape else settings.scaled(FIELD_RATIO)
        if shape == shapes[-1]:
            scaled = replace(scaled, patience=settings.at_last[0], least_gain=settings.at_last[1])
        better = _descend(similarity, coarse, count, scaled,
                          lambda fraction: advance((done + fraction * share) / sum(work)))
        # Add what this level gained, so that detail of the start finer than this grid survives.
        correction = correction + resize_displacement(better - coarse, start.shape[2:])
        done += share
    return correction


class _Correlation:
    """Local correlation of the warped moving image with the fixed one, and its slope for a small extra displacement.

    The displacement may be on a coarser grid than the images; the slope is given there.
    """

    def __init__(self, pair: WorkingPair, settings: Descent) -> None:
        self.pair, self.window = pair, settings.window

    def value(self, warped: Tensor, displacement: Tensor) -> Tensor:
        return local_correlation(warped, self.pair.fixed, self.window, self.pair.overlap(displacement))

    def __call__(self, displacement: Tensor) -> tuple[float, Tensor]:
        own = displacement.shape[2:]
        displacement = resize_displacement(displacement, self.pair.fixed.shape[2:])
        warped = warp(self.pair.moving, displacement)
        with torch.enable_grad():
            leaf = warped.requires_grad_()
            value = self.value(leaf, displacement)
            slope, = torch.autograd.grad(value, leaf)
        return float(value.detach()), downsample(slope * _gradient(warped.detach()), own)


def comparable(pair: WorkingPair, displacement: Tensor, modality: str) -> WorkingPair:
    """The pair with images of one contrast, as far as a displacement (1, ndim, *spatial) tells how to make them so."""
    return in_moving_contrast(pair, displacement) if modality == "different" else pair


@torch.no_grad()
def agreement(pair: WorkingPair, displacement: Tensor, modality: str) -> float:
    """How well the images match under a displacement (1, ndim, *spatial): what :func:`refine` maximises, at most 1."""
    similarity = _Correlation(comparable(pair, displacement, modality), Descent())
    return float(similarity.value(warp(pair.moving, displacement), displacement))


def _gradient(image: Tensor) -> Tensor:
    """(1, ndim, *spatial) central differences of a (1, 1, *spatial) image."""
    return torch.stack(torch.gradient(image[0, 0]))[None]


def _descend(similarity: Callable[[Tensor], tuple[float, Tensor]], displacement: Tensor, steps: int, settings: Descent,
             advance: Callable[[float], None]) -> Tensor:
    mean, square = torch.zeros_like(displacement), torch.zeros_like(displacement)
    values: list[float] = []
    for step in range(steps):
        advance(step / steps)
        value, force = similarity(displacement)
        force = force * force.numel()  # a mean's gradient is tiny; its square must not underflow
        values.append(value)
        if step >= 2 * settings.patience:
            recent, earlier = (max(values[-settings.patience:]), max(values[:-settings.patience]))
            if recent - earlier < settings.least_gain * abs(earlier):
                break
        force = smooth(force, settings.force_smoothing)
        mean.lerp_(force, 1 - settings.momentum)
        square.mul_(settings.memory).addcmul_(force, force, value=1 - settings.memory)
        # Adam's bias corrections are common factors, and the longest step is fixed, so they cancel. Where there is
        # next to no force, as in an empty background, the floor keeps noise from becoming a full step.
        size = square.sqrt()
        change = mean / (size + settings.floor * size.mean())
        longest = change.abs().amax()
        if not torch.isfinite(longest) or longest == 0:
            break
        displacement = smooth(compose(displacement, change * (settings.largest_step / longest)), settings.field_smoothing)
        displacement = _even_volumes(displacement, settings.volume_smoothing)
    return displacement


def _even_volumes(displacement: Tensor, rate: float) -> Tensor:
    """A displacement whose log Jacobian varies less from voxel to voxel: log J diffuses with `rate` voxels² a step.

    Along u' = grad log J the logarithm of the determinant follows (nearly) a heat equation. Unlike smoothing the
    displacement it leaves rotation and shear alone, and so nearly all of what brings boundaries together.
    Where J is near 1, steps are stable up to a rate of 2 / ndim.
    """
    logarithm = jacobian_determinant(displacement).clamp(*_VOLUMES).log()
    return displacement + rate * _gradient(logarithm)
