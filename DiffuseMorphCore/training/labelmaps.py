"""Label maps as anatomy to synthesise images from: read once, made coarse, brought to a common pose, kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as functional
from torch import Tensor

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import read_image

SUFFIXES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd")
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


def find_label_maps(folder: str | Path, names: Sequence[str] | None = None) -> list[Path]:
    """Files of `folder` whose suffix is a volume's, sorted; with `names`, those whose name starts with one of them.

    Raises DiffuseMorphError when the folder is missing, or nothing in it fits.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise DiffuseMorphError(f"The folder of label maps '{folder}' does not exist: give one with volumes in it.")
    files = sorted(path for path in folder.iterdir() if path.name.lower().endswith(SUFFIXES))
    if names:
        files = [path for path in files if any(path.name.startswith(name) for name in names)]
    if not files:
        wanted = f" whose name starts with {', '.join(names)}" if names else ""
        raise DiffuseMorphError(f"The folder '{folder}' holds no label map{wanted} ({', '.join(SUFFIXES)}).")
    return files


def load_label_maps(
    paths: Iterable[Path], spacing: float, drop: Iterable[int] = (), report: Callable[[float], None] | None = None
) -> tuple[list[LabelMap], tuple[int, ...]]:
    """Read label maps in LPS orientation, at about `spacing` mm, and bring them to their common mean pose.

    Every coarse voxel gets the label that fills most of it. The pose is compared by the first two moments of the
    anatomy (everything that is not background): centre, extent and tilt, which is what an affine alignment would match.

    Returns the maps and the label ids that their indices stand for (index 0 is the background, id 0).
    """
    paths = list(paths)
    read = []
    for number, path in enumerate(paths):
        read.append(_read_cropped(path, set(drop)))
        if report:
            report(0.5 * (number + 1) / len(paths))
    ids = tuple(sorted(set().union({0}, *(np.unique(array).tolist() for array, _ in read))))
    volumes = []
    for number, (array, original) in enumerate(read):
        volumes.append(_coarsen(array, original, ids, spacing))
        if report:
            report(0.5 + 0.5 * (number + 1) / len(paths))
    moments = [_moments(labels, sizes) for labels, sizes in volumes]
    mean_root = torch.stack([_root(covariance) for _, covariance in moments]).mean(0)
    target = mean_root @ mean_root
    maps = []
    for path, (labels, sizes), (centre, covariance) in zip(paths, volumes, moments):
        scale = torch.diag(1 / sizes)
        matrix = scale @ _gaussian_map(target, covariance)
        maps.append(LabelMap(path.name.split(".")[0], labels, matrix.float(), (scale @ centre).float()))
    return maps, ids


def _read_cropped(path: Path, drop: set[int]) -> tuple[np.ndarray, np.ndarray]:
    """The anatomy's box with a margin, as integers, and the voxel size (z, y, x) in mm."""
    image = read_image(path)
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise DiffuseMorphError(f"The label map '{path}' must be a 3-D volume with one number per voxel.")
    image = sitk.DICOMOrient(image, "LPS")
    array = np.rint(sitk.GetArrayFromImage(image)).astype(np.int32)
    array[np.isin(array, list(drop)) | (array < 0)] = 0
    if not array.any():
        raise DiffuseMorphError(f"The label map '{path}' has no label left but the background.")
    box = []
    for axis in range(3):
        filled = np.flatnonzero(array.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(filled[0], filled[-1] + 1))
    return array[tuple(box)], np.array(image.GetSpacing()[::-1], dtype=np.float64)


def _coarsen(array: np.ndarray, original: np.ndarray, ids: Sequence[int], spacing: float) -> tuple[Tensor, Tensor]:
    """Labels as indices on a grid of about `spacing` mm, padded, and its exact voxel sizes (z, y, x) in mm."""
    shape = [max(2, round(size * step / spacing)) for size, step in zip(array.shape, original)]
    best = torch.zeros(1, 1, *shape)
    labels = torch.zeros(1, 1, *shape)
    for index, label in enumerate(ids):
        here = array == label
        if here.any():
            share = functional.adaptive_avg_pool3d(torch.from_numpy(here.astype(np.float32))[None, None], shape)
            labels[share > best] = index
            best = torch.maximum(best, share)
    sizes = torch.tensor(
        [size * step / new for size, step, new in zip(array.shape, original, shape)], dtype=torch.float64
    )
    return functional.pad(labels, (_MARGIN,) * 6), sizes


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
