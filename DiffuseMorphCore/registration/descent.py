"""Ascent on one level of resolution: a displacement is moved along a smoothed, normalised force, step by step."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from DiffuseMorphCore.similarity import PreparedTerm
from DiffuseMorphCore.similarity.term import spatial_gradient
from DiffuseMorphCore.warp import compose, in_slabs, jacobian_determinant, smooth, with_neighbours

_ABOUT_EQUAL = 0.77  # sides of voxels from which on they count as equal: a grid is rounded to whole voxels
_VOLUMES = (0.05, 20.0)  # determinants beyond are taken as these: folds have no logarithm
_READ_EVERY, _RARELY = {"cpu": 1}, 4
"""Steps after which it is looked whether to go on: on a GPU each look waits for all that was ordered."""
_IN_2D = {"force_smoothing": 4.0, "field_smoothing": 1.3, "search_smoothing": None}
"""A pixel is compared with 25 in a window where a voxel is with 125, so in two dimensions the force is less certain. 36
slices of hearts and 30 pairs of faces that methods are chosen on: Dice .804 and landmarks 1.71 pixels apart with the
lengths of three dimensions, .838 and 1.53 with these (force smoothing alone .842 and 1.70). Hippocampi in 3-D lose by
either (.785 to .781 with a force smoothing of 2, .780 with a field smoothing of 1)."""
_LARGEST_RATE = 0.6  # voxels² a step, up to which diffusion in three dimensions is stable


@dataclass(frozen=True)
class RefinementSettings:
    """Settings of the optimisation; lengths in voxels of the level at work, along its finest axis.

    force_smoothing, field_smoothing : Gaussian widths for the force and the displacement. search_smoothing : of the
    force in a second search on coarse grids; None: no such search. log_jacobian_diffusion : voxels² that the logarithm
    of the determinant diffuses after each step. fine_force_smoothing, fine_field_smoothing,
    fine_log_jacobian_diffusion : the least of these three in voxels of the reference grid, see
    :func:`DiffuseMorphCore.similarity.fineness`, so that they are as long in mm on every grid that is finer.
    largest_step : the longest step. least_force : forces well below this multiple of their mean get less than a full
    step, so that an empty background stays calm. beta1, beta2 : Adam's two averages. coarsest : longest side of the
    coarsest grid. coarse_steps : most steps on each grid but the finest; None: four times as many as there. patience,
    least_gain : a level ends when ``patience`` steps gained less than this share; finest : the same two for the finest
    grid. thinness : for each axis how long steps and smoothing are along it, in voxels, as a share of what they are
    along the shortest sides; None: all alike. free : 1 for each axis along which displacements may change, else 0;
    None: all.

    The diffusion trades overlap for smoothness. Three brains that methods are chosen on, `best`: Dice and SD of the log
    Jacobian .6472 and .415 with 0.25 on fine grids, **.6461 and .386 with 0.33** (there on coarse ones too), .643 and
    .345 with 0.44, .639 and .287 with 0.66; `default` .6385 and .404 with 0.25, .6379 and .380 with 0.33. On coarse
    grids 0.33 has .001 less Dice than 0.3 on hearts, .0003 less on hippocampi, and 7 % more error on made hearts.
    """

    force_smoothing: float = 1.1
    search_smoothing: float | None = 4.0
    field_smoothing: float = 0.65
    log_jacobian_diffusion: float = 0.3
    fine_force_smoothing: float = 0.73
    fine_field_smoothing: float = 0.48
    fine_log_jacobian_diffusion: float = 0.33
    largest_step: float = 0.5
    least_force: float = 1.0
    beta1: float = 0.8
    beta2: float = 0.999
    coarsest: int = 28
    coarse_steps: int | None = None
    patience: int = 10
    least_gain: float = 1e-3
    finest: tuple[int, float] = (10, 1e-3)
    thinness: tuple[float, ...] | None = None
    free: tuple[float, ...] | None = None

    @classmethod
    def for_images(cls, ndim: int, **changes: Any) -> RefinementSettings:
        """What suits images of so many dimensions, with ``changes``."""
        return cls(**(_IN_2D if ndim == 2 else {}) | changes)

    def at(self, fineness: float) -> RefinementSettings:
        """The same for a level with ``fineness`` times as many voxels a side as the reference grid."""
        if fineness <= 1:
            return self
        return replace(
            self,
            force_smoothing=max(self.force_smoothing, fineness * self.fine_force_smoothing),
            field_smoothing=max(self.field_smoothing, fineness * self.fine_field_smoothing),
            log_jacobian_diffusion=max(self.log_jacobian_diffusion, fineness**2 * self.fine_log_jacobian_diffusion)
            if self.log_jacobian_diffusion
            else 0.0,
        )


def thinness(spacing: Sequence[float]) -> tuple[float, ...]:
    """The shortest of the sides of a voxel as a share of each; 1 for sides that are about as short."""
    shares = (min(spacing) / step for step in spacing)
    return tuple(1.0 if share > _ABOUT_EQUAL else share for share in shares)


def ascend(
    similarity: PreparedTerm,
    displacement: Tensor,
    steps: int,
    settings: RefinementSettings,
    advance: Callable[[float], None] = lambda fraction: None,
) -> Tensor:
    """Move displacements (B, ndim, *spatial), in voxels of their grid, to where the images are more similar.

    At most ``steps`` steps; a displacement whose similarity gains too little stays where it is from then on.
    """
    first, second = torch.zeros_like(displacement), torch.zeros_like(displacement)
    gain = _Gain(settings)
    shape, device = displacement.shape[2:], displacement.device
    shares = settings.thinness or (1.0,) * len(shape)
    thin = displacement.new_tensor(shares).view(1, -1, *[1] * len(shape))
    free = displacement.new_tensor(settings.free or (1.0,) * len(shape)).view_as(thin)
    force_widths, field_widths = (
        [width * share for share in shares] for width in (settings.force_smoothing, settings.field_smoothing)
    )
    diffusions = math.ceil(settings.log_jacobian_diffusion / _LARGEST_RATE)
    moving = torch.ones(len(displacement), dtype=torch.bool, device=device)
    every = _READ_EVERY.get(device.type, _RARELY)
    for step in range(steps):
        advance(step / steps)
        value, force = similarity.force(displacement)
        moving &= ~gain.settled(value)
        if step % every == 0 and not bool(moving.any()):
            break
        force = smooth(force, force_widths)
        # The slope per mm, not per voxel; a mean's gradient is tiny, but its square must not underflow.
        unit = thin * free * force[0].numel()

        def average(part: slice) -> Tensor:
            here = (slice(None), slice(None), part)
            own = force[here].mul_(unit)
            first[here].lerp_(own, 1 - settings.beta1)
            size = second[here].mul_(settings.beta2).addcmul_(own, own, value=1 - settings.beta2)
            return size.sqrt().flatten(1).sum(dim=1)

        sums = in_slabs(average, shape, device)
        # Adam's bias corrections are common factors, and the longest step is fixed, so they cancel. Where there is
        # next to no force, as in an empty background, its lower bound keeps noise from becoming a full step.
        least = column(torch.stack(sums).sum(dim=0) * (settings.least_force / force[0].numel()), force)

        def direction(part: slice) -> Tensor:
            here = (slice(None), slice(None), part)
            change = torch.div(first[here], second[here].sqrt().add_(least), out=force[here])
            return change.abs().flatten(1).amax(dim=1)

        longest = torch.stack(in_slabs(direction, shape, device)).amax(dim=0)
        moving &= longest.isfinite() & (longest != 0)
        if step % every == 0 and not bool(moving.any()):
            break
        change = force.mul_(thin * column(settings.largest_step / longest, force))
        moved = smooth(compose(displacement, change), field_widths)
        for _ in range(diffusions):
            moved = diffuse_log_jacobian(moved, settings.log_jacobian_diffusion / diffusions * thin.square() * free)
        alone = every == 1 and bool(moving.all())
        displacement = moved if alone else torch.where(column(moving, moved), moved, displacement)
    return displacement


def diffuse_log_jacobian(displacement: Tensor, rate: float | Tensor) -> Tensor:
    """A displacement whose log Jacobian varies less from voxel to voxel: log J diffuses with ``rate`` voxels² a step, a
    number or one for each axis, (1, ndim, 1, …).

    Along u' = grad log J the logarithm of the determinant follows (nearly) a heat equation. Unlike smoothing the
    displacement it leaves rotation and shear alone, and so nearly all of what brings boundaries together.
    Where J is near 1, steps are stable up to a rate of 2 / ndim. Where J is small they would need to be ever shorter:
    below 1 the square root, 2 (√J - 1), stands for the logarithm, which it touches at 1.
    """
    shape = displacement.shape[2:]
    level = displacement.new_empty((displacement.shape[0], 1, *shape))
    result = torch.empty_like(displacement)

    def measured(part: slice) -> None:
        wide, own = with_neighbours(part, shape[0])
        volume = jacobian_determinant(displacement[:, :, wide])[:, :, own].clamp_(*_VOLUMES)
        level[:, :, part] = torch.where(volume < 1, volume.sqrt().sub_(1).mul_(2), volume.log())

    def moved(part: slice) -> None:
        wide, own = with_neighbours(part, shape[0])
        slope = spatial_gradient(level[:, :, wide])[:, :, own]
        torch.add(displacement[:, :, part], slope.mul_(rate), out=result[:, :, part])

    in_slabs(measured, shape, displacement.device)
    in_slabs(moved, shape, displacement.device)
    return result


class _Gain:
    """Whether a similarity still grows, told by the last ``patience`` values and the largest of all before."""

    def __init__(self, settings: RefinementSettings) -> None:
        self.least, self.recent, self.count = settings.least_gain, deque(maxlen=settings.patience), 0
        self.earlier: Tensor | None = None

    def settled(self, value: Tensor) -> Tensor:
        """(B,) bool for the next value (B,) of each displacement: where the last ones gained too little."""
        self.count += 1
        if len(self.recent) == self.recent.maxlen:
            oldest = self.recent[0]
            self.earlier = oldest if self.earlier is None else torch.maximum(self.earlier, oldest)
        self.recent.append(value)
        if self.count <= 2 * self.recent.maxlen:
            return torch.zeros_like(value, dtype=torch.bool)
        return torch.stack(tuple(self.recent)).amax(dim=0) - self.earlier < self.least * self.earlier.abs()


def column(marked: Tensor, like: Tensor) -> Tensor:
    """One number for each item of a batch, (B,), as (B, 1, …) to be combined with ``like``."""
    return marked.view(-1, *[1] * (like.dim() - 1))
