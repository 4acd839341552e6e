"""Uncertainty: within how many millimetres the two images do not say where a point belongs.

Two things are added in squares, because either alone says less about real errors (measured on pairs of brains with
labels; `Resources/Results/benchmark-uncertainty.md`):

- how far repeated short registrations end from the delivered deformation, each started somewhere else;
- how differently the neighbours of a point move: where they do, a small slip along the images is a large error.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import grey
from DiffuseMorphCore.networks import DiffuseMorph
from DiffuseMorphCore.registration.descent import RefinementSettings
from DiffuseMorphCore.registration.predict import drawn_trajectory, trajectory
from DiffuseMorphCore.registration.refine import FEWEST_SLICES, refine
from DiffuseMorphCore.seeds import standard_normal
from DiffuseMorphCore.similarity import ImagePair, Similarity
from DiffuseMorphCore.warp import compose, resize, resize_displacement

_PUSH = 1.0  # voxels of the coarse grid, root mean square, by which a start is moved
_WIDTH = 4.0  # voxels of the coarse grid from one random displacement to the next independent one
_STEPS = 10
_SLIP = 2 / 3  # voxels of the coarse grid


@torch.no_grad()
def uncertainty(
    pair: ImagePair,
    model: DiffuseMorph | None,
    displacement: Displacement,
    similarity: Similarity,
    samples: int,
    seed: int,
    advance: Callable[[float], None] = lambda fraction: None,
) -> Tensor:
    """Uncertainty of a deformation in mm, from short registrations at half the working resolution.

    Each starts from the delivered deformation, moved by a smooth random displacement and, with a model, by what
    the network changes when its latent is drawn at another noise level and seed.

    Parameters
    ----------
    pair : the images on the working grid, which spans the same field of view as the displacement's.
    displacement : the delivered one.
    similarity : what the registration maximised.
    samples : number of short registrations.
    advance : called with the fraction done; it may raise to stop.

    Returns
    -------
    (1, 1, *coarse) on the CPU, on a grid of half the working resolution over the same field of view.
    """
    # Few slices stay: half as many would not count as enough to tell motion through them.
    shape = tuple(side if side < 2 * FEWEST_SLICES else (side + 1) // 2 for side in pair.shape)
    device = torch.device("cpu") if model is None else model.device
    delivered, small = displacement.to(device).at(shape), pair.to(device).at(shape)
    coarse, end = delivered.grid, delivered.values
    changed = _network_changes(model, pair, displacement.grid, shape)
    total = torch.zeros(1, 1, *shape)
    only_here = RefinementSettings.for_images(len(shape), coarsest=max(shape))  # no coarser grids
    for sample in range(samples):
        advance(sample / samples)
        start = end + changed(sample / samples, seed + sample)
        start = compose(start, _random_displacement(shape, seed + sample).to(device))
        ended = refine(
            small, start, steps=_STEPS, similarity=similarity, settings=only_here, spacing=coarse.voxel_spacing
        )
        total[0, 0] += torch.from_numpy(_lengths(coarse, ended - end)).square() / samples
    advance(1.0)
    slip = _SLIP * float(np.prod(coarse.spacing)) ** (1 / coarse.ndim)
    strain = resize(torch.from_numpy(_strain(displacement))[None, None], shape)
    return (total + (slip * strain).square()).sqrt()


def inside(image: sitk.Image) -> np.ndarray:
    """Where an image shows the object, not its background: brighter than Otsu's threshold. Booleans in array order."""
    return sitk.GetArrayFromImage(sitk.OtsuThreshold(sitk.Cast(grey(image), sitk.sitkFloat32), 0, 1)) > 0


def summary(uncertainty_map: sitk.Image, fixed: sitk.Image) -> dict[str, float]:
    """Mean and 95th percentile, in mm, of an uncertainty map inside the object of the fixed image."""
    values = sitk.GetArrayViewFromImage(uncertainty_map)[inside(fixed)]
    return {"mean": float(values.mean()), "percentile_95": float(np.percentile(values, 95))}


def _network_changes(
    model: DiffuseMorph | None, pair: ImagePair, grid: Grid, shape: tuple[int, ...]
) -> Callable[[float, int], Tensor | float]:
    """(level, seed) -> what a latent drawn at this noise level, a share of the first quarter of the schedule, changes
    in the network's answer: (1, ndim, *shape) in voxels; without a model, or with one that draws no latents, nothing.
    """
    if model is None or model.diffusion is None:
        return lambda level, seed: 0.0
    clean = trajectory(model, pair).exact(1.0)

    def change(level: float, seed: int) -> Tensor:
        drawn = drawn_trajectory(model, pair, grid, int(level * len(model.schedule) / 4), seed)
        return resize_displacement(drawn.exact(1.0) - clean, shape)

    return change


def _random_displacement(shape: tuple[int, ...], seed: int) -> Tensor:
    """(1, ndim, *shape) in voxels, smooth, `_PUSH` long; drawn on the CPU, so that a seed means one thing."""
    knots = tuple(max(2, round(side / _WIDTH) + 1) for side in shape)
    drawn = standard_normal((1, len(shape), *knots), seed)
    smooth = resize(drawn, shape)
    return smooth * (_PUSH / smooth.square().sum(dim=1).mean().sqrt())


def _lengths(grid: Grid, displacement: Tensor) -> np.ndarray:
    return np.linalg.norm(grid.voxels_to_vectors(displacement), axis=-1)


def _strain(displacement: Displacement) -> np.ndarray:
    """How much the displacement changes from place to place, without a unit: Frobenius norm of its derivative."""
    vectors = displacement.vectors()
    square = np.zeros(vectors.shape[:-1], np.float32)
    for axis, step in enumerate(displacement.grid.voxel_spacing):
        if vectors.shape[axis] > 1:
            square += np.square(np.gradient(vectors, step, axis=axis)).sum(axis=-1)
    return np.sqrt(square)
