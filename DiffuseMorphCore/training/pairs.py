"""Pairs of real images: listed from a folder, a CSV file, subjects or an atlas, and brought to the grid of training."""

from __future__ import annotations

import csv
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import check_image, grey, image_suffix, read_image
from DiffuseMorphCore.registration.intensity import intensity_range
from DiffuseMorphCore.seeds import generator
from DiffuseMorphCore.training.augmentation import AffineRange, random_affine, sample_affine, uniform
from DiffuseMorphCore.training.pair import INTENSITIES, LABELS, TrainingPair

SUFFIXES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
_ORDER_STREAM = 1 << 28  # seeds of the order of an epoch, apart from those of augmentation
_MODES = {INTENSITIES: "linear", LABELS: "nearest"}  # vectors would have to be turned as well: real images have none
_MEMORY = 2**31  # bytes of prepared images that are kept


@dataclass(frozen=True)
class ScanFiles:
    """One image file and, if there is one, its label map."""

    image: Path
    labels: Path | None = None


def find_scans(folder: str | Path, image_ending: str = "", label_ending: str = "") -> list[ScanFiles]:
    """The images of a folder, by name, each with its label map.

    image_ending, label_ending : what names end in before the extension, as "_t1" and "_labels" in 1000_t1.nii.gz and
        1000_labels.nii.gz. Without a label_ending there are no label maps.

    Raises DiffuseMorphError when the folder is missing or holds no such image.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise DiffuseMorphError(f"The folder of images '{folder}' does not exist: check 'data.folder'.")
    stems = {
        path.name.removesuffix(path.name[len(path.name) - len(image_suffix(path)) :]): path
        for path in sorted(folder.iterdir())
        if path.name.lower().endswith(SUFFIXES)
    }
    scans = []
    for stem, path in stems.items():
        is_labels = label_ending and stem.endswith(label_ending)
        if not is_labels and stem.endswith(image_ending):
            key = stem.removesuffix(image_ending) if image_ending else stem
            scans.append(ScanFiles(path, stems.get(key + label_ending) if label_ending else None))
    if not scans:
        ending = f" whose name ends in '{image_ending}'" if image_ending else ""
        raise DiffuseMorphError(f"The folder '{folder}' holds no image{ending} ({', '.join(SUFFIXES)}).")
    return scans


def every_pair(scans: Sequence[ScanFiles]) -> list[tuple[ScanFiles, ScanFiles]]:
    """All ordered pairs (moving, fixed) of different images. Raises DiffuseMorphError for fewer than two images."""
    if len(scans) < 2:
        where = f": only '{scans[0].image}' was found" if scans else ""
        raise DiffuseMorphError(f"A pair needs two images, but there are {len(scans)}{where}.")
    return list(permutations(scans, 2))


def pairs_to_atlas(
    scans: Sequence[ScanFiles], atlas: str | Path, atlas_labels: Path | None = None
) -> list[tuple[ScanFiles, ScanFiles]]:
    """Every image as the moving one, the atlas fixed."""
    atlas = Path(atlas).expanduser()
    if not atlas.is_file():
        raise DiffuseMorphError(f"The atlas '{atlas}' does not exist: check 'data.atlas'.")
    return [(scan, ScanFiles(atlas, atlas_labels)) for scan in scans if scan.image != atlas]


def group_by_subject(
    folder: str | Path, pattern: str = "", image_ending: str = "", label_ending: str = ""
) -> dict[str, list[ScanFiles]]:
    """Images of each subject: by sub-folder, or, with `pattern`, by the group `subject` of a regular expression that is
    searched in the file name. Subjects with one image are left out.

    Raises DiffuseMorphError for a bad pattern and when no subject has two images.
    """
    folder = Path(folder).expanduser()
    subjects: dict[str, list[ScanFiles]] = {}
    if pattern:
        try:
            expression = re.compile(pattern)
            expression.groupindex["subject"]
        except (re.error, KeyError) as problem:
            raise DiffuseMorphError(
                f"The pattern '{pattern}' must be a regular expression with a group (?P<subject>…)."
            ) from problem
        for scan in find_scans(folder, image_ending, label_ending):
            match = expression.search(scan.image.name)
            if match:
                subjects.setdefault(match["subject"], []).append(scan)
    else:
        if not folder.is_dir():
            raise DiffuseMorphError(f"The folder of subjects '{folder}' does not exist: check 'data.folder'.")
        for entry in sorted(path for path in folder.iterdir() if path.is_dir()):
            if any(path.name.lower().endswith(SUFFIXES) for path in entry.iterdir()):
                subjects[entry.name] = find_scans(entry, image_ending, label_ending)
    subjects = {name: scans for name, scans in subjects.items() if len(scans) > 1}
    if not subjects:
        raise DiffuseMorphError(
            f"No subject in '{folder}' has two images: give each a sub-folder with its images, or set 'data.pattern'."
        )
    return subjects


def read_table(path: str | Path) -> list[tuple[ScanFiles, ScanFiles]]:
    """Pairs of a CSV file with the columns moving and fixed, and perhaps moving_labels and fixed_labels.

    Paths are relative to the CSV file. Raises DiffuseMorphError naming the line of a missing file or column.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DiffuseMorphError(f"The table of pairs '{path}' does not exist: check 'data.table'.")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = {"moving", "fixed"} - set(reader.fieldnames or ())
        if missing:
            raise DiffuseMorphError(
                f"The table of pairs '{path}' has no column '{sorted(missing)[0]}': its first line "
                "must name the columns moving and fixed."
            )
        rows = [(reader.line_num, row) for row in reader]

    def file_of(row: dict[str, str], column: str, line: int) -> Path | None:
        value = (row.get(column) or "").strip()
        if not value and column.endswith("labels"):
            return None
        if not value or not (path.parent / value).is_file():
            raise DiffuseMorphError(
                f"In line {line} of '{path}' the file '{value}' of the column '{column}' does not exist."
            )
        return path.parent / value

    pairs = [
        tuple(ScanFiles(file_of(row, role, line), file_of(row, f"{role}_labels", line)) for role in ("moving", "fixed"))
        for line, row in rows
    ]
    if not pairs:
        raise DiffuseMorphError(f"The table of pairs '{path}' has no line below its first: add pairs.")
    return pairs


