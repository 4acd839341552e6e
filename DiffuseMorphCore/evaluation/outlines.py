"""Outlines of the moved structures over those of the fixed image, method by method, drawn without the scans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation import metrics
from DiffuseMorphCore.evaluation.benchmark import BENCHMARKS
from DiffuseMorphCore.evaluation.datasets import open_data_set
from DiffuseMorphCore.evaluation.machine import set_threads
from DiffuseMorphCore.evaluation.methods import METHODS
from DiffuseMorphCore.evaluation.paper.pictures import canvas, save
from DiffuseMorphCore.options import RegistrationOptions

FIXED, AROUND, MOVED = "#c9c9c9", "#9a9a9a", "#b02020"


def run_outlines(
    benchmark: str,
    data: str | Path | None,
    out: str | Path,
    pair: str,
    labels: Sequence[int] = (),
    methods: Sequence[str] = ("affine", "default"),
    settings: RegistrationOptions = RegistrationOptions(),
    threads: int = 2,
) -> Path:
    """One picture, `outlines.png` in ``out``: a row for each plane through the middle of the structures (in 2-D the
    image), a column for each method. The fixed structures are grey, the outlines of the moved ones red; a thin line is
    the border of all fixed labels.

    Parameters
    ----------
    benchmark : key of `BENCHMARKS`. data : folder of its data set.
    pair : MOVING_to_FIXED, the names of two scans as the benchmark's `cases.csv` has them.
    labels : the structures that are drawn; none: all that both have. methods : names of `METHODS`.

    Returns the path of the picture. Raises DiffuseMorphError for a pair that is not there or has no such structures.
    """
    set_threads(threads)
    data_set = open_data_set(BENCHMARKS[benchmark], data)
    found = {each.name: each for each in data_set.pairs("validation")}
    if pair not in found:
        raise DiffuseMorphError(f"There is no pair '{pair}': choose one of {', '.join(found)}.")
    chosen = found[pair]
    fixed, moving = chosen.fixed.image(), chosen.moving.image()
    drawn = [chosen.fixed.labels(), chosen.moving.labels()]
    if None in drawn:
        raise DiffuseMorphError(f"The images of '{pair}' have no labels whose outlines could be drawn.")
    target, source = (sitk.GetArrayFromImage(each) for each in drawn)
    shared = metrics.shared_labels(target, source, data_set.structures)
    wanted = [label for label in labels or shared if label in shared]
    if not wanted:
        asked = ", ".join(map(str, labels)) or "that are judged"
        raise DiffuseMorphError(f"Not one of the structures {asked} is in both images of '{pair}': name others.")
    moved = {}
    for name in methods:
        outcome = METHODS[name][1](fixed, moving, settings)
        moved[name] = sitk.GetArrayFromImage(outcome.move_labels(drawn[1]))
    scores = {name: float(np.mean(list(metrics.dice(target, each, shared).values()))) for name, each in moved.items()}
    return draw(target, moved, wanted, fixed.GetSpacing()[::-1], scores, Path(out) / "outlines.png")


def draw(
    fixed: np.ndarray,
    moved: dict[str, np.ndarray],
    labels: Sequence[int],
    spacing: Sequence[float],
    scores: dict[str, float],
    path: Path,
) -> Path:
    """The picture of label maps (array order) on one grid with voxels of ``spacing``; ``scores`` are in the titles."""
    middle = np.median(np.argwhere(np.isin(fixed, labels)), axis=0).astype(int)
    labelled = np.argwhere(fixed > 0)
    cut = (labelled.min(axis=0), labelled.max(axis=0) + 1)
    window = tuple(slice(max(0, low - 6), high + 6) for low, high in zip(*cut))
    planes = [(None, ())] if fixed.ndim == 2 else [(axis, middle[axis]) for axis in range(3)]
    figure, axes = canvas(len(planes), len(moved), width=3.2, height=3.2)
    for place, (axis, index) in enumerate(planes):

        def plane(array: np.ndarray, axis: int | None = axis, index: int | tuple = index) -> np.ndarray:
            if axis is None:
                return array[window]
            return array[tuple(index if each == axis else window[each] for each in range(3))]

        sides = [side for each, side in enumerate(spacing) if each != axis]
        below = plane(fixed)
        for column, (name, array) in zip(axes[place], moved.items()):
            shown = plane(array)
            if (below > 0).any() and not (below > 0).all():
                column.contour(below > 0, levels=[0.5], colors=AROUND, linewidths=0.6)
            for label in labels:
                if (below == label).any():
                    column.contourf(below == label, levels=[0.5, 1.5], colors=[FIXED])
                for where, colour in ((below == label, "#707070"), (shown == label, MOVED)):
                    if where.any() and not where.all():
                        column.contour(where, levels=[0.5], colors=colour, linewidths=0.9)
            column.set_aspect(sides[0] / sides[1])
            if axis == 0 or axis is None:
                column.invert_yaxis()  # the front of a head, and the first row of a picture, are above
            if place == 0:
                column.set_title(f"{METHODS[name][0]}, Dice {scores[name]:.3f}", fontsize=9)
    return save(figure, path)
