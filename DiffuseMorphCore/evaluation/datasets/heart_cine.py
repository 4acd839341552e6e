"""Short-axis slices of cine MR at end-diastole and end-systole, listed in `pairs.csv`: real 2-D motion."""

from __future__ import annotations

import csv

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.scan import DataSet, ScanPair, file_scan

VALIDATION_PEOPLE = 6
COLUMNS = ("person", "slice", "end_diastole", "end_diastole_label", "end_systole", "end_systole_label")


class HeartCine(DataSet):
    """Grey slices of 256 x 256 pixels; moving is end-diastole, fixed is end-systole of the same slice.

    The label is the cavity of the left ventricle. The last six people of the list validate. The pixel size is not
    recorded, so lengths are in pixels.
    """

    name = "heart-cine"
    title = "the cine heart slices"
    ndim = 2
    length_unit = "pixels"
    mirrored_axes = (0, 1)
    structures = {255: "left ventricle cavity"}
    splits = ("train", "validation")

    def pairs(self, split: str) -> list[ScanPair]:
        self.check_split(split)
        path = self.required("pairs.csv")
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if not rows or any(column not in rows[0] for column in COLUMNS):
            raise DiffuseMorphError(f"The list '{path}' needs rows under the headings {', '.join(COLUMNS)}.")
        people = list(dict.fromkeys(row["person"] for row in rows))
        chosen = people[-VALIDATION_PEOPLE:] if split == "validation" else people[:-VALIDATION_PEOPLE]
        return [self._pair(row) for row in rows if row["person"] in chosen]

    def _pair(self, row: dict[str, str]) -> ScanPair:
        ends = [
            file_scan(
                self.required(row[phase]).stem,
                row["person"],
                self.required(row[phase]),
                self.required(row[f"{phase}_label"]),
            )
            for phase in ("end_diastole", "end_systole")
        ]
        return ScanPair(moving=ends[0], fixed=ends[1])
