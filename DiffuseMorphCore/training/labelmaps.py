"""Label maps as anatomy to synthesise images from: read once, made coarse, brought to a common pose, kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from DiffuseMorphCore.training.label_files import LabelFile, coarsened, cropped

EXTRA_CEREBRAL = range(500, 600)  # skull, eyes, skin, air of the whole-head maps that come with SynthSeg
_MARGIN = 8  # voxels of background kept around the anatomy, wider than any blur, as the border is continued outwards


@dataclass(frozen=True)
class LabelMap:
    """One person's anatomy.

    labels : (1, 1, *spatial) float32 holding indices into `ids` (floating point, because sampling wants it).
    matrix, shift : from points in mm of the common pose, (0, 0, 0) its centre, to voxels of `labels`.
    """

    name: str
    labels: Tensor
    matrix: Tensor
    shift: Tensor


def load_label_maps(
    files: Iterable[LabelFile], spacing: float, drop: Iterable[int] = (), report: Callable[[float], None] | None = None
) -> tuple[list[LabelMap], tuple[int, ...]]:
    """Read label maps in LPS orientation, at about `spacing` mm, and bring them to their common mean pose.

    Every coarse voxel gets the label that fills most of it. The pose is compared by the first two moments of the
    anatomy (everything that is not background): centre, extent and tilt, which is what an affine alignment would match.

    Returns the maps and the label ids that their indices stand for (index 0 is the background, id 0).
    """
    files = list(files)
    read = []
    for number, file in enumerate(files):
        read.append(cropped(file, tuple(drop)))
        if report:
            report(0.5 * (number + 1) / len(files))
    ids = tuple(sorted(set().union({0}, *(np.unique(array).tolist() for array, _ in read))))
    volumes = []
    for number, (array, original) in enumerate(read):
        volumes.append(_indexed(array, original, ids, spacing))
        if report:
            report(0.5 + 0.5 * (number + 1) / len(files))
    moments = [_moments(labels, sizes) for labels, sizes in volumes]
    mean_root = torch.stack([_root(covariance) for _, covariance in moments]).mean(0)
    target = mean_root @ mean_root
    maps = []
    for file, (labels, sizes), (centre, covariance) in zip(files, volumes, moments):
        scale = torch.diag(1 / sizes)
        matrix = scale @ _gaussian_map(target, covariance)
        maps.append(LabelMap(file.name, labels, matrix.float(), (scale @ centre).float()))
    return maps, ids


def _indexed(array: np.ndarray, original: np.ndarray, ids: Sequence[int], spacing: float) -> tuple[Tensor, Tensor]:
    """Labels as indices into ``ids`` on a grid of about `spacing` mm, padded, and its voxel sizes (z, y, x) in mm."""
    labels, sizes = coarsened(array, original, spacing)
    indices = torch.from_numpy(np.searchsorted(ids, labels).astype(np.float32))[None, None]
    return functional.pad(indices, (_MARGIN,) * 6), torch.from_numpy(sizes)


def _moments(labels: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Centre (3,) in mm from the first voxel, and covariance (3, 3) in mm², of everything that is not background."""
    points = torch.nonzero(labels[0, 0]).double() * sizes
    return points.mean(0), torch.cov(points.T)


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp_min(1e-6).sqrt()) @ vectors.T


def _gaussian_map(source: Tensor, target: Tensor) -> Tensor:
    """The symmetric matrix that carries one covariance into another with the least motion (optimal transport)."""
    root = _root(source)
    inverse = torch.linalg.inv(root)
    return inverse @ _root(root @ target @ root) @ inverse
