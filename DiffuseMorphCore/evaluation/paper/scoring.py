"""The paper's measures, and the field's of today, for one registered pair."""

from __future__ import annotations

import time

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor
from torch.nn import functional

from DiffuseMorphCore.evaluation import metrics
from DiffuseMorphCore.evaluation.methods import syn
from DiffuseMorphCore.evaluation.paper.baselines import TrajectoryAt
from DiffuseMorphCore.evaluation.paper.preparation import Case, PreparedData
from DiffuseMorphCore.options import RegistrationOptions
from DiffuseMorphCore.warp.folding import folding, jacobian_determinant
from DiffuseMorphCore.warp.sampling import warp

CARDIAC_LABELS = {1: "right ventricle", 2: "myocardium", 3: "left ventricle cavity"}


def unit(image: Tensor) -> np.ndarray:
    """An image (1, 1, *spatial) in [-1, 1] as an array in [0, 1], the range in which images are compared."""
    return (image[0, 0].cpu().double().numpy() + 1) / 2


def to_grid(displacement: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A displacement (1, ndim, *spatial) on another grid over the same extent, in voxels of that grid."""
    sides = displacement.shape[2:]
    if tuple(sides) == tuple(shape):
        return displacement
    # Outer voxel border to outer voxel border, as `geometry.resize` has it.
    mode = {2: "bilinear", 3: "trilinear"}[len(shape)]
    ratios = torch.tensor([new / old for new, old in zip(shape, sides)]).view(1, -1, *[1] * len(shape))
    return functional.interpolate(displacement, size=tuple(shape), mode=mode, align_corners=False) * ratios


def moved_labels(case: Case, displacement: Tensor) -> np.ndarray | None:
    """The moving labels after the warp, by nearest neighbour on the labels' own grid; None where there are none."""
    if case.moving_labels is None:
        return None
    labels = torch.from_numpy(case.moving_labels.astype(np.float32))[None, None]
    moved = warp(labels, to_grid(displacement.cpu(), labels.shape[2:]), "nearest")
    return moved[0, 0].numpy().astype(case.moving_labels.dtype)


def score_final(case: Case, displacement: Tensor, data: PreparedData) -> dict:
    """Measures of a final registration: images, labels, topology. `displacement` is (1, ndim, *spatial) in voxels."""
    displacement = displacement.cpu()
    distances = [
        metrics.image_distances(unit(warp(moving, displacement)), unit(fixed))
        for moving, fixed in zip(data.channels(case.pair.moving), data.channels(case.pair.fixed))
    ]
    row = {name: float(np.mean([found[name] for found in distances])) for name in distances[0]}
    counted = folding(displacement)
    central = jacobian_determinant(displacement)[0, 0].numpy()
    row.update(
        folded_central=float((central <= 0).mean()),
        folded=counted.share,
        folded_volume=counted.volume,
        sd_log_jacobian=metrics.sd_log_jacobian(central),
    )
    if case.fixed_labels is not None and case.moving_labels is not None:
        row.update(_score_labels(case, displacement, data.data_set.structures))
    return row


def _score_labels(case: Case, displacement: Tensor, structures: dict[int, str]) -> dict:
    moved = moved_labels(case, displacement)
    shared = metrics.shared_labels(case.fixed_labels, case.moving_labels, structures)
    scores = metrics.dice(case.fixed_labels, moved, shared)
    distances = [
        metrics.surface_distance_95(case.fixed_labels, moved, label, case.label_spacing) for label in shared[:10]
    ]
    row = {"dice": float(np.mean(list(scores.values())))}
    row.update({f"label_{label}": score for label, score in scores.items()})
    if np.isfinite(distances).any() and len(shared) <= 10:
        row["hd95"] = float(np.nanmean(distances))
    if structures == CARDIAC_LABELS:
        groups = metrics.dice_of_groups(case.fixed_labels, moved)
        row.update({f"paper_{name}": value for name, value in groups.items()})
        row["dice_paper"] = float(np.nanmean(list(groups.values())))
    return row


def score_path(case: Case, at: TrajectoryAt, data: PreparedData) -> dict:
    """Measures of the trajectory: the moved image at eta = time against the true image, mean over the frames between
    the ends.

    Where the data set knows the true displacement, also the mean length in voxels of the error of the field, inside the
    structures of both images; and the largest share of folded voxels on the trajectory.
    """
    if not case.frames:
        return {}
    found: list[dict[str, float]] = []
    inside = None if case.fixed_labels is None else (case.fixed_labels > 0) | (case.moving_labels > 0)
    for scan in case.frames:
        displacement = at(scan.time).cpu()
        values = metrics.image_distances(unit(warp(case.moving, displacement)), unit(data.tensor(scan)))
        entry = {"path_psnr": values["psnr"], "path_nmse": values["nmse"], "path_folded": folding(displacement).share}
        if hasattr(data.data_set, "true_displacement"):
            truth = torch.from_numpy(data.data_set.true_displacement(scan))[None]
            error = (to_grid(displacement, truth.shape[2:]) - truth).norm(dim=1)[0].numpy()
            entry["path_error"] = float(error.mean() if inside is None else error[inside].mean())
        found.append(entry)
    row = {name: float(np.mean([entry[name] for entry in found])) for name in found[0]}
    row["path_folded"] = max(entry["path_folded"] for entry in found)
    return row


def score_case(case: Case, at: TrajectoryAt, data: PreparedData) -> dict:
    """All measures of one trajectory; `frame_seconds` is the time of one exact frame of it."""
    start = time.perf_counter()
    final = at(1.0)
    seconds = time.perf_counter() - start
    return {**score_final(case, final, data), **score_path(case, at, data), "frame_seconds": seconds}


def as_image(array: np.ndarray, spacing: tuple[float, ...]) -> sitk.Image:
    """A prepared array as an image with its spacing, at the origin."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(step) for step in spacing[::-1]])
    return image


def syn_trajectory(case: Case, seed: int) -> tuple[TrajectoryAt, float]:
    """ANTs SyN on the prepared images, its field scaled by eta, and its seconds."""
    fixed, moving = (as_image(image[0, 0].numpy(), case.spacing) for image in (case.fixed, case.moving))
    outcome = syn(fixed, moving, RegistrationOptions(seed=seed))
    field = metrics.voxel_displacement(metrics.displacement_field(outcome.transform, fixed))
    displacement = torch.from_numpy(field)[None]
    return (lambda eta: eta * displacement), outcome.seconds
