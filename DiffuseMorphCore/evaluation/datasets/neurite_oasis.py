"""The neurite-OASIS release: 414 people of OASIS-1, processed with FreeSurfer, `OASIS_OAS1_NNNN_MR1/`.

`aligned_norm.nii.gz` is the brain, extracted, affinely aligned and cropped to 160 x 192 x 224 voxels of 1 mm in the
order L-R, I-S, A-P; `aligned_seg35.nii.gz` holds 35 structures named in `seg35_labels.txt`.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.scan import DataSet, Scan, ScanPair, ordered_pairs, read_file

VOXELS = 160 * 192 * 224
PEOPLE, VALIDATION_PEOPLE = 414, 20


class NeuriteOasis(DataSet):
    """The last twenty people validate, as in the Learn2Reg challenge: each is registered to the one before (19 pairs).

    All ordered pairs of the 394 others train. `people` and `validation_people` say how many there have to be.
    """

    name = "neurite-oasis"
    title = "the neurite-OASIS release"
    ndim = 3
    intensities = (0.0, 1.0)
    splits = ("train", "validation")

    def __init__(
        self,
        folder: str | Path | None,
        people: int = PEOPLE,
        validation_people: int = VALIDATION_PEOPLE,
        voxels: int = VOXELS,
    ):
        super().__init__(folder)
        self.validation_people, self.voxels = validation_people, voxels
        self.people = sorted(path.name for path in self.folder.glob("OASIS_OAS1_*_MR1") if path.is_dir())
        if len(self.people) != people:
            raise DiffuseMorphError(
                f"The folder '{self.folder}' holds {len(self.people)} people OASIS_OAS1_NNNN_MR1, "
                f"but neurite-OASIS has {people}: give its folder with --data."
            )
        lines = self.required("seg35_labels.txt").read_text(encoding="utf-8").splitlines()
        found = (re.match(r"\s*(\d+)\W+(\S.*?)(?:\s+\d+)*\s*$", line) for line in lines)
        self.structures = {int(match.group(1)): match.group(2) for match in found if match and int(match.group(1))}
        if not self.structures:
            raise DiffuseMorphError(
                f"The file '{self.folder / 'seg35_labels.txt'}' names no structure: get a new copy of it."
            )

    def scan(self, person: str) -> Scan:
        return Scan(
            person,
            person,
            partial(self._read, self.required(f"{person}/aligned_norm.nii.gz")),
            partial(self._read, self.required(f"{person}/aligned_seg35.nii.gz")),
        )

    def _read(self, path: Path) -> sitk.Image:
        image = read_file(path)
        if image.GetNumberOfPixels() != self.voxels:
            raise DiffuseMorphError(
                f"The file '{path}' has {image.GetSize()} voxels instead of 160 x 192 x 224: get a new copy of it."
            )
        return image

    def pairs(self, split: str) -> list[ScanPair]:
        self.check_split(split)
        if split == "train":
            return ordered_pairs([self.scan(person) for person in self.people[: -self.validation_people]])
        scans = [self.scan(person) for person in self.people[-self.validation_people :]]
        return [ScanPair(moving=later, fixed=earlier) for earlier, later in zip(scans, scans[1:])]
