"""A folder (or a list) of DICOM files as one volume, where its slices make one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import printable
from DiffuseMorphCore.images.names import itk_name

_SERIES_LISTED = 8
_MODALITY = "0008|0060"
_UNEVENNESS = 0.1  # of the slice distance, up to which slices count as evenly spaced and upright


@dataclass(frozen=True)
class Slice:
    """One file: where its first voxel lies and its axes point (LPS, mm), its size, and how its numbers are stored."""

    name: str
    position: np.ndarray | None
    axes: tuple[float, ...]
    size: tuple[int, ...]
    spacing: tuple[float, ...]
    kind: int
    scaling: tuple[str, str]
    modality: str

    @classmethod
    def of(cls, name: str) -> Slice:
        """What the header of a file says."""
        reader = _information(name)
        position = None
        if reader.HasMetaDataKey("0020|0032"):
            position = np.array([float(value) for value in reader.GetMetaData("0020|0032").split("\\")])
        slope, intercept, modality = (
            reader.GetMetaData(key).strip() if reader.HasMetaDataKey(key) else ""
            for key in ("0028|1053", "0028|1052", _MODALITY)
        )
        return cls(
            name,
            position,
            reader.GetDirection(),
            reader.GetSize(),
            reader.GetSpacing(),
            reader.GetPixelIDValue(),
            (slope, intercept),
            modality,
        )

    @property
    def normal(self) -> np.ndarray:
        return np.array(self.axes).reshape(3, 3)[:, 2]


def read_folder(folder: Path, notes: list[str] | None = None, resample: bool = False) -> sitk.Image:
    """The one DICOM series of a folder; see `read_stack`.

    A folder whose series have one file each, and make one even stack together, is read as that stack.
    """
    where = f"folder '{printable(folder)}'"
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(itk_name(folder))
    if not series:
        raise DiffuseMorphError(
            f"The {where} holds no DICOM series: "
            "name an image file, or the folder that holds the DICOM files themselves."
        )
    files = {
        each: [itk_name(name) for name in sitk.ImageSeriesReader.GetGDCMSeriesFileNames(itk_name(folder), each)]
        for each in series
    }
    if len(series) == 1:
        return read_stack(files[series[0]], where, notes, resample)
    if all(len(names) == 1 for names in files.values()):
        slices = [Slice.of(names[0]) for names in files.values()]
        if _one_stack(slices) and (resample or _fault(_sorted(slices)) is None):
            if notes is not None:
                notes.append(
                    f"The {len(series)} DICOM series of one file each in the {where} were read as one stack, "
                    "sorted by position."
                )
            return _stack(slices, where, notes, resample)
    largest = sorted(files.values(), key=len, reverse=True)
    listed = ", ".join(
        f"'{_description(names[0])}' with {len(names)} file{'s' * (len(names) > 1)}"
        for names in largest[:_SERIES_LISTED]
    )
    listed += f" and {len(series) - _SERIES_LISTED} smaller ones" if len(series) > _SERIES_LISTED else ""
    raise DiffuseMorphError(
        f"The {where} holds {len(series)} DICOM series ({listed}): "
        "put the files of the one to register into a folder of their own."
    )


def read_stack(names: Sequence[str], where: str, notes: list[str] | None = None, resample: bool = False) -> sitk.Image:
    """DICOM files as one volume, sorted by position.

    `resample` : bring slices that are tilted against their stack (a CT's gantry) or unevenly spaced onto an upright,
    even grid, linearly between neighbours; without it they are refused.

    Raises DiffuseMorphError for slices that do not form an even stack, or no stack at all.
    """
    if len(names) == 1:
        return sitk.ReadImage(names[0])
    slices = [Slice.of(name) for name in names]
    if any(each.position is None for each in slices):
        return _execute([each.name for each in slices], slices)
    if not _one_stack(slices):
        raise DiffuseMorphError(
            f"The {len(names)} DICOM files in the {where} differ in size or orientation: "
            "put the files of one series into a folder of their own."
        )
    return _stack(slices, where, notes, resample)


def _stack(slices: list[Slice], where: str, notes: list[str] | None, resample: bool) -> sitk.Image:
    ordered = _sorted(slices)
    fault = _fault(ordered)
    if fault is None:
        return _execute([each.name for each in ordered], ordered)
    advice = (
        "export the series again, or let them be brought onto an even grid with the option --resample-slices "
        "(resample_slices=True)"
    )
    if fault == "repeated":
        advice = (
            "export the series again with each slice once, or put the slices of one time into a folder of their own"
        )
    if fault == "repeated" or not resample:
        raise DiffuseMorphError(
            f"The {len(slices)} DICOM slices in the {where} are no evenly spaced, upright stack ({fault}): {advice}."
        )
    if notes is not None:
        notes.append(
            f"The {len(slices)} slices in the {where} are {fault}: they were resampled onto an even, upright grid."
        )
    return _resampled(ordered)


def _information(name: str) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    reader.ReadImageInformation()
    return reader


def _description(name: str) -> str:
    reader = _information(name)
    for key in ("0008|103e", "0020|0011"):  # series description, series number
        if reader.HasMetaDataKey(key) and reader.GetMetaData(key).strip():
            return printable(reader.GetMetaData(key).strip())
    return printable(Path(name).name)


def _one_stack(slices: list[Slice]) -> bool:
    """Whether slices have the same size, spacing and orientation, and a position."""
    first = slices[0]
    return all(
        each.position is not None
        and len(each.size) == 3
        and each.size[2] == 1
        and each.size == first.size
        and np.allclose(each.axes, first.axes, atol=1e-3)
        and np.allclose(each.spacing[:2], first.spacing[:2], rtol=1e-3)
        for each in slices
    )


def _sorted(slices: list[Slice]) -> list[Slice]:
    return sorted(slices, key=lambda each: float(slices[0].normal @ each.position))


def _steps(ordered: list[Slice]) -> np.ndarray:
    return np.diff([each.position for each in ordered], axis=0)


def _fault(ordered: list[Slice]) -> str | None:
    """What keeps sorted slices from being an even, upright stack, if anything.

    ITK takes the first two slices for the distance of all and the normal of the first for the direction of the stack: a
    missing slice or a tilted gantry would bend space without a word.
    """
    steps, normal = _steps(ordered), ordered[0].normal
    usual = np.median(steps, axis=0)
    distance = float(np.linalg.norm(usual))
    if (steps @ normal).min() < 1e-3 * max(float(np.median(steps @ normal)), 1e-6):
        return "repeated"
    if float(np.linalg.norm(steps - np.outer(steps @ normal, normal), axis=1).max()) > _UNEVENNESS * distance:
        return "tilted or shifted"
    if float(np.abs(steps @ normal - usual @ normal).max()) > _UNEVENNESS * distance:
        return "unevenly spaced"
    return None


def _execute(names: list[str], slices: list[Slice]) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(names)
    # The first file decides the type of all. Slices with slopes of their own (PET) would be cut to whole numbers.
    if len({each.scaling for each in slices}) > 1 or len({each.kind for each in slices}) > 1:
        reader.SetOutputPixelType(
            sitk.sitkFloat64 if sitk.sitkFloat64 in {each.kind for each in slices} else sitk.sitkFloat32
        )
    image = reader.Execute()
    image.SetMetaData(_MODALITY, slices[0].modality)
    return image


def _resampled(ordered: list[Slice]) -> sitk.Image:
    """Sorted slices of any distance and shift on a grid upright to them, linear between the two neighbours.

    The grid has the slices' own rows and columns where the first one lies, and their usual distance.
    """
    first, normal = ordered[0], ordered[0].normal
    heights = np.array([float(normal @ (each.position - first.position)) for each in ordered])
    distance = float(np.median(np.diff(heights)))
    count = int(round(heights[-1] / distance)) + 1
    parts = [sitk.ReadImage(each.name, sitk.sitkFloat32) for each in ordered]
    lowest = min(float(sitk.GetArrayViewFromImage(part).min()) for part in parts)
    planes = []
    for number in range(count):
        height = min(number * distance, float(heights[-1]))
        upper = min(max(int(np.searchsorted(heights, height)), 1), len(ordered) - 1)
        share = (height - heights[upper - 1]) / (heights[upper] - heights[upper - 1])
        planes.append(
            (1 - share) * _seen(parts[upper - 1], ordered[upper - 1], first, lowest)
            + share * _seen(parts[upper], ordered[upper], first, lowest)
        )
    result = sitk.GetImageFromArray(np.stack(planes).astype(np.float32))
    result.SetSpacing((*first.spacing[:2], distance))
    result.SetDirection(first.axes)
    result.SetOrigin(first.position.tolist())
    result.SetMetaData(_MODALITY, first.modality)
    return result


def _seen(part: sitk.Image, one: Slice, first: Slice, outside: float) -> np.ndarray:
    """The values of a slice on the rows and columns of the first one, (rows, columns)."""
    flat = part[:, :, 0]
    along = np.array(first.axes).reshape(3, 3)[:, :2].T @ (one.position - first.position)
    for image, origin in ((flat, along), (frame := sitk.Image(flat), np.zeros(2))):
        image.SetSpacing(first.spacing[:2])
        image.SetDirection((1.0, 0.0, 0.0, 1.0))
        image.SetOrigin(origin.tolist())
    return sitk.GetArrayFromImage(
        sitk.Resample(flat, frame, sitk.Transform(2, sitk.sitkIdentity), sitk.sitkLinear, outside)
    )
