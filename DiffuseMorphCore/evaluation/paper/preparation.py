"""Data sets as tensors on one grid: what the networks of a comparison are trained and judged on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets import DataSet, Scan, ScanPair
from DiffuseMorphCore.evaluation.datasets.geometry import centre_crop_or_pad, resize, scale_whole
from DiffuseMorphCore.evaluation.paper.trajectory_objectives import PairWithFrame
from DiffuseMorphCore.files import completed
from DiffuseMorphCore.seeds import generator
from DiffuseMorphCore.training.augmentation import integer, uniform
from DiffuseMorphCore.training.pair import TrainingPair, stack

Recipe = Callable[[Scan, sitk.Image, int], sitk.Image]
"""(scan, its image or labels, interpolator) -> the same on the data set's common grid."""

# Percentile that becomes white where a data set has no intensities of its own; a few bright voxels must not darken all.
BRIGHTEST = 99.5
CACHE_BYTES = 4 * 2**30

# Sides (x, y, z) of the common grids. Hippocampus volumes reach 43 x 59 x 47 voxels, the heart lies in the middle of
# its slices, and brains are taken at half resolution, as the results page says.
HIPPOCAMPUS_SIZE, HEART_SIZE = (48, 64, 48), (128, 128)
BRAIN_SIZE, BRAIN_SPACING, BRAIN_ATLAS = (80, 112, 96), 2.0, "1000"


@dataclass(frozen=True)
class Case:
    """One pair of a comparison as tensors.

    moving, fixed : (1, 1, *spatial) in [-1, 1]. moving_labels, fixed_labels : arrays of whole numbers over the same
    extent, on the data set's own grid whatever the grid of the images; or None. frames : the true images strictly
    between the ends. spacing, label_spacing : of the two grids, array order.
    """

    name: str
    pair: ScanPair
    moving: Tensor
    fixed: Tensor
    moving_labels: np.ndarray | None
    fixed_labels: np.ndarray | None
    frames: tuple[Scan, ...]
    spacing: tuple[float, ...]
    label_spacing: tuple[float, ...]


class PreparedData:
    """A data set on one grid, each scan prepared once and kept in memory (and the slow ones in `folder`, on disk).

    grid : sides (array order) to which every image is resized after its preparation; None keeps the data set's own.
    Labels are never resized: a coarse grid for the networks must not make the overlaps coarse too.
    """

    def __init__(self, data_set: DataSet, folder: Path, grid: tuple[int, ...] | None = None):
        if grid is not None and len(grid) != data_set.ndim:
            raise DiffuseMorphError(f"--grid has {len(grid)} sides, but {data_set.title} is {data_set.ndim}-D.")
        self.data_set, self.folder, self.grid = data_set, folder, grid
        self._recipe: Recipe = _RECIPES.get(data_set.name, lambda data, cache: _unchanged)(data_set, folder)
        self._kept: dict[tuple[str, bool], np.ndarray] = {}
        self._spacing = {labels: (1.0,) * data_set.ndim for labels in (False, True)}

    def image(self, scan: Scan) -> np.ndarray:
        """Float32 array of a scan in [-1, 1]."""
        return self._cached(scan, False)

    def labels(self, scan: Scan) -> np.ndarray | None:
        """Labels of a scan on the data set's own grid, or None."""
        return None if scan.read_labels is None else self._cached(scan, True)

    def tensor(self, scan: Scan) -> Tensor:
        """(1, 1, *spatial) of `image`."""
        return torch.from_numpy(self.image(scan))[None, None]

    def _cached(self, scan: Scan, labels: bool) -> np.ndarray:
        key = (scan.name, labels)
        if key not in self._kept:
            array = self._prepare(scan, labels)
            if sum(kept.nbytes for kept in self._kept.values()) + array.nbytes > CACHE_BYTES:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = array
        return self._kept[key]

    def _prepare(self, scan: Scan, labels: bool) -> np.ndarray:
        image = scan.labels() if labels else scan.image()
        kind = sitk.sitkNearestNeighbor if labels else sitk.sitkLinear
        if not labels:
            image = sitk.Cast(image, sitk.sitkFloat32)
        image = self._recipe(scan, image, kind)
        known = self.data_set.intensities
        if not labels and known is None:
            image = scale_whole(image, BRIGHTEST)
        elif not labels and known != (-1.0, 1.0):
            image = (image - known[0]) * (2 / (known[1] - known[0])) - 1
        if not labels and self.grid is not None and image.GetSize() != self.grid[::-1]:
            image = resize(image, self.grid[::-1], kind)
        self._spacing[labels] = tuple(image.GetSpacing()[::-1])
        array = sitk.GetArrayFromImage(image)
        return array.astype(np.int16 if labels else np.float32)

    def channels(self, scan: Scan) -> list[Tensor]:
        """The images a scan is scored on: its colours where it has them, itself otherwise; each (1, 1, *spatial)."""
        if not hasattr(self.data_set, "colour_channels"):
            return [self.tensor(scan)]
        colours = self.data_set.colour_channels(scan)
        if self.grid is not None:
            colours = [resize(colour, self.grid[::-1], sitk.sitkLinear) for colour in colours]
        return [torch.from_numpy(sitk.GetArrayFromImage(colour))[None, None] for colour in colours]

    def case(self, pair: ScanPair) -> Case:
        """The tensors of one pair."""
        parts = (self.tensor(pair.moving), self.tensor(pair.fixed), self.labels(pair.moving), self.labels(pair.fixed))
        return Case(pair.name, pair, *parts, pair.frames[1:-1], self._spacing[False], self._spacing[True])

    def pairs(self, split: str, most: int | None = None) -> list[ScanPair]:
        """The pairs of a split; of more than `most`, evenly spread ones."""
        found = self.data_set.pairs(split)
        if not found:
            raise DiffuseMorphError(f"The split '{split}' of {self.data_set.title} has no pairs: check the folder.")
        if most is None or len(found) <= most:
            return found
        return [found[math.floor(index * len(found) / most)] for index in range(most)]


