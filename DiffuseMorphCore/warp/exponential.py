"""Diffeomorphisms on a grid: the exponential of a stationary velocity, and the inverse of a displacement."""

import math

import torch
from torch import Tensor

from DiffuseMorphCore.warp.sampling import compose, sample_points, warp

_FIXED_POINT_STEPS, _NEWTON_STEPS = 15, 20


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


def invert(displacement: Tensor, tolerance: float = 1e-3) -> Tensor:
    """Displacement v with (id + u) o (id + v) = id, that is v(q) + u(q + v(q)) = 0.

    A fixed point settles all voxels where the field is gentle. The others are few; they are solved one by one with
    Newton's method, so steep but fold-free fields are inverted too.

    Parameters
    ----------
    displacement : (1, ndim, *spatial) in voxels, fold-free.
    tolerance : residual in voxels that is good enough.
    """
    estimate = -displacement
    residual = estimate + warp(displacement, estimate)
    error = residual.square().sum(1, keepdim=True)
    for _ in range(_FIXED_POINT_STEPS):
        if float(error.amax()) < tolerance ** 2:
            return estimate
        trial = estimate - residual
        trial_residual = trial + warp(displacement, trial)
        trial_error = trial_residual.square().sum(1, keepdim=True)
        better = trial_error < error
        estimate = torch.where(better, trial, estimate)
        residual = torch.where(better, trial_residual, residual)
        error = torch.where(better, trial_error, error)
    return _solve_remaining(displacement, estimate, error[0, 0] >= tolerance ** 2)


def _solve_remaining(displacement: Tensor, estimate: Tensor, wanted: Tensor) -> Tensor:
    """Newton's method with shrinking steps for the voxels ``wanted`` (*spatial, bool) of an inverse."""
    ndim = displacement.shape[1]
    positions = wanted.nonzero().to(displacement.dtype)
    axes = [axis for axis in range(ndim) if displacement.shape[2 + axis] > 1]
    slopes = torch.zeros((1, ndim * ndim, *displacement.shape[2:]), device=displacement.device)
    for component in range(ndim):
        for axis, slope in zip(axes, torch.gradient(displacement[0, component], dim=axes)):
            slopes[0, component * ndim + axis] = slope
    identity = torch.eye(ndim, device=displacement.device)
    values = estimate[0][:, wanted].T
    residual = values + sample_points(displacement, positions + values)
    error = residual.square().sum(1)
    step = torch.ones_like(error)
    for _ in range(_NEWTON_STEPS):
        jacobian = identity + sample_points(slopes, positions + values).view(-1, ndim, ndim)
        change, failed = torch.linalg.solve_ex(jacobian, residual[..., None])
        change = torch.where((failed == 0)[:, None] & change[..., 0].isfinite().all(1, keepdim=True), change[..., 0], residual)
        trial = values - step[:, None] * change
        trial_residual = trial + sample_points(displacement, positions + trial)
        trial_error = trial_residual.square().sum(1)
        better = trial_error < error
        values = torch.where(better[:, None], trial, values)
        residual = torch.where(better[:, None], trial_residual, residual)
        error = torch.where(better, trial_error, error)
        step = torch.where(better, (2 * step).clamp(max=1), step / 2)
    result = estimate.clone()
    result[0][:, wanted] = values.T
    return result