@dataclass(frozen=True)
class ImageGrid:
    """The grid all images are brought to.

    shape : voxels in array order, (D, H, W) or (H, W); spacing : mm a voxel, in the same order. The grid's axes are
    those of LPS, its centre that of the image. physical : keep where the images of a pair lie to each other in space,
    as within a subject; otherwise each image's own centre is taken to the grid's.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    physical: bool = False


class ImagePairs:
    """A PairSource of real images. An epoch shows every pair once, in a new order."""

    def __init__(
        self,
        training: Sequence[tuple[ScanFiles, ScanFiles]],
        validating: Sequence[tuple[ScanFiles, ScanFiles]],
        grid: ImageGrid,
        flips: Sequence[str] = (),
        affine: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Flips : axes of "x", "y", "z" along which half of the pairs are mirrored. affine : 1 for random affine maps
        of up to 15 degrees, 10 % and 2 voxels, smaller for less, 0 for none. Both images of a pair share them.
        """
        self.ndim, self.grid, self.seed = len(grid.shape), grid, seed
        self.flipped = [self.ndim + 1 - "xyz".index(axis) for axis in flips]
        self.limits = AffineRange(15 * affine, 0.1 * affine, 0.05 * affine, 2 * affine)
        self._training, self._validating = list(training), list(validating)
        self._kept: OrderedDict[tuple[Path, Path, bool], Tensor] = OrderedDict()

    @property
    def pair_count(self) -> int:
        """Pairs in an epoch."""
        return len(self._training)

    def draw(self, index: int, device: torch.device) -> TrainingPair:
        epoch, place = divmod(index, len(self._training))
        order = torch.randperm(len(self._training), generator=generator(self.seed, _ORDER_STREAM + epoch))
        pair = self._load(*self._training[int(order[place])]).to(device)
        random = generator(self.seed, index)
        axes = [axis for axis in self.flipped if uniform(0, 1, random) < 0.5]
        matrix, shift = random_affine(self.ndim, self.limits, random)

        def changed(part: Tensor, kind: str) -> Tensor:
            part = part.flip(axes) if axes else part
            return sample_affine(part, matrix, shift, _MODES[kind]) if self.limits.rotation > 0 else part

        return pair.each(changed)

    def validation(self, device: torch.device) -> list[TrainingPair]:
        return [self._load(*pair).to(device) for pair in self._validating]

    def _load(self, moving: ScanFiles, fixed: ScanFiles) -> TrainingPair:
        place = fixed.image if self.grid.physical else moving.image
        files = (
            (moving.image, place, False),
            (fixed.image, fixed.image, False),
            (moving.labels, place, True),
            (fixed.labels, fixed.image, True),
        )
        return TrainingPair(*(None if file[0] is None else self._tensor(file) for file in files))

    def _tensor(self, file: tuple[Path, Path, bool]) -> Tensor:
        """A prepared file from memory, or from disk. What was not used for longest makes room."""
        if file not in self._kept:
            self._kept[file] = prepare_image(*file, self.grid)
            if len(self._kept) * self._kept[file].nbytes > _MEMORY and len(self._kept) > 4:
                self._kept.popitem(last=False)
        self._kept.move_to_end(file)
        return self._kept[file]


