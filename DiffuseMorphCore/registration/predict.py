"""Predict: the network's trajectory for a pair, on the working grid."""

from __future__ import annotations

from torch import Tensor

from DiffuseMorphCore.networks import DiffuseMorph
from DiffuseMorphCore.registration.working_pair import WorkingPair
from DiffuseMorphCore.samplers import Trajectory
from DiffuseMorphCore.warp import downsample, resize_displacement


def network_shape(model: DiffuseMorph, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The grid (array order) on which a model sees images of ``shape``: its training grid's longest side, never finer."""
    side = model.configuration.working_side
    scale = 1.0 if side is None else min(1.0, side / max(shape))
    return tuple(max(min(size, 4), round(size * scale)) for size in shape)


def network_images(model: DiffuseMorph, pair: WorkingPair) -> tuple[Tensor, Tensor]:
    """(moving, fixed), each (1, 1, *spatial), as the networks take them: on their grid and device, in [-1, 1]."""
    shape = network_shape(model, tuple(pair.fixed.shape[2:]))
    moving, fixed = (downsample(image.to(model.device), shape) * 2 - 1 for image in (pair.moving, pair.fixed))
    return moving, fixed


def predict(model: DiffuseMorph, pair: WorkingPair, shape: tuple[int, ...], etas: tuple[float, ...], form: str) -> Tensor:
    """Displacements of Algorithm 1 at ``etas``, (K, ndim, *shape) in voxels of a grid of ``shape``.

    pair : the images on the working grid. form : ``"anchored"`` or ``"faithful"``.
    """
    keyframes = Trajectory(model, *network_images(model, pair), form).keyframes(etas)
    return resize_displacement(keyframes, shape)
