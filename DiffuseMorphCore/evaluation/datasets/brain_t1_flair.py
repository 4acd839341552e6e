"""Seven whole heads with T1 and FLAIR of one session: `NN_t1.nii.gz`, `NN_flair.nii.gz` and labels on each."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.scan import DataSet, Scan, ScanPair, file_scan
from DiffuseMorphCore.images import read_image

PEOPLE = {"train": ("04", "07", "11"), "validation": ("15", "16", "20", "23")}
ONE_PERSON_TWICE = frozenset({"15", "16"})


class BrainT1Flair(DataSet):
    """The T1 of one person is fixed, the FLAIR of another moves; 2 mm, not aligned, 145 structures.

    Nothing is trained on them: methods are chosen on the three people of "train" (6 ordered pairs) and scored on the
    four of "validation" (10 pairs; two of the four look like one person scanned twice, so their own two pairs are left
    out).
    """

    name = "brain-t1-flair"
    title = "T1 and FLAIR of different people"
    ndim = 3
    splits = tuple(PEOPLE)

    def __init__(self, folder: str | Path | None):
        super().__init__(folder)
        first = self.required(f"{PEOPLE['train'][0]}_labels.nii.gz")
        labels = sitk.LabelShapeStatisticsImageFilter()
        labels.Execute(sitk.Cast(read_image(first), sitk.sitkInt32))
        self.structures = {label: str(label) for label in labels.GetLabels()}

    def scans(self, split: str) -> list[Scan]:
        """The T1 scans, then the FLAIR scans, of a split."""
        self.check_split(split)
        return [self._scan(person, kind) for kind in ("t1", "flair") for person in PEOPLE[split]]

    def pairs(self, split: str) -> list[ScanPair]:
        scans = self.scans(split)
        half = len(scans) // 2
        pairs = [
            ScanPair(moving, fixed)
            for fixed in scans[:half]
            for moving in scans[half:]
            if fixed.subject != moving.subject
        ]
        pairs = [pair for pair in pairs if {pair.fixed.subject, pair.moving.subject} != ONE_PERSON_TWICE]
        if not pairs:
            raise DiffuseMorphError(f"The folder '{self.folder}' has no pair of two people for '{split}'.")
        return pairs

    def _scan(self, person: str, kind: str) -> Scan:
        labels = "labels" if kind == "t1" else "labels_flair"
        return file_scan(
            f"{person}_{kind}",
            person,
            self.required(f"{person}_{kind}.nii.gz"),
            self.required(f"{person}_{labels}.nii.gz"),
        )
