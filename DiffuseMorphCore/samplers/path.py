"""The path in eta: displacements at a few etas on one grid, and every one in between."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.warp import fade, fading_widths, resize_displacement


@dataclass(frozen=True)
class EtaPath:
    """From the moving image (eta 0) to the registered one (eta 1): exact at the keyframes, linear between them.

    etas : ascending, from 0 to 1. keyframes : (len(etas), ndim, *grid.shape) displacements in voxels of the grid,
        pulling. fine_end : the last of them on a finer grid, where it is known there; so that a slider stays quick, the
        others are not.
    """

    etas: tuple[float, ...]
    keyframes: Tensor
    grid: Grid
    fine_end: Displacement | None = None

    def __post_init__(self) -> None:
        if tuple(self.keyframes.shape) != (len(self.etas), self.grid.ndim, *self.grid.shape):
            raise ValueError(
                f"{len(self.etas)} etas on a grid of {self.grid.shape} need keyframes of the shape "
                f"{(len(self.etas), self.grid.ndim, *self.grid.shape)}, not {tuple(self.keyframes.shape)}."
            )

    @classmethod
    def straight(cls, end: Displacement) -> EtaPath:
        """From nothing to ``end``, in proportion to eta."""
        return cls((0.0, 1.0), torch.cat([torch.zeros_like(end.values), end.values]), end.grid)

    def at(self, eta: float) -> Displacement:
        """The displacement at eta, a copy. Costs milliseconds. Raises DiffuseMorphError when eta is not in [0, 1]."""
        return Displacement(interpolate(self.keyframes, self.etas, check_eta(eta)), self.grid)

    @property
    def end(self) -> Displacement:
        """The displacement at eta 1."""
        return Displacement(self.keyframes[-1:], self.grid)

    @property
    def finest(self) -> Displacement:
        """The displacement at eta 1 on the finest grid on which it is known."""
        return self.end if self.fine_end is None else self.fine_end

    def delivered(self, eta: float) -> Displacement:
        """The displacement at eta, at eta 1 the finest. Raises DiffuseMorphError when eta is not in [0, 1]."""
        return self.finest if check_eta(eta) == 1.0 else self.at(eta)

    def plus(self, correction: Tensor) -> EtaPath:
        """With eta · correction added: nothing at 0, all of it at 1. correction : (1, ndim, *grid.shape) in voxels."""
        share = torch.tensor(self.etas, device=self.keyframes.device).view(-1, *[1] * (correction.dim() - 1))
        return EtaPath(self.etas, self.keyframes + share * correction, self.grid)

    def resized(self, shape: Sequence[int]) -> EtaPath:
        """The same on a grid of another shape (array order) whose first and last voxels lie where this one's do."""
        return EtaPath(self.etas, resize_displacement(self.keyframes, shape), self.grid.resampled(tuple(shape)))

    def faded(self) -> EtaPath:
        """The same on a grid that reaches further on every side, where the displacements fade to nothing without
        folding.

        Then path and inverse are defined, and undo each other, wherever a point may lie.
        """
        widths = fading_widths(self.keyframes)
        size = tuple(size + 2 * width for size, width in zip(self.grid.size, reversed(widths)))
        grid = self.grid.part(tuple(-width for width in reversed(widths)), size)
        return EtaPath(self.etas, fade(self.keyframes, widths), grid)

    def to(self, device: torch.device | str) -> EtaPath:
        """The same on a device."""
        fine_end = None if self.fine_end is None else self.fine_end.to(device)
        return EtaPath(self.etas, self.keyframes.to(device), self.grid, fine_end)


def check_eta(eta: float) -> float:
    """Return eta as a float. Raises DiffuseMorphError when it is not a number in [0, 1]."""
    try:
        value = float(eta)
    except (TypeError, ValueError):
        raise DiffuseMorphError(
            f"eta is '{eta}', but must be a number from 0 (the moving image) to 1 (registered)."
        ) from None
    if not 0.0 <= value <= 1.0:
        raise DiffuseMorphError(f"eta is {value:g}, but must be from 0 (the moving image) to 1 (registered).")
    return value


def even_etas(count: int) -> tuple[float, ...]:
    """`count` evenly spaced etas from 0 to 1, both included."""
    return tuple(index / (count - 1) for index in range(count))


def bracket(etas: Sequence[float], eta: float) -> tuple[int, int, float]:
    """Where eta lies among ascending etas: the keyframes before and after it, and its share of the way between them.

    At a keyframe both are that keyframe, and the share is 0. Raises DiffuseMorphError when eta is outside.
    """
    if not etas[0] <= eta <= etas[-1]:
        raise DiffuseMorphError(f"eta is {eta:g}, but must be from {etas[0]:g} to {etas[-1]:g}.")
    after = bisect_right(etas, eta)
    before = after - 1
    if etas[before] == eta:
        return before, before, 0.0
    return before, after, (eta - etas[before]) / (etas[after] - etas[before])


def interpolate(keyframes: Tensor, etas: Sequence[float], eta: float, out: Tensor | None = None) -> Tensor:
    """The keyframe at eta, linear between the two around it and exact at each.

    Parameters
    ----------
    keyframes : (len(etas), ndim, *spatial), any number and device.
    etas : ascending.
    out : (1, ndim, *spatial), written in place and returned; for an animation it saves the time to allocate.

    Returns
    -------
    (1, ndim, *spatial), never a view.

    Raises
    ------
    DiffuseMorphError : eta is outside the keyframes.
    """
    if len(etas) != len(keyframes):
        raise ValueError(f"{len(keyframes)} keyframes need as many etas, not {len(etas)}.")
    before, after, share = bracket(etas, eta)
    if before == after:
        return keyframes[before : before + 1].clone() if out is None else out.copy_(keyframes[before : before + 1])
    return torch.lerp(keyframes[before : before + 1], keyframes[after : after + 1], share, out=out)