class TrainingPairs:
    """Training pairs of a prepared data set, drawn evenly, mirrored along the data set's axes with even odds."""

    def __init__(self, data: PreparedData, seed: int, split: str = "train"):
        self.data, self.seed = data, seed
        self.ndim = data.data_set.ndim
        self.pairs = data.pairs(split)

    @property
    def pair_count(self) -> int:
        return len(self.pairs)

    def draw(self, index: int, device: torch.device, with_frame: bool = False) -> TrainingPair:
        """Training pair number `index`; with one of its true frames, ends included, where they are asked for.

        Raises DiffuseMorphError for frames of a data set that has none.
        """
        random = generator(self.seed, index)
        pair = self.pairs[integer(len(self.pairs), random)]
        flips = [axis + 2 for axis in self.data.data_set.mirrored_axes if uniform(0, 1, random) < 0.5]
        moving, fixed = (self.data.tensor(scan).flip(flips).to(device) for scan in (pair.moving, pair.fixed))
        if not with_frame:
            return TrainingPair(moving, fixed)
        if not pair.frames:
            raise DiffuseMorphError(
                f"{self.data.data_set.title} has no frames between its two images to train on: "
                "leave 'diffusemorph-frames' out of --methods."
            )
        frame = pair.frames[integer(len(pair.frames), random)]
        return PairWithFrame(
            moving,
            fixed,
            frame=self.data.tensor(frame).flip(flips).to(device),
            time=torch.tensor([frame.time], device=device),
        )

    def batch(self, index: int, size: int, device: torch.device, with_frames: bool = False) -> TrainingPair:
        """Batch number `index` of `size` pairs."""
        return stack([self.draw(index * size + part, device, with_frames) for part in range(size)])


def _unchanged(scan: Scan, image: sitk.Image, interpolator: int) -> sitk.Image:
    return image


def _centred(size: tuple[int, ...], scan: Scan, image: sitk.Image, interpolator: int) -> sitk.Image:
    return centre_crop_or_pad(image, size, 0.0)


class _ToAtlas:
    """Brains on the half-resolution grid around one training person, by an affine transform that is kept on disk."""

    def __init__(self, data_set: DataSet, folder: Path):
        self.folder = folder / "alignment"
        self.atlas = data_set.scan(BRAIN_ATLAS)

    def __call__(self, scan: Scan, image: sitk.Image, interpolator: int) -> sitk.Image:
        return sitk.Resample(image, self._grid(), self._alignment(scan), interpolator, 0.0, image.GetPixelID())

    def _grid(self) -> sitk.Image:
        atlas = self.atlas.image()
        middle = np.array(atlas.TransformContinuousIndexToPhysicalPoint([(side - 1) / 2 for side in atlas.GetSize()]))
        grid = sitk.Image(list(BRAIN_SIZE), sitk.sitkUInt8)
        grid.SetSpacing([BRAIN_SPACING] * 3)
        grid.SetDirection(atlas.GetDirection())
        direction = np.array(atlas.GetDirection()).reshape(3, 3)
        half = (np.array(BRAIN_SIZE) - 1) / 2 * BRAIN_SPACING
        grid.SetOrigin((middle - direction @ half).tolist())
        return grid

    def _alignment(self, scan: Scan) -> sitk.Transform:
        from DiffuseMorphCore.registration import register

        if scan.name == self.atlas.name:
            return sitk.Transform(3, sitk.sitkIdentity)
        path = self.folder / f"{scan.name}.tfm"
        if not path.exists():
            aligned = register(self.atlas.image(), scan.image(), model=None, refine=0).alignment
            with completed(path, make_folder=True) as part:
                sitk.WriteTransform(aligned, str(part))
        return sitk.ReadTransform(str(path))


_RECIPES: dict[str, Callable[[DataSet, Path], Recipe]] = {
    "hippocampus": lambda data_set, folder: partial(_centred, HIPPOCAMPUS_SIZE),
    "heart-cine": lambda data_set, folder: partial(_centred, HEART_SIZE),
    "brain-oasis": _ToAtlas,
}
