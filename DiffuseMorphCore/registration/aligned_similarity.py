"""How similar two scans are under an alignment, to choose one of several."""

from __future__ import annotations

import math

import SimpleITK as sitk
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.prepare import PreparedScan
from DiffuseMorphCore.registration.working_grid import working_shape
from DiffuseMorphCore.registration.working_pair import working_pair
from DiffuseMorphCore.similarity import Similarity

_COMPARED = 60_000  # voxels on which that is seen


def aligned_similarity(
    scans: tuple[PreparedScan, PreparedScan], alignment: sitk.Transform, region: Grid, goal: Similarity
) -> float:
    """The similarity of (fixed, moving) on a coarse grid of a region, times the share of it that both show.

    Infinite for identical images, and minus infinite where they do not meet.
    """
    grid = region.resampled(working_shape(region, _COMPARED))
    try:
        pair = working_pair(scans, grid, alignment, tissue=goal.uses_tissue)
    except DiffuseMorphError:
        return -math.inf
    if pair.identical():
        return math.inf
    seen = 1.0 if pair.moving_mask is None else float(pair.moving_mask.mean())
    return seen * goal.of_images.evaluate(pair, torch.zeros((1, grid.ndim, *grid.shape)))
