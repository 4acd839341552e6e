"""The landmarks of a face on a trajectory: how near they come to those of the fixed face, and which move when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from DiffuseMorphCore.evaluation.datasets.face_landmarks import REGIONS, find_landmarks
from DiffuseMorphCore.evaluation.datasets.scan import ScanPair
from DiffuseMorphCore.evaluation.datasets.yale_faces import FindLandmarks
from DiffuseMorphCore.evaluation.paper.baselines import TrajectoryAt
from DiffuseMorphCore.evaluation.paper.scoring import to_grid
from DiffuseMorphCore.warp.sampling import sample_points, warp

ITERATIONS = 50


def carried_points(points: np.ndarray, displacement: Tensor) -> np.ndarray:
    """Where points of the moving image are in the moved one: the p with p + u(p) = point.

    points : (N, 2), x and y in pixels. displacement : (1, 2, H, W) in pixels of the same grid, pulling. Returns (N, 2).
    """
    wanted = torch.from_numpy(np.ascontiguousarray(points[:, ::-1]))
    displacement = displacement.double()
    found = wanted.clone()
    for _ in range(ITERATIONS):
        # Half steps also settle where the field changes by more than its own length from pixel to pixel.
        found = 0.5 * (found + wanted - sample_points(displacement, found))
    return found.numpy()[:, ::-1].copy()


def paths(pair: ScanPair, at: TrajectoryAt, etas: Sequence[float]) -> np.ndarray:
    """(len(etas), 68, 2): the moving face's landmarks at each eta, x and y in pixels of the scan."""
    sides = pair.moving.image().GetSize()[::-1]
    points = pair.moving.landmarks()
    return np.stack([carried_points(points, to_grid(at(eta).cpu(), sides)) for eta in etas])


def landmark_row(
    pair: ScanPair, at: TrajectoryAt, etas: Sequence[float], find: FindLandmarks = find_landmarks
) -> dict[str, float]:
    """Measures of one pair whose scans know their landmarks.

    "carried ETA" : mean squared distance, in pixels of the scan, between the carried landmarks of the moving face and
    those of the fixed one. "detected ETA" : the same for landmarks found anew in the moved image, as the paper has it;
    missing where no face is found. "REGION ETA" : the share of the region's whole movement (at eta 1) made until then,
    along its direction. "alike ETA" : cosine between the fields of this eta and of eta 1; 1 for a scaled field.
    """
    image = sitk.GetArrayFromImage(pair.moving.image())
    moving = torch.from_numpy(image)[None, None]
    target = pair.fixed.landmarks()
    carried = paths(pair, at, [*etas, 0.0, 1.0])
    carried, start, end = carried[:-2], carried[-2], carried[-1]
    final = at(1.0).cpu()
    row: dict[str, float] = {}
    for eta, points in zip(etas, carried):
        row[f"carried {eta:g}"] = _squared(points, target)
        field = at(eta).cpu()
        moved = warp(moving, to_grid(field, image.shape))[0, 0].numpy()
        seen = find(np.clip(np.rint(moved), 0, 255).astype(np.uint8))
        if seen is not None:
            row[f"detected {eta:g}"] = _squared(seen, target)
        for region, numbers in REGIONS.items():
            part = list(numbers)
            whole = (end - start)[part]
            row[f"{region} {eta:g}"] = float(((points - start)[part] * whole).sum() / max((whole**2).sum(), 1e-12))
        if field.norm() > 0:
            row[f"alike {eta:g}"] = float((field * final).sum() / (field.norm() * final.norm()).clamp_min(1e-12))
    return row


def _squared(points: np.ndarray, target: np.ndarray) -> float:
    return float(((points - target) ** 2).sum(1).mean())
