"""Figures 5 and 9 of the paper: registered images by every method, with the deformed grid beneath each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from DiffuseMorphCore.evaluation import metrics
from DiffuseMorphCore.evaluation.paper.arrangement import BRAINS, FACES, ComparisonRequest, Experiment, arrange
from DiffuseMorphCore.evaluation.paper.figures import picture_page
from DiffuseMorphCore.evaluation.paper.pictures import (
    canvas,
    contours,
    grid_lines,
    link,
    middle_slice,
    on_grid,
    save,
    show,
)
from DiffuseMorphCore.evaluation.paper.preparation import Case
from DiffuseMorphCore.evaluation.paper.scoring import moved_labels, unit
from DiffuseMorphCore.evaluation.paper.tables import NAMES
from DiffuseMorphCore.evaluation.records import Records
from DiffuseMorphCore.evaluation.report import markdown_table
from DiffuseMorphCore.warp.sampling import warp

# The structures that the paper outlines in Figure 9, by the words in their names, and their colours there.
OUTLINED = (
    ("ventricles", ("lateral ventricle",), "deepskyblue"),
    ("thalami", ("thalamus",), "lime"),
    ("third ventricle", ("3rd ventricle", "third ventricle"), "orange"),
    ("hippocampi", ("hippocampus",), "violet"),
)


def fig5(request: ComparisonRequest) -> Path:
    """Two 2-D pairs registered by every method, with NMSE and SSIM of each."""
    methods = request.methods or ("voxelmorph", "voxelmorph-diff", "diffusemorph")
    return _figure(5, FACES, replace(request, methods=methods), 2)


def fig9(request: ComparisonRequest) -> Path:
    """A pair of brains registered by every method, with the outlines and the Dice of four structures."""
    methods = request.methods or tuple(name for name in BRAINS.methods if name != "initial")
    return _figure(9, BRAINS, replace(request, methods=methods), 1)


def _figure(number: int, experiment: Experiment, request: ComparisonRequest, count: int) -> Path:
    """Two rows a case: moving, fixed and moved images, and under each moved one the grid as its field bends it."""
    work = arrange(experiment, request)
    cases = work.judged()
    cases = [cases[index * len(cases) // count] for index in range(min(count, len(cases)))]
    groups = _outlined(work.data.data_set.structures)
    figure, axes = canvas(2 * len(cases), len(work.methods) + 2)
    rows = []
    bent: dict[tuple[int, str], np.ndarray] = {}
    for index, case in enumerate(cases):
        images, grids = axes[2 * index], axes[2 * index + 1]
        plane = case.fixed.shape[2] // 2 if case.fixed.ndim == 5 else None
        _draw(images[0], case.moving, case.moving_labels, groups, plane, "moving")
        _draw(images[-1], case.fixed, case.fixed_labels, groups, plane, "fixed")
        for axis in (grids[0], grids[-1]):
            axis.axis("off")
        for method, image, grid in zip(work.methods, images[1:], grids[1:]):
            displacement = work.path(method, work.seeds[0], case)[0](1.0).cpu()
            moved, labels = warp(case.moving, displacement), moved_labels(case, displacement)
            row = {"case": case.name, "method": method, **_measured(case, moved, labels, groups)}
            rows.append(row)
            said = [f"{value:.3f}" for name, value in row.items() if name not in ("case", "method")]
            _draw(image, moved, labels, groups, plane, f"{NAMES.get(method, method)[:28]}\n{' / '.join(said)}")
            in_plane = displacement[0] if plane is None else displacement[0, 1:, plane]
            bent[index, method] = in_plane.numpy()
            grid_lines(grid, bent[index, method], step=max(1, max(in_plane.shape[1:]) // 24))
    save(figure, request.out / f"fig{number}.png")
    pictures = [link(work.data.data_set, "registered images and fields", f"fig{number}.png")]
    if not work.data.data_set.may_be_shown:
        _draw_fields(bent, work.methods, request.out / f"fig{number}-fields.png")
        pictures.insert(0, f"![fields](fig{number}-fields.png)")
    Records(request.out, work.settings()).write_csv(f"fig{number}.csv", rows)
    measures = [name for name in rows[0] if name not in ("case", "method")]
    table = markdown_table(
        ["case", "method", *measures],
        [
            [row["case"], NAMES.get(row["method"], row["method"]), *(f"{row[name]:.3f}" for name in measures)]
            for row in rows
        ],
    )
    return picture_page(
        request.out / f"fig{number}.md",
        f"Figure {number}: registrations of {work.data.data_set.title}",
        [table, *pictures],
        work,
    )


def _draw_fields(bent: dict[tuple[int, str], np.ndarray], methods: tuple[str, ...], path: Path) -> None:
    """The grids alone, a row a case and a column a method: nothing of the images."""
    figure, axes = canvas(1 + max(index for index, _ in bent), len(methods))
    for (index, method), displacement in bent.items():
        axis = axes[index][methods.index(method)]
        grid_lines(axis, displacement, step=max(1, max(displacement.shape[1:]) // 24))
        axis.set_title(NAMES.get(method, method)[:34], fontsize=7)
    save(figure, path)


def _outlined(structures: dict[int, str]) -> dict[str, tuple[list[int], str]]:
    """Name -> labels and colour of the paper's structures, where the data set has them; else of all of a short list."""
    found = {}
    for name, words, colour in OUTLINED:
        labels = [
            label
            for label, text in structures.items()
            if any(word in text.lower().replace("-", " ") for word in words) and "inf lat" not in text.lower()
        ]
        if labels:
            found[name] = (labels, colour)
    if not found and len(structures) <= len(OUTLINED):
        found = {text: ([label], colour) for (label, text), (_, _, colour) in zip(structures.items(), OUTLINED)}
    return found


def _measured(case: Case, moved, labels: np.ndarray | None, groups: dict) -> dict[str, float]:
    """NMSE and SSIM, or in volumes the Dice of the outlined structures."""
    if labels is None or case.fixed.ndim == 4:
        found = metrics.image_distances(unit(moved), unit(case.fixed))
        return {"NMSE": found["nmse"], "SSIM": found["ssim"]}
    return metrics.dice_of_groups(case.fixed_labels, labels, {name: members for name, (members, _) in groups.items()})


def _draw(axis, image, labels: np.ndarray | None, groups: dict, plane: int | None, title: str) -> None:
    show(axis, middle_slice(unit(image), plane), title)
    if labels is not None:
        shown = middle_slice(on_grid(labels, tuple(image.shape[2:])), plane)
        for members, colour in groups.values():
            contours(axis, np.isin(shown, members).astype(int), {1: colour})
