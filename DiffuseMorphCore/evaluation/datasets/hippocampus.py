"""Hippocampus, Medical Segmentation Decathlon: `hippocampus_NNN_t1.nii.gz` and `hippocampus_NNN_labels.nii.gz`."""

from __future__ import annotations

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.scan import DataSet, Scan, ScanPair, file_scan

VALIDATION_PEOPLE = 30
# Every person is registered to the next one and to the seventh after it in a ring: twice moving and twice fixed.
RING_STEPS = (1, 7)


class Hippocampus(DataSet):
    """MR cut out around one hippocampus, about 35 x 51 x 35 voxels of 1 mm; the last 30 people in order validate."""

    name = "hippocampus"
    title = "the hippocampus images"
    ndim = 3
    structures = {1: "anterior", 2: "posterior"}
    splits = ("train", "validation")

    def scans(self, split: str) -> list[Scan]:
        self.check_split(split)
        names = sorted(path.name.removesuffix("_t1.nii.gz") for path in self.folder.glob("hippocampus_*_t1.nii.gz"))
        names = names[-VALIDATION_PEOPLE:] if split == "validation" else names[:-VALIDATION_PEOPLE]
        if len(names) < 2:
            raise DiffuseMorphError(
                f"The folder '{self.folder}' has fewer than two {split} people: it needs files "
                "hippocampus_NNN_t1.nii.gz "
                f"of more than {VALIDATION_PEOPLE} people."
            )
        return [
            file_scan(
                name.removeprefix("hippocampus_"),
                name,
                self.required(f"{name}_t1.nii.gz"),
                self.required(f"{name}_labels.nii.gz"),
            )
            for name in names
        ]

    def pairs(self, split: str) -> list[ScanPair]:
        scans = self.scans(split)
        return [
            ScanPair(scan, scans[(index + step) % len(scans)])
            for step in RING_STEPS
            for index, scan in enumerate(scans)
            if step % len(scans)
        ]