def prepare_image(path: Path, place: Path, labels: bool, grid: ImageGrid) -> Tensor:
    """Read a file onto the grid centred on the image `place`: (1, 1, *shape), intensities in [-1, 1] or labels.

    Intensities are scaled as for a registration; colours become their luminance. Raises DiffuseMorphError for a file
    that is no image of the grid's dimension.
    """
    image = _read(path, len(grid.shape), labels)
    frame = image if place == path else _read(place, len(grid.shape), labels)
    size, spacing = grid.shape[::-1], grid.spacing[::-1]
    middle = np.array(frame.TransformContinuousIndexToPhysicalPoint([(side - 1) / 2 for side in frame.GetSize()]))
    origin = middle - np.array(spacing) * (np.array(size) - 1) / 2
    direction = np.eye(len(size)).ravel().tolist()
    array = sitk.GetArrayViewFromImage(image)
    lowest = 0.0 if labels else float(array.min())
    low, high = (0.0, 1.0) if labels else intensity_range(array)
    if not labels:
        ratios = [wide / fine for wide, fine in zip(spacing, image.GetSpacing())]
        widths = [0.5 * wide if ratio > 1.2 else 1e-3 * wide for wide, ratio in zip(spacing, ratios)]
        if max(ratios) > 1.2:  # without this, fine detail would alias
            image = sitk.DiscreteGaussian(image, [width**2 for width in widths])
    image = sitk.Resample(
        image,
        size,
        sitk.Transform(),
        sitk.sitkNearestNeighbor if labels else sitk.sitkLinear,
        origin.tolist(),
        spacing,
        direction,
        lowest,
    )
    values = torch.from_numpy(sitk.GetArrayFromImage(image))[None, None]
    return values if labels else ((values - low) / max(high - low, 1e-6)).clamp(0, 1) * 2 - 1


def _read(path: Path, ndim: int, labels: bool) -> sitk.Image:
    image = sitk.Cast(grey(check_image(read_image(path), f"image '{path}'", labels)), sitk.sitkFloat32)
    if image.GetDimension() != ndim:
        raise DiffuseMorphError(
            f"The image '{path}' has {image.GetDimension()} dimensions, the grid {ndim}: take a "
            f"preset for {image.GetDimension()}-D images."
        )
    if not labels:
        array = sitk.GetArrayFromImage(image)
        if not np.isfinite(array).all():
            clean = sitk.GetImageFromArray(np.where(np.isfinite(array), array, array[np.isfinite(array)].min()))
            clean.CopyInformation(image)
            image = clean
    return sitk.DICOMOrient(image, "LPS") if ndim == 3 else image
