"""RaFD, the Radboud Faces Database: `Rafd090_NN_group_sex_expression_gaze.jpg`, frontal camera, 681 x 1024 pixels.

Preparation follows the paper's section 4: 640 x 640 pixels from the middle, 128 x 128, grey.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.scan import DataSet, Scan, ScanPair, ordered_pairs, read_file

CROP, SIDE = 640, 128
EXPRESSIONS = ("angry", "contemptuous", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")
GAZES = ("frontal", "left", "right")
SPLIT_SIZES = {"train": 53, "validation": 7, "test": 7}
_NAME = re.compile(r"Rafd090_(\d+)_\w+?_(?:fe)?male_(\w+)_(\w+)\.jpg$", re.IGNORECASE)


class Rafd(DataSet):
    """All ordered pairs of 8 expressions with 3 gazes within a subject; 53, 7 and 7 subjects by their numbers.

    `split_sizes` says how many subjects each split has. `scan.image()` is grey in [-1, 1]; `colour_channels(scan)`
    gives the three channels, to which the same deformation is applied for the scores.
    """

    name = "rafd"
    title = "RaFD"
    ndim = 2
    length_unit = "pixels"
    intensities = (-1.0, 1.0)
    mirrored_axes = (1,)
    structures: dict[int, str] = {}

    def __init__(self, folder: str | Path | None, split_sizes: dict[str, int] = SPLIT_SIZES):
        super().__init__(folder)
        self.split_sizes = split_sizes
        self.files: dict[int, dict[tuple[str, str], Path]] = {}
        for path in sorted(self.folder.rglob("*.jpg")):
            found = _NAME.search(path.name)
            if found and found.group(2).lower() in EXPRESSIONS and found.group(3).lower() in GAZES:
                self.files.setdefault(int(found.group(1)), {})[found.group(2).lower(), found.group(3).lower()] = path
        wanted = sum(split_sizes.values())
        if len(self.files) != wanted:
            raise DiffuseMorphError(
                f"The folder '{folder}' holds frontal images of {len(self.files)} subjects, but RaFD has {wanted}: "
                f"give the folder of its Rafd090 files with --data."
            )

    def scans(self, subject: int) -> list[Scan]:
        """The 24 images of one subject. Raises DiffuseMorphError naming the one that is missing."""
        scans = []
        for expression in EXPRESSIONS:
            for gaze in GAZES:
                path = self.files[subject].get((expression, gaze))
                if path is None:
                    raise DiffuseMorphError(
                        f"Subject {subject} of RaFD in '{self.folder}' has no image '{expression}, "
                        f"gaze {gaze}': check that all Rafd090 files are there."
                    )
                scans.append(Scan(f"{subject:02d}_{expression}_{gaze}", f"{subject:02d}", partial(read_grey, path)))
        return scans

    def pairs(self, split: str) -> list[ScanPair]:
        self.check_split(split)
        subjects = sorted(self.files)
        start = 0
        for name in self.splits:
            if name == split:
                break
            start += self.split_sizes[name]
        chosen = subjects[start : start + self.split_sizes[split]]
        return [pair for subject in chosen for pair in ordered_pairs(self.scans(subject))]

    def colour_channels(self, scan: Scan) -> list[sitk.Image]:
        """Red, green and blue of a scan on the same pixels, float32 in [-1, 1]."""
        _, expression, gaze = scan.name.split("_")
        array = read_face(self.files[int(scan.subject)][expression, gaze])
        return [sitk.GetImageFromArray(array[..., channel] * 2 - 1) for channel in range(3)]


def read_face(path: Path) -> np.ndarray:
    """(128, 128, 3) float32 in [0, 1]: a photograph's middle, reduced. Raises DiffuseMorphError if it is too small."""
    from skimage.transform import resize

    array = sitk.GetArrayFromImage(read_file(path))
    if array.ndim != 3 or array.shape[2] != 3 or min(array.shape[:2]) < CROP:
        raise DiffuseMorphError(
            f"The file '{path}' is not a colour image of at least {CROP} x {CROP} pixels: use the original RaFD files."
        )
    top, left = ((size - CROP) // 2 for size in array.shape[:2])
    middle = array[top : top + CROP, left : left + CROP].astype(np.float32) / 255
    return resize(middle, (SIDE, SIDE, 3), order=1, anti_aliasing=True).astype(np.float32)


def read_grey(path: Path) -> sitk.Image:
    """A face in grey, float32 in [-1, 1] (luminance weights of scikit-image)."""
    from skimage.color import rgb2gray

    return sitk.GetImageFromArray(rgb2gray(read_face(path)).astype(np.float32) * 2 - 1)
