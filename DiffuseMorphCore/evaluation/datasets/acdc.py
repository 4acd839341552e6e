"""ACDC, the Automated Cardiac Diagnosis Challenge, as its organisers distribute it.

`patientNNN/Info.cfg`, `patientNNN_4d.nii.gz`, `patientNNN_frameMM.nii.gz` and `patientNNN_frameMM_gt.nii.gz`, the
patient folders directly in the given folder or in its subfolder `training`. Preparation follows the paper's section 4
and, where it is silent, its authors' practice: B-spline resampling to 1.5 x 1.5 x 3.15 mm, each whole volume scaled to
[-1, 1] before cropping, 128 x 128 x 32 voxels around the middle, missing planes padded with the darkest value.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.geometry import centre_crop_or_pad, resample_spacing, scale_whole
from DiffuseMorphCore.evaluation.datasets.scan import DataSet, Scan, ScanPair, read_file

SPACING = (1.5, 1.5, 3.15)
SIZE = (128, 128, 32)
PATIENTS, TEST_PATIENTS = 100, 10


class Acdc(DataSet):
    """Moving is end-diastole, fixed end-systole; `frames` are all frames between, both included.

    The last ten patients test, the others train. `patients` and `test_patients` say how many there have to be.
    """

    name = "acdc"
    title = "ACDC"
    ndim = 3
    intensities = (-1.0, 1.0)
    mirrored_axes = (1, 2)
    structures = {1: "right ventricle", 2: "myocardium", 3: "left ventricle cavity"}
    splits = ("train", "test")

    def __init__(self, folder: str | Path | None, patients: int = PATIENTS, test_patients: int = TEST_PATIENTS):
        super().__init__(folder)
        if (self.folder / "training").is_dir():
            self.folder = self.folder / "training"
        self.patients = sorted(path.name for path in self.folder.glob("patient[0-9][0-9][0-9]") if path.is_dir())
        if len(self.patients) != patients:
            raise DiffuseMorphError(
                f"The folder '{self.folder}' holds {len(self.patients)} patients, but ACDC has {patients} with labels, "
                f"patient001 onwards: give its folder 'training' with --data."
            )
        self.test_patients = test_patients

    def pairs(self, split: str) -> list[ScanPair]:
        self.check_split(split)
        chosen = self.patients[: -self.test_patients] if split == "train" else self.patients[-self.test_patients :]
        return [self._pair(patient) for patient in chosen]

    def _pair(self, patient: str) -> ScanPair:
        phases = self._phases(patient)
        first, last, count = phases["ED"], phases["ES"], phases["NbFrame"]
        series = self.required(f"{patient}/{patient}_4d.nii.gz")
        steps = (last - first) % count
        moving, fixed = self._labelled(patient, first, 0.0), self._labelled(patient, last, 1.0)
        between = [
            Scan(f"{patient}_frame{number:02d}", patient, partial(read_frame, series, number, count), time=step / steps)
            for step in range(1, steps)
            for number in [(first + step - 1) % count + 1]
        ]
        return ScanPair(moving, fixed, (moving, *between, fixed))

    def _phases(self, patient: str) -> dict[str, int]:
        path = self.required(f"{patient}/Info.cfg")
        entries = dict(line.split(":", 1) for line in path.read_text(encoding="utf-8").splitlines() if ":" in line)
        try:
            found = {name: int(entries[name]) for name in ("ED", "ES", "NbFrame")}
        except (KeyError, ValueError):
            raise DiffuseMorphError(
                f"The file '{path}' needs whole numbers for ED, ES and NbFrame: get a new copy of it."
            ) from None
        if found["ED"] == found["ES"] or not all(1 <= found[name] <= found["NbFrame"] for name in ("ED", "ES")):
            raise DiffuseMorphError(
                f"The file '{path}' names frames that are equal or not there: get a new copy of it."
            )
        return found

    def _labelled(self, patient: str, frame: int, time: float) -> Scan:
        stem = f"{patient}_frame{frame:02d}"
        image = self.required(f"{patient}/{stem}.nii.gz")
        labels = self.required(f"{patient}/{stem}_gt.nii.gz")
        return Scan(stem, patient, partial(read_volume, image), partial(read_labels, labels, image), time=time)


def prepare_image(image: sitk.Image) -> sitk.Image:
    """One ACDC volume on the paper's grid, float32 in [-1, 1]."""
    resampled = resample_spacing(sitk.Cast(image, sitk.sitkFloat32), SPACING, sitk.sitkBSpline)
    return centre_crop_or_pad(scale_whole(resampled), SIZE, -1.0)


def read_volume(path: Path) -> sitk.Image:
    """Read and prepare a volume. Raises DiffuseMorphError where it is not 3-D."""
    image = read_file(path)
    if image.GetDimension() != 3:
        raise DiffuseMorphError(
            f"The file '{path}' has {image.GetDimension()} dimensions instead of 3: get a new copy."
        )
    return prepare_image(image)


def read_labels(path: Path, image_path: Path) -> sitk.Image:
    """Read and prepare the labels of `image_path`. Raises DiffuseMorphError where the two grids differ."""
    labels, image = read_file(path), read_file(image_path)
    if labels.GetSize() != image.GetSize():
        raise DiffuseMorphError(
            f"The labels '{path}' have the size {labels.GetSize()} and their image {image.GetSize()}: get new copies."
        )
    labels.CopyInformation(image)
    resampled = resample_spacing(sitk.Cast(labels, sitk.sitkUInt8), SPACING, sitk.sitkNearestNeighbor)
    return centre_crop_or_pad(resampled, SIZE, 0)


def read_frame(path: Path, number: int, count: int) -> sitk.Image:
    """Read and prepare frame `number`, from 1, of a 4-D series. Raises DiffuseMorphError for another frame count."""
    series = read_file(path)
    if series.GetDimension() != 4 or series.GetSize()[3] != count:
        raise DiffuseMorphError(
            f"The file '{path}' is not a 4-D series of {count} frames, as Info.cfg says: get a new copy."
        )
    return prepare_image(series[:, :, :, number - 1])
