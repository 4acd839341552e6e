"""The phases of a folder of DICOM files: which of them make the volume of each moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import printable
from DiffuseMorphCore.images.names import itk_name

_TIMES = ("0020|0100", "0018|1060", "0020|9153", "0020|0012", "0008|0032", "0008|0033")
"""Tags that tell moments apart: temporal position, trigger time, nominal cardiac time, acquisition, its time, content
time."""
_IN_SECONDS = {"0018|1060": 1e-3, "0020|9153": 1e-3}


def phases_of(folder: Path) -> tuple[list[list[str]], tuple[float, ...] | None]:
    """The files of each phase, in the order of time, and the times in seconds where the files say them.

    Either each phase is a series, or one series has every position once in each phase.

    Raises DiffuseMorphError for a folder without DICOM files, or files that do not come in equal phases.
    """
    shown = printable(folder)
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(itk_name(folder))
    if not series:
        raise DiffuseMorphError(
            f"The folder '{shown}' holds neither images nor DICOM files: name the folder of the frames themselves."
        )
    groups = [list(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(itk_name(folder), each)) for each in series]
    headers = {name: _header(name) for names in groups for name in names}
    if len(groups) == 1:
        groups = _split(groups[0], headers, shown)
    if len({len(names) for names in groups}) > 1:
        counts = ", ".join(str(len(names)) for names in groups[:8])
        raise DiffuseMorphError(
            f"The phases in the folder '{shown}' have different numbers of DICOM files ({counts}): take what does not "
            "belong to them out."
        )
    groups.sort(key=lambda names: _moment(headers[names[0]]))
    for tag, unit in _IN_SECONDS.items():
        values = [headers[names[0]].get(tag) for names in groups]
        if all(value is not None for value in values) and np.all(np.diff(values) > 0):
            return groups, tuple(unit * value for value in values)
    return groups, None


def _header(name: str) -> dict[str, float]:
    """Its numbers: the tags of time, series and instance number, and the position along the slices' normal."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    reader.ReadImageInformation()
    found = {}
    for tag in (*_TIMES, "0020|0011", "0020|0013"):
        try:
            found[tag] = float(reader.GetMetaData(tag))
        except (RuntimeError, ValueError):
            continue
    normal = np.array(reader.GetDirection()).reshape(3, 3)[:, 2]
    found["position"] = round(float(normal @ np.array(reader.GetOrigin())), 2)
    return found


def _moment(header: dict[str, float]) -> tuple[float, ...]:
    return tuple(header.get(tag, 0.0) for tag in (*_TIMES, "0020|0011", "0020|0013"))


def _split(names: list[str], headers: dict[str, dict[str, float]], shown: str) -> list[list[str]]:
    """The files of one series by phase: at each position the first in time, the second, and so on."""
    places: dict[float, list[str]] = {}
    for name in names:
        places.setdefault(headers[name]["position"], []).append(name)
    counts = {len(each) for each in places.values()}
    if len(counts) > 1:
        raise DiffuseMorphError(
            f"The DICOM series in the folder '{shown}' has some positions {min(counts)} times and others "
            f"{max(counts)} times: export it again with all of its phases."
        )
    ordered = [sorted(each, key=lambda name: _moment(headers[name])) for _, each in sorted(places.items())]
    return [list(phase) for phase in zip(*ordered)]
