"""How well landmarks are met, and those that had no part: each left out in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.progress import Progress, advance
from DiffuseMorphCore.registration.guides import Guides, Scans
from DiffuseMorphCore.registration.landmarks import told
from DiffuseMorphCore.registration.mapping import Mapping
from DiffuseMorphCore.registration.refine import refine
from DiffuseMorphCore.registration.working_grid import working_shape
from DiffuseMorphCore.registration.working_pair import working_pair
from DiffuseMorphCore.similarity import ImagePair, Similarity
from DiffuseMorphCore.similarity.landmarks import LandmarkPull

FEWEST = 10
"""Fewer landmarks are not left out: each of them says too much."""
_MOST, _STEPS = 40, 12
VOXELS = {2: 128 * 128, 3: 100_000}
"""Voxels of the grid on which the registration is repeated for each landmark."""


def landmark_distances(
    scans: Scans,
    region: Grid,
    mapping: Mapping,
    goal: Similarity,
    guides: Guides,
    device: torch.device,
    progress: Progress | None,
) -> dict[str, Any]:
    """How far landmarks are from their targets, for the report: as loaded, aligned, registered, and each left out."""
    landmarks = guides.landmarks
    result = {
        "number": len(landmarks.fixed),
        "initial": told(landmarks.distances(sitk.AffineTransform(region.ndim))),
        "aligned": told(landmarks.distances(mapping.alignment)),
        "registered": told(landmarks.distances(mapping.transform())),
    }
    if len(landmarks.fixed) >= FEWEST:
        coarse = region.resampled(working_shape(region, VOXELS[region.ndim]))
        pair = working_pair(scans, coarse, mapping.alignment, tissue=goal.uses_tissue).to(device)
        guided = guides.goal(goal.of_images, coarse, mapping.alignment)
        result["left_out"] = told(
            left_out_distances(pair, coarse, guided, lambda done: advance(progress, "left out", done))
        )
    return result


def left_out_distances(
    pair: ImagePair, grid: Grid, goal: Similarity, advance: Callable[[float], None] = lambda _: None
) -> np.ndarray:
    """Distances in mm of landmarks from their targets in refinements without them, from zero on a coarse grid.

    pair, goal : on the working grid ``grid``, which is coarse; of more than 40 landmarks 40 are left out.
    """
    (guide,) = (guide for _, guide in goal.guides if isinstance(guide, LandmarkPull))
    chosen = np.linspace(0, len(guide.points) - 1, min(_MOST, len(guide.points))).round().astype(int).tolist()
    spacing = torch.tensor(grid.voxel_spacing)
    distances = []
    for done, index in enumerate(chosen):
        advance(done / len(chosen))
        others = tuple((weight, each.without(index) if each is guide else each) for weight, each in goal.guides)
        zero = torch.zeros((1, grid.ndim, *grid.shape), device=pair.fixed.device)
        found = refine(pair, zero, steps=_STEPS, similarity=replace(goal, guides=others), spacing=grid.voxel_spacing)
        left = guide.remaining(found)[0, index].cpu()
        distances.append(float((left * spacing).norm()))
    return np.array(distances)
