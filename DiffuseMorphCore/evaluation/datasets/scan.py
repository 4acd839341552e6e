"""What every data set offers: scans, and pairs of them to register."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Scan:
    """One image of one person at one time. Nothing is read before it is asked for.

    `image()` and `labels()` are SimpleITK images on one grid, `labels()` None where there are none. `landmarks()` is
    an (N, ndim) array of points in mm, world coordinates (LPS), or None. `time` is the position between the two ends
    of a motion, 0 at the moving end and 1 at the fixed end.
    """

    name: str
    subject: str
    read_image: Callable[[], sitk.Image]
    read_labels: Callable[[], sitk.Image] | None = None
    read_landmarks: Callable[[], np.ndarray] | None = None
    time: float = 0.0

    def image(self) -> sitk.Image:
        return self.read_image()

    def labels(self) -> sitk.Image | None:
        return None if self.read_labels is None else self.read_labels()

    def landmarks(self) -> np.ndarray | None:
        return None if self.read_landmarks is None else self.read_landmarks()


@dataclass(frozen=True)
class ScanPair:
    """A moving scan to be deformed into a fixed one; `frames` are the true images in between, where they are known."""

    moving: Scan
    fixed: Scan
    frames: tuple[Scan, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.moving.name}_to_{self.fixed.name}"


class DataSet(ABC):
    """A data set with its structures and its split by person.

    `structures` maps a label value to the name of the structure; only these labels are scored. `length_unit` is the
    unit of the images' spacing. `intensities` are the values that stand for black and white in all images, None where
    every image has its own. `mirrored_axes` are the axes (array order) along which a pair may be mirrored for training.
    `splits` are the splits that have pairs. `may_be_shown` says whether its terms let pictures of it be passed on.
    """

    name: str
    title: str
    ndim: int
    length_unit: str = "mm"
    structures: dict[int, str]
    intensities: tuple[float, float] | None = None
    mirrored_axes: tuple[int, ...] = ()
    splits: tuple[str, ...] = SPLITS
    may_be_shown: bool = True

    def __init__(self, folder: str | Path | None):
        if folder is None:
            raise DiffuseMorphError(f"The data set {self.name} needs its folder: give it with --data.")
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise DiffuseMorphError(f"There is no folder '{self.folder}': give the folder of {self.title} with --data.")

    @abstractmethod
    def pairs(self, split: str) -> list[ScanPair]:
        """The pairs of one split, `train`, `validation` or `test`, always in the same order."""

    def check_split(self, split: str) -> None:
        """Raise DiffuseMorphError where `split` is not one of this data set's."""
        if split not in self.splits:
            raise DiffuseMorphError(
                f"The data set {self.name} has no split '{split}': choose one of {', '.join(self.splits)}."
            )

    def required(self, relative: str | Path) -> Path:
        """The path of a file that has to be there; DiffuseMorphError names it where it is missing."""
        path = self.folder / relative
        if not path.exists():
            raise DiffuseMorphError(
                f"The file '{path}' of {self.title} is missing: check that the folder is complete and given with "
                "--data."
            )
        return path


def read_file(path: Path) -> sitk.Image:
    """Read one image or label map. Raises DiffuseMorphError for a file that is no image."""
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise DiffuseMorphError(
            f"The file '{path}' cannot be read as an image: replace it by a complete copy."
        ) from error


def read_labels(path: Path, image_path: Path) -> sitk.Image:
    """Read the labels of `image_path`, as whole numbers even where the file has them as floats.

    Raises DiffuseMorphError where they do not lie on the voxels of that image.
    """
    labels, image = read_file(path), read_file(image_path)
    apart = [
        np.abs(np.subtract(one, other)).max() if len(one) == len(other) else np.inf
        for one, other in zip(_place(labels), _place(image))
    ]
    if labels.GetSize() != image.GetSize() or max(apart) > 1e-2:
        raise DiffuseMorphError(
            f"The labels '{path}' do not lie on the voxels of their image '{image_path}': get new copies of both."
        )
    return sitk.Cast(labels, sitk.sitkInt32) if labels.GetPixelID() in (sitk.sitkFloat32, sitk.sitkFloat64) else labels


def _place(image: sitk.Image) -> tuple[tuple[float, ...], ...]:
    return image.GetOrigin(), image.GetSpacing(), image.GetDirection()


def file_scan(name: str, subject: str, image: Path, labels: Path | None = None) -> Scan:
    """A scan that is one image file, with its label file where there is one."""
    return Scan(
        name, subject, partial(read_file, image), None if labels is None else partial(read_labels, labels, image)
    )


def ordered_pairs(scans: list[Scan]) -> list[ScanPair]:
    """Every scan to every other scan, both ways, in the order of the list (moving first)."""
    return [ScanPair(moving, fixed) for moving in scans for fixed in scans if moving is not fixed]
