"""One lung CT at two times with landmarks: the elastix example pair."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.scan import DataSet, Scan, ScanPair, read_file, read_labels

BASELINE = ("3DCT_lung_baseline.mha", "3DCT_lung_baseline_mask.mha", "3DCT_lung_baseline_landmarks.txt")
FOLLOWUP = ("3DCT_lung_followup.mha", "3DCT_lung_followup_mask.mha", "3DCT_lung_groundtruth_point.txt")


class LungCt(DataSet):
    """The baseline is fixed, the follow-up is moving; point N of one file is point N of the other.

    Points are world coordinates in mm (LPS, as in the image headers). 51 of the 100 lie inside both images; the mean
    distance of these before registration is 35.3 mm.
    """

    name = "lung-ct"
    title = "the lung CT pair"
    ndim = 3
    structures = {1: "lung"}
    splits = ("validation",)

    def _scan(self, name: str, files: tuple[str, str, str]) -> Scan:
        image, mask, points = (self.required(file) for file in files)
        return Scan(
            name, "lung", partial(read_file, image), partial(read_labels, mask, image), partial(read_points, points)
        )

    def pairs(self, split: str) -> list[ScanPair]:
        self.check_split(split)
        return [ScanPair(self._scan("followup", FOLLOWUP), self._scan("baseline", BASELINE))]


def read_points(path: Path) -> np.ndarray:
    """(N, 3) world coordinates in mm of an elastix point file: the word `point`, the count, one point a line.

    Raises DiffuseMorphError for a file of indices or with another number of points than it says.
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines[0].strip() != "point":
        raise DiffuseMorphError(
            f"The point file '{path}' has to begin with the word 'point' (world coordinates in mm)."
        )
    try:
        points = np.array([[float(value) for value in line.split()] for line in lines[2:] if line.strip()])
        count = int(lines[1])
    except (ValueError, IndexError):
        points, count = np.empty((0, 0)), -1
    if points.ndim != 2 or len(points) != count:
        raise DiffuseMorphError(
            f"The point file '{path}' does not hold the number of points it announces: get a new copy."
        )
    return points
