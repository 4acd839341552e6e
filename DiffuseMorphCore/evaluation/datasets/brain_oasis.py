"""Twenty brains of OASIS with manual labels: `NNNN_t1.nii.gz`, `NNNN_labels.nii.gz` and `labels.csv`."""

from __future__ import annotations

import csv
from pathlib import Path

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.scan import DataSet, Scan, ScanPair, file_scan, ordered_pairs

VALIDATION = ("1003", "1004", "1005", "1018", "1019")

# Names in labels.csv that only some of the twenty people have; the 138 others are in all of them.
NOT_IN_EVERYBODY = frozenset({15, 65, 66, 74, 126, 127})


class BrainOasis(DataSet):
    """T1 brains on twenty different grids, 1 mm, brain extracted, not aligned; 138 structures.

    Fifteen people train (ordered pairs), the five of `VALIDATION` give the 20 ordered pairs that are scored.
    """

    name = "brain-oasis"
    title = "the labelled OASIS brains"
    ndim = 3
    splits = ("train", "validation")

    def __init__(self, folder: str | Path | None):
        super().__init__(folder)
        with open(self.required("labels.csv"), newline="", encoding="utf-8") as file:
            names = {int(row["label"]): row["name"] for row in csv.DictReader(file)}
        self.structures = {label: text for label, text in names.items() if label not in NOT_IN_EVERYBODY}

    def scan(self, subject: str) -> Scan:
        return file_scan(
            subject, subject, self.required(f"{subject}_t1.nii.gz"), self.required(f"{subject}_labels.nii.gz")
        )

    def scans(self, split: str) -> list[Scan]:
        self.check_split(split)
        if split == "validation":
            return [self.scan(subject) for subject in VALIDATION]
        subjects = sorted(path.name.split("_")[0] for path in self.folder.glob("*_t1.nii.gz"))
        people = [self.scan(subject) for subject in subjects if subject not in VALIDATION]
        if len(people) < 2:
            raise DiffuseMorphError(
                f"The folder '{self.folder}' has fewer than two people to train on: it needs files NNNN_t1.nii.gz."
            )
        return people

    def pairs(self, split: str) -> list[ScanPair]:
        return ordered_pairs(self.scans(split))
