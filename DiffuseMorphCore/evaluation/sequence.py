"""Sequences of made hearts with known motion, beside as many registrations of pairs: error and time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.evaluation.datasets.heart_motion import HeartMotion
from DiffuseMorphCore.evaluation.datasets.phantom import FIRST_SEED, SHAPE, frame, frame_labels, grid_points, spacing
from DiffuseMorphCore.evaluation.machine import machine
from DiffuseMorphCore.evaluation.paper.pictures import canvas, save
from DiffuseMorphCore.evaluation.records import Records
from DiffuseMorphCore.evaluation.report import facts, markdown_table
from DiffuseMorphCore.images import dice, resample_labels
from DiffuseMorphCore.registration import register
from DiffuseMorphCore.registration.sequence import register_sequence
from DiffuseMorphCore.transforms import transform_points

_POINTS = 4000  # of a heart, at which errors are measured
PAIRS = {
    "pairs, as `register` does it": {},
    "pairs, no network and no alignment": {"model": "none", "align": "none", "modality": "same"},
}
SEQUENCES = {
    "sequence, not smoothed": {"smoothing": 0},
    "sequence": {},
    "sequence, reference mean": {"reference": "mean"},
}
STILL = "no motion at all"


def distances(transform: sitk.Transform, person: int, shape: tuple[int, ...], time: float) -> np.ndarray:
    """(N,) mm by which points of the heart end beside where they truly are at a time.

    transform : from the image at time 0 to the one at this time. The points are drawn from the voxels of both chambers
    and the muscle.
    """
    heart = HeartMotion(person, in_plane=len(shape) == 2)
    there = grid_points(shape).reshape(-1, 3)
    before = heart.to_reference(there, time)
    inside = np.flatnonzero(heart.structures(before) > 0)
    chosen = np.random.default_rng(0).choice(inside, min(_POINTS, len(inside)), replace=False)
    # The phantom's points count from the middle of the field of view, its images from the first voxel.
    step = spacing(shape)
    middle = ((np.array(shape) - 1) / 2 * step)[::-1]
    start, end = (points[chosen][:, : len(shape)] + middle for points in (before, there))
    return np.linalg.norm(transform_points(transform, start) - end, axis=1)


def heartbeat(count: int) -> list[float]:
    """The times of frames of one beat, end-diastole first; each a little off, because the noise goes by the time."""
    return [float(np.sin(np.pi * number / count) ** 2) + 1e-5 * number for number in range(count)]


def run_sequence(
    out: str | Path,
    *,
    dimension: int = 2,
    people: int = 2,
    frames: int = 16,
    quality: str = "default",
    threads: int = 2,
    shape: tuple[int, ...] | None = None,
) -> Path:
    """Register made heartbeats as sequences and pair by pair, and write ``sequence.md``, ``.csv`` and ``.png`` into
    ``out``; the path of the first. A run that was stopped goes on, one pair or sequence at a time.

    shape : of the images in array order; the phantom's own unless given.
    """
    shape = shape or (SHAPE if dimension == 3 else SHAPE[1:])
    settings = {"dimension": dimension, "frames": frames, "quality": quality, "threads": threads}
    records, times = Records(out, settings), heartbeat(frames)
    rows: list[dict[str, Any]] = []
    for person in range(FIRST_SEED["test"], FIRST_SEED["test"] + people):
        images = [frame(person, shape, when) for when in times]
        labels = [frame_labels(person, shape, when) for when in times]

        def scored(way: sitk.Transform, back: sitk.Transform, number: int) -> dict[str, float]:
            carried = resample_labels(labels[0], images[number], back)
            error = distances(way, person, shape, times[number])
            return {"error": float(error.mean()), "dice": dice(carried, labels[number])["mean"]}

        identity = sitk.Transform(dimension, sitk.sitkIdentity)
        for number in range(1, frames):
            name = {"person": person, "frame": number, "seconds": 0.0}
            key = (STILL, str(person), str(number))
            rows.append({"method": STILL, **name, **records.row(key, lambda: scored(identity, identity, number))})
            for method, options in PAIRS.items():

                def pair() -> dict[str, float]:
                    start = time.process_time()
                    found = register(images[0], images[number], quality=quality, threads=threads, **options)
                    seconds = time.process_time() - start
                    return {"seconds": seconds, **scored(found.transform(), found.inverse_transform(), number)}

                rows.append({"method": method, **name, **records.row((method, str(person), str(number)), pair)})
        for method, options in SEQUENCES.items():
            kept = records.row((method, str(person)), lambda: _sequence(images, scored, quality, threads, options))
            for number in range(1, frames):
                one = {"seconds": kept["seconds"] / (frames - 1), **kept["frames"][number - 1]}
                rows.append({"method": method, "person": person, "frame": number, **one})
    records.write_csv("sequence.csv", rows)
    _draw(rows, frames, records.folder / "sequence.png")
    return records.write_text("sequence.md", _page(rows, settings | {"people": people}))


def _sequence(
    images: list[sitk.Image], scored: Callable, quality: str, threads: int, options: dict[str, Any]
) -> dict[str, Any]:
    start = time.process_time()
    found = register_sequence(images, periodic=True, quality=quality, threads=threads, **options)
    seconds = time.process_time() - start
    first, found_frames = found.registration(0), []
    for number in range(1, len(images)):
        own = found.registration(number)
        way = sitk.CompositeTransform([own.transform(), first.inverse_transform()])
        back = sitk.CompositeTransform([first.transform(), own.inverse_transform()])
        found_frames.append(scored(way, back, number))
    return {"seconds": seconds, "frames": found_frames}


def _of(rows: list[dict[str, Any]], method: str, key: str, frame: int | None = None) -> np.ndarray:
    return np.array([row[key] for row in rows if row["method"] == method and frame in (None, row["frame"])])


def _page(rows: list[dict[str, Any]], settings: dict[str, Any]) -> str:
    methods = list(dict.fromkeys(row["method"] for row in rows))
    middle, rival = settings["frames"] // 2, "pairs, no network and no alignment"
    people = settings["people"]
    lines = []
    for method in methods:
        error, seconds = _of(rows, method, "error"), _of(rows, method, "seconds").sum() / people
        ratios = error.mean() / _of(rows, rival, "error").mean(), seconds / (_of(rows, rival, "seconds").sum() / people)
        ends = _of(rows, method, "error", middle).mean()
        labels = _of(rows, method, "dice").mean()
        time_cells = ["–", "–"] if method == STILL else [f"{seconds:.1f}", f"{ratios[1]:.2f}"]
        lines.append([method, f"{error.mean():.3f}", f"{ratios[0]:.2f}", f"{ends:.3f}", f"{labels:.3f}", *time_cells])
    headings = [
        "",
        "error (mm)",
        "of pairs",
        "end-systole (mm)",
        "Dice of labels",
        "processor seconds a person",
        "of pairs",
    ]
    text = (
        f"Made hearts of {people} people with known motion, {settings['frames']} frames of one beat from end-diastole "
        "and back, every frame with noise of its own; the reference is the first. Error: mean distance from where they "
        "truly are, of points of both chambers and the muscle, mean over the frames. Dice: labels of the first frame "
        f'on every other. Seconds: of the processor, all threads. "Of pairs": as a share of "{rival}", in the same run.'
    )
    parts = [
        "# Frames in time",
        markdown_table(headings, lines),
        text,
        "![error of every frame](sequence.png)",
        "## Measured on",
        facts(settings | machine()),
    ]
    return "\n\n".join(parts) + "\n"


def _draw(rows: list[dict[str, Any]], frames: int, path: Path) -> None:
    from matplotlib.ticker import MaxNLocator

    figure, axes = canvas(1, 1, width=5.6, height=3.4)
    axis = axes[0][0]
    for method in dict.fromkeys(row["method"] for row in rows):
        if method != STILL:
            errors = [_of(rows, method, "error", number).mean() for number in range(1, frames)]
            axis.plot(range(1, frames), errors, marker="o", ms=3, label=method.replace("`", ""))
    axis.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axis.yaxis.set_major_locator(MaxNLocator(6))
    axis.set_xlabel("frame")
    axis.set_ylabel("error (mm)")
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=7)
    save(figure, path)
