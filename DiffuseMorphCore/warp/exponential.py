"""Diffeomorphisms on a grid: the exponential of a stationary velocity, and the inverse of a displacement."""

import math

import torch
from torch import Tensor

from DiffuseMorphCore.warp.sampling import compose, resize, sample_points, warp

_DENSE_STEPS, _FIXED_POINT_STEPS, _NEWTON_STEPS = 3, 12, 20
_DENSITY = 1.5  # points per voxel and axis; fewer fit themselves instead of what lies between them
_ROUNDS = 2
_LEAST_WEIGHT = 0.1


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

    A fixed point settles all voxels where the field is gentle, and Newton's method the few others, so steep but fold-free
    fields are inverted too.

    Parameters
    ----------
    displacement : (1, ndim, *spatial) in voxels, fold-free.
    tolerance : residual in voxels that is good enough.
    """
    estimate = -displacement
    for _ in range(_DENSE_STEPS):
        estimate = -warp(displacement, estimate)
    wanted = (estimate + warp(displacement, estimate)).square().sum(1)[0] >= tolerance ** 2
    return _solve_remaining(displacement, estimate, wanted, tolerance)


def invert_evenly(displacement: Tensor) -> Tensor:
    """An inverse that is as right between its voxels as at them, when it is interpolated linearly.

    :func:`invert` solves for the voxels; between them the interpolation errs, wherever the inverse bends to the same side.
    Here points denser than the voxels go forward and back, and every voxel takes off the mean of the errors around it,
    weighted as the interpolation weights it there (the simultaneous iterative reconstruction technique, for the inverse
    that is best in the mean of squares). Voxels that no point comes near stay as :func:`invert` gives them.

    Parameters and result are those of :func:`invert`.
    """
    own = displacement.shape[2:]
    dense = [round((size - 1) * _DENSITY) + 1 for size in own]
    moves = resize(displacement, dense)[0].flatten(1).T
    axes = [torch.linspace(0, size - 1, count, device=displacement.device) for size, count in zip(own, dense)]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2) + moves
    inverse = invert(displacement)
    for _ in range(_ROUNDS):
        errors = moves + sample_points(inverse, points)
        gathered = _gather(torch.cat([errors, torch.ones_like(errors[:, :1])], dim=1), points, own)
        inverse = inverse - gathered[:, :-1] / gathered[:, -1:].clamp(min=_LEAST_WEIGHT)
    return inverse


def _gather(values: Tensor, points: Tensor, shape: torch.Size) -> Tensor:
    """The adjoint of sampling: (1, C, *shape), each voxel's sum of ``values`` (N, C) at ``points`` (N, ndim) by its weight."""
    with torch.enable_grad():
        image = torch.zeros((1, values.shape[1], *shape), device=values.device, requires_grad=True)
        return torch.autograd.grad(sample_points(image, points), image, values)[0]


def _solve_remaining(displacement: Tensor, estimate: Tensor, wanted: Tensor, tolerance: float) -> Tensor:
    """Solve for the voxels ``wanted`` (*spatial, bool) of an inverse one by one, until each is good enough: the fixed point
    goes on, then comes Newton's method with shrinking steps."""
    places = wanted.nonzero()
    values = estimate[0][:, wanted].T

    def residual_at(trial: Tensor) -> tuple[Tensor, Tensor]:
        residual = trial + sample_points(displacement, places + trial)
        return residual, residual.square().sum(1)

    residual, error = residual_at(values)
    step = torch.ones_like(error)
    slopes = None
    for count in range(_FIXED_POINT_STEPS + _NEWTON_STEPS):
        if not len(places):
            break
        change = residual
        if count >= _FIXED_POINT_STEPS:
            slopes = _slopes(displacement) if slopes is None else slopes
            change = _newton_step(slopes, places + values, residual)
        trial = values - step[:, None] * change
        trial_residual, trial_error = residual_at(trial)
        better = trial_error < error
        values = torch.where(better[:, None], trial, values)
        residual = torch.where(better[:, None], trial_residual, residual)
        error = torch.where(better, trial_error, error)
        if count >= _FIXED_POINT_STEPS:
            step = torch.where(better, (2 * step).clamp(max=1), step / 2)
        estimate[(0, slice(None), *places.unbind(1))] = values.T
        left = error >= tolerance ** 2
        places, values, residual, error, step = (part[left] for part in (places, values, residual, error, step))
    return estimate


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
