"""Predict: the network's trajectory for a pair, on the working grid."""

from __future__ import annotations

from torch import Tensor

from DiffuseMorphCore.networks import DiffuseMorph
from DiffuseMorphCore.samplers import Trajectory
from DiffuseMorphCore.warp import downsample, resize_displacement


def network_shape(model: DiffuseMorph, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The grid (array order) on which a model sees images of ``shape``: its training grid's longest side, never finer."""
    side = model.configuration.working_side
    scale = 1.0 if side is None else min(1.0, side / max(shape))
    return tuple(max(min(size, 4), round(size * scale)) for size in shape)


def network_images(model: DiffuseMorph, fixed: Tensor, moving: Tensor) -> tuple[Tensor, Tensor]:
    """Both images (1, 1, *spatial) in [0, 1] as the networks take them: on their grid, in [-1, 1]."""
    shape = network_shape(model, tuple(fixed.shape[2:]))
    return downsample(fixed, shape) * 2 - 1, downsample(moving, shape) * 2 - 1


def predict(model: DiffuseMorph, fixed: Tensor, moving: Tensor, etas: tuple[float, ...], form: str) -> Tensor:
    """Displacements of Algorithm 1 at ``etas``, (K, ndim, *spatial) in voxels of the grid of the images given.

    fixed, moving : (1, 1, *spatial) in [0, 1] on the working grid. form : ``"anchored"`` or ``"faithful"``.
    """
    network_fixed, network_moving = network_images(model, fixed, moving)
    keyframes = Trajectory(model, network_moving, network_fixed, form).keyframes(etas)
    return resize_displacement(keyframes, fixed.shape[2:])
