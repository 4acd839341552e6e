"""Diffeomorphisms on a grid: the exponential of a stationary velocity, and the inverse of a displacement."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from DiffuseMorphCore.warp.sampling import compose, resize, sample_points, warp

_DENSE_STEPS, _FIXED_POINT_STEPS, _NEWTON_STEPS = 3, 3, 20


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
    displacement = velocity / 2**squarings
    for _ in range(squarings):
        displacement = compose(displacement, displacement)
    return displacement


def invert(displacement: Tensor, shape: Sequence[int] | None = None, tolerance: float = 0.01) -> Tensor:
    """Displacement v with (id + u) o (id + v) = id, that is v(q) + u(q + v(q)) = 0.

    A few fixed-point steps settle most points where the field is gentle, Newton's method the others, so steep but
    fold-free fields are inverted too.

    Parameters
    ----------
    displacement : (1, ndim, *spatial) in voxels, fold-free.
    shape : the grid of the result, with the same end points; the displacement's own unless given.
    tolerance : residual in voxels of the displacement's grid that is good enough.

    Returns
    -------
    (1, ndim, *shape) in voxels of its grid.
    """
    own = displacement.shape[2:]
    shape = own if shape is None else torch.Size(shape)
    estimate = -displacement
    for _ in range(_DENSE_STEPS):
        estimate = -warp(displacement, estimate)
    # All is in voxels of the displacement until the end.
    axes = [torch.linspace(0, old - 1, new, device=displacement.device) for old, new in zip(own, shape)]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2)
    values = _solve(displacement, points, resize(estimate, shape)[0].flatten(1).T, tolerance)
    scale = values.new_tensor([(new - 1) / max(old - 1, 1) for old, new in zip(own, shape)])
    return (values * scale).T.reshape(1, -1, *shape)


def invert_evenly(displacement: Tensor, shape: Sequence[int] | None = None) -> Tensor:
    """An inverse that is as right between its voxels as at them, when it is interpolated linearly.

    :func:`invert` solves for the voxels; between them the interpolation errs, to the side to which the inverse bends.
    Among the piecewise linear functions the one closest to a smooth function in the mean of squares lies a twelfth of
    the second difference beside it at the voxels, and so does the result, along every axis. On brains that makes the
    mean error two thirds.

    Parameters and result are those of :func:`invert`.
    """
    inverse = invert(displacement, shape)
    bend = torch.zeros_like(inverse)
    for axis in range(2, inverse.dim()):
        length = inverse.shape[axis] - 2
        if length > 0:
            first, middle, last = (inverse.narrow(axis, start, length) for start in range(3))
            bend.narrow(axis, 1, length).add_(first).add_(last).sub_(middle, alpha=2)
    return inverse.sub_(bend, alpha=1 / 12)


def _solve(displacement: Tensor, points: Tensor, values: Tensor, tolerance: float) -> Tensor:
    """Values (N, ndim) of the inverse at ``points`` (N, ndim), improved from the given ones until each is good enough:
    by the fixed point first, then by Newton's method with shrinking steps.
    """
    residual = values + sample_points(displacement, points + values)
    error = residual.square().sum(1)
    result, places = values.clone(), torch.arange(len(values), device=values.device)
    step, slopes = torch.ones_like(error), None
    for count in range(_FIXED_POINT_STEPS + _NEWTON_STEPS):
        left = error >= tolerance**2
        places, points, values, residual, error, step = (
            part[left] for part in (places, points, values, residual, error, step)
        )
        if not len(places):
            break
        newton = count >= _FIXED_POINT_STEPS
        if newton:
            slopes = _slopes(displacement) if slopes is None else slopes
        change = _newton_step(slopes, points + values, residual) if newton else residual
        trial = values - step[:, None] * change
        trial_residual = trial + sample_points(displacement, points + trial)
        trial_error = trial_residual.square().sum(1)
        better = trial_error < error
        values = torch.where(better[:, None], trial, values)
        residual = torch.where(better[:, None], trial_residual, residual)
        error = torch.where(better, trial_error, error)
        if newton:
            step = torch.where(better, (2 * step).clamp(max=1), step / 2)
        result[places] = values
    return result


def _slopes(displacement: Tensor) -> Tensor:
    """(1, ndim², *spatial): the derivatives of every component along every axis, by central differences."""
    ndim = displacement.shape[1]
    axes = [axis for axis in range(ndim) if displacement.shape[2 + axis] > 1]
    slopes = torch.zeros((1, ndim * ndim, *displacement.shape[2:]), device=displacement.device)
    for component in range(ndim):
        for axis, slope in zip(axes, torch.gradient(displacement[0, component], dim=axes)):
            slopes[0, component * ndim + axis] = slope
    return slopes


def _newton_step(slopes: Tensor, points: Tensor, residual: Tensor) -> Tensor:
    """What Newton's method takes off, (N, ndim); the residual itself where the derivative has no inverse."""
    ndim = points.shape[1]
    jacobian = torch.eye(ndim, device=points.device) + sample_points(slopes, points).view(-1, ndim, ndim)
    change, failed = torch.linalg.solve_ex(jacobian, residual[..., None])
    usable = (failed == 0)[:, None] & change[..., 0].isfinite().all(1, keepdim=True)
    return torch.where(usable, change[..., 0], residual)
