"""The files of the result of `diffusemorph register`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.command_line.request import RegisterRequest
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import system_reason
from DiffuseMorphCore.images import dice, image_suffix, printable, suffix_for, write_image
from DiffuseMorphCore.images.formats import DELIVERED_2D
from DiffuseMorphCore.images.writing import flush
from DiffuseMorphCore.progress import Progress, advance
from DiffuseMorphCore.registration import Registration
from DiffuseMorphCore.registration.saved import DEFORMATION, write_deformation
from DiffuseMorphCore.registration.transform_files import FORMATS
from DiffuseMorphCore.registration.uncertainty import summary
from DiffuseMorphCore.result_page import write_page


def is_result(name: str) -> bool:
    """Whether a file or folder of this name is something that `write_result` writes."""
    stems = ("moved", "moved_labels", "jacobian", "uncertainty")
    images = [f"{stem}{suffix}" for stem in stems for suffix in DELIVERED_2D]
    return name in (
        "report.json",
        "report.html",
        "preview.png",
        *(name for names in FORMATS.values() for name in names),
        DEFORMATION,
        "trajectory",
        "trajectory.gif",
        *images,
    )


def write_result(
    folder: Path,
    result: Registration,
    request: RegisterRequest,
    progress: Progress | None,
    also_reported: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write all files of a registration into `folder` and return the report that went into report.json."""
    report = {**result.report, **(also_reported or {})}
    report["notes"] = [*request.notes, *report.get("notes", [])]
    eta = request.eta
    # Drawing is Python on one CPU; inverting, resampling and writing meanwhile leave Python alone.
    with ThreadPoolExecutor(1) as beside:
        preview = beside.submit(_draw_preview, result, folder / "preview.png", eta, result.options.modality)
        moved = result.warp(eta=eta)
        suffix = _deliver(moved, folder / "moved", request.moving_file, report["notes"])
        advance(progress, "write", 0.2)
        if request.moving_labels is not None:
            labels = result.warp_labels(request.moving_labels, eta=eta)
            _note_lost_labels(request.moving_labels, labels, report["notes"])
            _deliver(labels, folder / "moved_labels", request.files["moving_labels"], report["notes"])
            if request.fixed_labels is not None:
                before = result.warp_labels(request.moving_labels, eta=0.0)
                report["dice"] = {
                    "aligned": dice(request.fixed_labels, before),
                    "moved": dice(request.fixed_labels, labels),
                }
        write_deformation(result, folder / DEFORMATION)
        advance(progress, "write", 0.3)
        result.write_transforms(folder, request.format, eta)
        advance(progress, "write", 0.6)
        preview.result()
    advance(progress, "write", 0.7)
    uncertainty = None
    if request.maps:
        uncertainty = _write_maps(folder, result, request, progress)
        report["uncertainty_mm"] = summary(uncertainty, result.fixed)
    if request.frames:
        _write_frames(folder, result, request.frames, suffix, progress)
    report |= {"files": {name: printable(file) for name, file in request.files.items()}, "eta": eta}
    if request.page:
        checked(folder / "report.html", lambda: write_page(result, folder / "report.html", report, eta, uncertainty))
    report |= {"results": sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())}
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False, default=plain)
    write_text(folder / "report.json", text + "\n")
    advance(progress, "write", 1.0)
    return report


def _draw_preview(result: Registration, path: Path, eta: float, modality: str) -> None:
    from DiffuseMorphCore.previews import save_preview

    checked(path, lambda: save_preview(result, path, eta, modality))


def write_text(path: Path, text: str) -> None:
    """Write a text file, and have the system put it onto the disk. Raises DiffuseMorphError where it cannot."""
    checked(path, lambda: path.write_text(text, encoding="utf-8", errors="backslashreplace"))


def checked(path: Path, write: Any) -> None:
    """Call `write` and have the system put the file onto the disk; one sentence where it cannot."""
    try:
        write()
        flush(path)
    except OSError as error:
        raise DiffuseMorphError(
            f"The file '{path.name}' of the result cannot be written: {system_reason(error)}."
        ) from error


def _deliver(image: sitk.Image, stem: Path, source: str, notes: list[str]) -> str:
    """Write an image in the format that keeps it and return the extension; where that is another than usual, say so."""
    suffix = suffix_for(image, source)
    usual = ".nii.gz" if image.GetDimension() == 3 else image_suffix(source)
    if suffix == ".nrrd" != usual and (image.GetDimension() == 3 or usual in DELIVERED_2D):
        notes.append(
            f"{stem.name} is in the format .nrrd, because {usual} cannot hold its numbers or its position exactly."
        )
    write_image(image, stem.with_name(stem.name + suffix))
    return suffix


def _note_lost_labels(labels: sitk.Image, moved: sitk.Image, notes: list[str]) -> None:
    there, left = (set(np.unique(sitk.GetArrayViewFromImage(image)).tolist()) - {0} for image in (labels, moved))
    if lost := sorted(there - left):
        listed = ", ".join(f"{label:g}" if isinstance(label, float) else str(label) for label in lost[:10])
        more = f" and {len(lost) - 10} more" if len(lost) > 10 else ""
        notes.append(
            f"Of {len(there)} labels {len(lost)} have no voxel in the moved label map (they lie outside the fixed "
            f"image, or are smaller than its voxels): {listed}{more}."
        )


def _write_maps(folder: Path, result: Registration, request: RegisterRequest, progress: Progress | None) -> sitk.Image:
    """Write the maps and return that of the uncertainty."""
    jacobian = result.jacobian(request.eta)
    suffix = suffix_for(jacobian, request.moving_file, also=(".tif",))  # PNG holds no fractions
    write_image(jacobian, folder / f"jacobian{suffix}")
    uncertainty = result.uncertainty(progress=progress)
    write_image(uncertainty, folder / f"uncertainty{suffix}")
    return uncertainty


def _write_frames(folder: Path, result: Registration, frames: int, suffix: str, progress: Progress | None) -> None:
    from DiffuseMorphCore.previews import TrajectoryPicture

    (folder / "trajectory").mkdir()
    picture = TrajectoryPicture(result)
    width = len(str(frames))
    for number, eta in enumerate(np.linspace(0.0, 1.0, frames).tolist(), start=1):
        frame = result.warp(eta=eta)
        write_image(frame, folder / "trajectory" / f"frame_{number:0{width}d}_eta_{eta:.3f}{suffix}")
        picture.add(eta, frame)
        advance(progress, "frames", number / (frames + 1))
    checked(folder / "trajectory.gif", lambda: picture.save(folder / "trajectory.gif"))


def plain(value: Any) -> Any:
    """Numbers of numpy and torch as those of JSON."""
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"the report holds a {type(value).__name__}, which is neither number nor text")
