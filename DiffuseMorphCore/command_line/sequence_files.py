"""The files of the result of `diffusemorph sequence`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.command_line.result_files import checked, plain, write_text
from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import grey, printable, write_image
from DiffuseMorphCore.images.frames import Frames
from DiffuseMorphCore.images.time_series import time_series
from DiffuseMorphCore.points import read_points
from DiffuseMorphCore.progress import Progress, advance
from DiffuseMorphCore.registration import Registration
from DiffuseMorphCore.registration.carried import image_to_warp
from DiffuseMorphCore.registration.saved import DEFORMATION, REPORT, write_deformation
from DiffuseMorphCore.registration.sequence import SequenceRegistration
from DiffuseMorphCore.registration.sequence.curves import label_sizes, motion_rows
from DiffuseMorphCore.samplers import EtaPath

_IMAGES = ("registered.nii.gz", "reference.nii.gz", "labels.nii.gz")
_OTHERS = ("frames", "mean_motion", "curves.csv", "curves.png", "tracks.csv", "frames.gif", "report.html", REPORT)


@dataclass(frozen=True)
class Drawn:
    """What is carried through time: a label map and points (N, ndim) with their names, each with the frame that it was
    drawn on, None for the reference.
    """

    labels: sitk.Image | None = None
    labels_frame: int | None = None
    points: np.ndarray | None = None
    names: Sequence[str] = ()
    points_frame: int | None = None

    @classmethod
    def of(
        cls, frames: Frames, labels: str | None, labels_frame: int | None, points: str | None, points_frame: int | None
    ) -> Drawn:
        """Read the files. Raises DiffuseMorphError for what does not fit the frames, so before the work."""
        ndim = frames.image(0).GetDimension()
        found = None if labels is None else image_to_warp(labels, ndim, "label map", labels=True)
        if points is None:
            return cls(found, labels_frame, None, (), points_frame)
        read = read_points(points)
        if not len(read.points):
            raise DiffuseMorphError(f"The file '{printable(points)}' holds no point: place some, or leave it out.")
        if read.points.shape[1] != ndim:
            raise DiffuseMorphError(
                f"The points of '{printable(points)}' are {read.points.shape[1]}-D, but the frames are {ndim}-D."
            )
        names = read.names if len(read.names) == len(read.points) else [str(k + 1) for k in range(len(read.points))]
        return cls(found, labels_frame, read.points, names, points_frame)


def is_sequence(name: str) -> bool:
    """Whether a file or folder of this name is something that `write_sequence` writes."""
    return name in (*_IMAGES, *_OTHERS)


def write_sequence(
    folder: Path, result: SequenceRegistration, drawn: Drawn, source: str, format: str | None, progress: Progress | None
) -> dict[str, Any]:
    """Write all files of a sequence into `folder` and return the report that went into report.json.

    source : the file or folder of the frames. format : of transforms to write, too, or None.
    """
    from DiffuseMorphCore.result_page.sequence_page import write_sequence_page
    from DiffuseMorphCore.sequence_previews import SequencePicture

    count, times = len(result), result.times
    if result.reference_frame is None:  # nobody draws on a mean
        drawn = replace(drawn, labels_frame=drawn.labels_frame or 0, points_frame=drawn.points_frame or 0)
    step = times[1] - times[0]
    write_image(result.reference, folder / "reference.nii.gz")
    picture = SequencePicture(result.reference)
    width = max(3, len(str(count - 1)))
    with time_series(folder / "registered.nii.gz", count, step) as file:
        for number in range(count):
            advance(progress, "write", number / (count + 1))
            registration = result.registration(number)
            moved = grey(registration.warp())
            file.add(moved)
            picture.add(f"frame {number}", registration.moving, moved)
            _write_frame(folder / "frames" / f"{number:0{width}d}", registration, format)
    _write_frame(folder / "mean_motion", _mean_motion(result), format)
    rows = motion_rows(result)
    curves = {
        "similarity to the reference": {
            "before": [row["similarity_before"] for row in rows],
            "registered": [row["similarity_registered"] for row in rows],
        },
        "displacement (mm)": {name: [row[f"{name}_displacement_mm"] for row in rows] for name in ("mean", "largest")},
    }
    if drawn.labels is not None:
        sizes = label_sizes(
            result, drawn.labels, drawn.labels_frame, lambda done: advance(progress, "labels", done / 2)
        )
        unit = "mm2" if result.grid.ndim == 2 else "mm3"
        for label, values in sizes.items():
            for row, value in zip(rows, values):
                row[f"label_{label:g}_{unit}"] = value
        curves[f"{'area' if unit == 'mm2' else 'volume'} of labels ({unit})"] = {
            f"{label:g}": values for label, values in sizes.items()
        }
        with time_series(folder / "labels.nii.gz", count, step) as file:
            for number, labels in enumerate(result.carry_labels(drawn.labels, drawn.labels_frame)):
                file.add(labels)
                advance(progress, "labels", 0.5 + number / count / 2)
    if drawn.points is not None:
        ways = result.track(drawn.points, drawn.points_frame)
        columns = ("frame", "time", "point", *"xyz"[: ways.shape[2]])
        tracks = [
            dict(zip(columns, (number, times[number], name, *place)))
            for number in range(count)
            for name, place in zip(drawn.names, ways[number].tolist())
        ]
        _write_table(folder / "tracks.csv", tracks)
        start = ways[drawn.points_frame if drawn.points_frame is not None else result.reference_frame]
        lengths = np.linalg.norm(ways - start, axis=2)
        curves["distance of points from their place (mm)"] = {
            name: lengths[:, index].tolist() for index, name in enumerate(drawn.names)
        }
    _write_table(folder / "curves.csv", rows)
    checked(folder / "curves.png", lambda: _draw(times, curves, folder / "curves.png", result.frames.times is not None))
    checked(folder / "frames.gif", lambda: picture.save(folder / "frames.gif"))
    report = result.report | {"files": {"frames": printable(Path(source).absolute())}}
    title = Path(source).resolve().name
    write_sequence_page(folder / "report.html", title, report, folder / "frames.gif", folder / "curves.png")
    write_text(folder / REPORT, _json(report))
    advance(progress, "write", 1.0)
    return report


def _write_frame(folder: Path, registration: Registration, format: str | None) -> None:
    folder.mkdir(parents=True)
    write_deformation(registration, folder / DEFORMATION)
    if format:
        registration.write_transforms(folder, format)
    # The page of the sequence shows the reference; the images of a frame are no file of their own.
    write_text(folder / REPORT, _json(registration.report | {"files": {}}))


def _mean_motion(result: SequenceRegistration) -> Registration:
    """From the reference to where every point is on the mean of all times, as the registration of a frame."""
    mean = sum(result.whole(number).values.double() for number in range(len(result))) / len(result)
    own = result.registration(0)
    path = EtaPath.straight(Displacement(mean.float(), result.grid)).faded()
    lengths = np.linalg.norm(Displacement(mean.float(), result.grid).vectors(), axis=-1)[result.inside_object()]
    report = {key: own.report[key] for key in ("modality", "settings", "versions", "eta", "notes")}
    report |= {"displacement_mm": {"mean": float(lengths.mean()), "max": float(lengths.max())}}
    return replace(own, path=path, report=report, alignment=sitk.AffineTransform(result.grid.ndim))


def _write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(
        {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()} for row in rows
    )
    write_text(path, text.getvalue())


def _draw(times: Sequence[float], curves: dict[str, Any], path: Path, known: bool) -> None:
    from DiffuseMorphCore.sequence_previews import save_curves

    save_curves(times, curves, path, "time" if known else "frame")


def _json(report: dict) -> str:
    return json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False, default=plain) + "\n"
