"""Predict: the network's trajectory for a pair, on the working grid.

The first pass, on the model's coarsest grid, gives the trajectory of the paper. Further passes, where a model has them,
see the moving image as moved so far, on finer grids, and what they add is scaled with eta, as the refinement's
correction is. One pass on the finest of these grids would not do instead: networks this small see a few voxels far.
Where a refinement follows, the first pass is enough: the refinement's coarse grids do more than further passes in less
time.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.networks import DiffuseMorph
from DiffuseMorphCore.registration.canonical import drawn_latent
from DiffuseMorphCore.samplers import EtaPath, Trajectory, latent_at
from DiffuseMorphCore.similarity import ImagePair
from DiffuseMorphCore.warp import compose, downsample, resize_displacement, warp


def pass_shapes(model: DiffuseMorph, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The grids (array order), coarse to fine, on which a model sees images of ``shape``; none finer than that."""
    found = []
    for side in (model.configuration.working_side, *model.configuration.finer_sides):
        scale = 1.0 if side is None else min(1.0, side / max(shape))
        found.append(tuple(max(min(size, 4), round(size * scale)) for size in shape))
    return list(dict.fromkeys(found))


def trajectory(
    model: DiffuseMorph,
    pair: ImagePair,
    form: str = "anchored",
    shape: tuple[int, ...] | None = None,
    displacement: Tensor | None = None,
    latent: Tensor | None = None,
) -> Trajectory:
    """The trajectory of a pair as a model sees it.

    Parameters
    ----------
    pair : on the working grid; with canonical images where the model has a canonical contrast.
    shape : grid of the pass; by default the model's first one.
    displacement : moves the moving image before, (1, ndim, *spatial) in voxels of the working grid.
    latent : taken in place of the model's own, (1, 1, *spatial) on the grid of the pass, in [-1, 1] or without units.
    """
    if not model.is_canonical:
        return Trajectory(model, *network_images(model, pair, shape, displacement), form, latent)
    canonical = replace(pair, fixed=pair.fixed_canonical, moving=pair.moving_canonical)
    moving, clean = network_images(model, canonical, shape, displacement)
    return Trajectory(model, moving, clean, form, clean if latent is None else latent)


def drawn_trajectory(model: DiffuseMorph, pair: ImagePair, grid: Grid, step: int, seed: int) -> Trajectory:
    """The trajectory with a latent drawn at the noise level ``step`` of the model's schedule.

    pair : on the working grid, over the field of view of ``grid``; with canonical images where the model has such.
    Raises DiffuseMorphError for a step that the schedule does not have.
    """
    moving, fixed = network_images(model, pair)
    if model.is_canonical:
        latent = downsample(drawn_latent(model, pair, grid, step, seed).to(model.device), fixed.shape[2:]) * 2 - 1
    else:
        latent = latent_at(model, moving, fixed, step, seed)
    return trajectory(model, pair, latent=latent)


def network_images(
    model: DiffuseMorph, pair: ImagePair, shape: tuple[int, ...] | None = None, displacement: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """(moving, fixed), each (1, 1, *spatial), as the networks take them: on their grid and device, in [-1, 1].

    shape : of a further pass; by default the model's first grid. displacement : moves the moving image before,
    (1, ndim, *spatial) in voxels of the working grid.
    """
    shape = shape or pass_shapes(model, pair.shape)[0]
    moving = pair.moving if displacement is None else warp(pair.moving, displacement)
    moving, fixed = (downsample(image.to(model.device), shape) * 2 - 1 for image in (moving, pair.fixed))
    return moving, fixed


def predict(
    model: DiffuseMorph, pair: ImagePair, grid: Grid, etas: tuple[float, ...], form: str, further: bool = True
) -> EtaPath:
    """The path of Algorithm 1 through ``etas``, on ``grid``.

    pair : the images on the working grid, which spans the same field of view, with canonical images where the model has
        such.
    form : ``"anchored"`` or ``"faithful"``. further : with the model's further passes.
    """
    keyframes = trajectory(model, pair, form).keyframes(etas)
    path = EtaPath(etas, resize_displacement(keyframes, grid.shape), grid)
    working = pair.shape
    finer_grids = pass_shapes(model, working)[1:] if further else []
    if not finer_grids:
        return path
    start = total = path.end.at(working).values
    for finer in finer_grids:
        change = trajectory(model, pair, form, finer, total).exact(1.0)
        total = compose(total, resize_displacement(change, working))
    return path.plus(resize_displacement(total - start, grid.shape))
