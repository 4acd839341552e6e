"""Diffeomorphisms on a grid: the exponential of a stationary velocity, and the inverse of a displacement."""

import math

import torch
from torch import Tensor

from DiffuseMorphCore.warp.sampling import compose, warp


def exponential(velocity: Tensor, largest_step: float = 0.5) -> Tensor:
    """Displacement reached after unit time along a stationary velocity, by scaling and squaring.

    Parameters
    ----------
    velocity : (B, ndim, *spatial) in voxels per unit time.
    largest_step : the field is halved until no base step is longer than this many voxels, then squared as often
        (Arsigny et al., 2006). The inverse of ``exponential(v)`` is ``exponential(-v)``.

    Returns
    -------
    (B, ndim, *spatial) displacement in voxels, pulling like every displacement here.
    """
    speed = float(velocity.detach().abs().amax()) if velocity.numel() else 0.0
    squarings = max(0, math.ceil(math.log2(speed / largest_step))) if speed > 0 and math.isfinite(speed) else 0
    displacement = velocity / 2 ** squarings
    for _ in range(squarings):
        displacement = compose(displacement, displacement)
    return displacement


def invert(displacement: Tensor, iterations: int = 60, tolerance: float = 1e-3) -> Tensor:
    """Displacement v with (id + u) o (id + v) = id, by a damped fixed point q + v(q) + u(q + v(q)) = q.

    Each voxel halves its own step whenever its residual grows, so steep but fold-free fields converge too, where the
    plain fixed point would need a gradient below 1.

    Parameters
    ----------
    displacement : (B, ndim, *spatial) in voxels, fold-free.
    iterations, tolerance : stop after so many steps, or when 99.9 % of the voxels err by less than ``tolerance`` voxels.
    """
    estimate = -displacement
    residual = estimate + warp(displacement, estimate)
    error = residual.square().sum(1, keepdim=True)
    step = torch.ones_like(error)
    kept = max(1, int(error.numel() * 1e-3))
    for _ in range(iterations):
        if float(error.flatten().topk(kept).values[-1]) < tolerance ** 2:
            break
        trial = estimate - step * residual
        trial_residual = trial + warp(displacement, trial)
        trial_error = trial_residual.square().sum(1, keepdim=True)
        better = trial_error < error
        estimate = torch.where(better, trial, estimate)
        residual = torch.where(better, trial_residual, residual)
        error = torch.where(better, trial_error, error)
        step = torch.where(better, (step * 1.2).clamp(max=1), step * 0.5)
    return estimate
