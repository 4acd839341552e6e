"""Figures 7, 8 and 10 of the paper: `figN.png`, `figN.md` with the figures in it, and a CSV of the cases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from DiffuseMorphCore.evaluation import metrics
from DiffuseMorphCore.evaluation.machine import machine
from DiffuseMorphCore.evaluation.paper.arrangement import BRAINS, FACES, HEARTS, ComparisonRequest, Experiment, arrange
from DiffuseMorphCore.evaluation.paper.comparison import Comparison
from DiffuseMorphCore.evaluation.paper.pictures import boxes, canvas, contours, link, middle_slice, on_grid, save, show
from DiffuseMorphCore.evaluation.paper.preparation import Case
from DiffuseMorphCore.evaluation.paper.scoring import moved_labels, unit
from DiffuseMorphCore.evaluation.paper.tables import NAMES
from DiffuseMorphCore.evaluation.records import Records, write_text
from DiffuseMorphCore.evaluation.report import Column, comparison, facts, markdown_table
from DiffuseMorphCore.samplers.synthesis import synthesize
from DiffuseMorphCore.warp.sampling import warp

COLOURS = {1: "lime", 2: "red", 3: "deepskyblue", 255: "deepskyblue"}
START, STEPS = 200, (80, 200)
# Structures of Figure 10: left and right are pooled, and these words pick them out of a long list.
SHOWN = (
    "hippocampus",
    "thalamus",
    "caudate",
    "putamen",
    "pallidum",
    "amygdala",
    "lateral ventricle",
    "brain stem",
    "3rd ventricle",
    "third ventricle",
    "4th ventricle",
    "fourth ventricle",
    "cerebral white",
    "cerebral cortex",
    "cerebellum exterior",
    "cerebellum cortex",
    "anterior",
    "posterior",
    "right ventricle",
    "myocardium",
    "cavity",
)


def picture_page(path: Path, title: str, parts: list[str], work: Comparison) -> Path:
    """Write a page with pictures, and what it was measured on at its end."""
    information = {
        "data": work.data.data_set.title,
        "seeds": ", ".join(map(str, work.seeds)),
        "grid": "x".join(map(str, work.judged()[0].moving.shape[2:])),
        "training": f"{work.budget.steps} steps of {work.budget.batch} pair{'s' * (work.budget.batch > 1)}",
        "rate": work.budget.learning_rate,
        **machine(),
    }
    write_text(path, "\n\n".join([f"# {title}", *parts, "## Made with", facts(information)]) + "\n")
    return path


def fig7(request: ComparisonRequest) -> Path:
    """Synthetic images by reverse diffusion from level 200 (Algorithm 2), 80 and 200 steps, beside the warped image."""
    experiment = Experiment(FACES.data_sets, "face2d", ("diffusemorph",))
    if (name := request.data_set) in ("hippocampus", "phantom", "phantom-2d", "acdc"):
        experiment = Experiment((name,), "cardiac3d", ("diffusemorph",))
    work = arrange(experiment, replace(request, methods=("diffusemorph",)))
    cases = work.judged()[: request.cases or 10]
    records = Records(request.out, work.settings())
    rows = [
        records.row(("fig7", f"seed{seed}", case.name), lambda: _synthesis(work, seed, case))
        for seed in work.seeds
        for case in cases
    ]
    records.write_csv("fig7.csv", rows)
    kinds = ("moving", "warped", *(f"synthetic, {steps} steps" for steps in STEPS))
    columns = [Column("psnr", "PSNR to the fixed image (dB)", 2), Column("ssim", "SSIM to the fixed image")]
    groups = {
        kind: [{"case": row["case"], **{column.key: row[f"{kind} {column.key}"] for column in columns}} for row in rows]
        for kind in kinds
    }
    shown = cases[:3]
    figure, axes = canvas(len(shown), 2 + len(kinds) - 1)
    for line, case in zip(axes, shown):
        images = _synthetic_images(work, work.seeds[0], case)
        show(line[0], middle_slice(unit(case.moving)), "moving")
        for axis, (kind, image) in zip(line[1:], images.items()):
            show(axis, middle_slice(unit(image)), kind)
        show(line[-1], middle_slice(unit(case.fixed)), "fixed")
    save(figure, request.out / "fig7.png")
    return picture_page(
        request.out / "fig7.md",
        f"Figure 7: synthetic images of {work.data.data_set.title}",
        [
            comparison(groups, columns),
            f"Reverse diffusion from noise level {START}; a synthetic image need "
            "not "
            "be a warped one: it may show what the moving image lacks.",
            link(work.data.data_set, "synthetic images", "fig7.png"),
        ],
        work,
    )


def _synthetic_images(work: Comparison, seed: int, case: Case) -> dict[str, torch.Tensor]:
    at, _ = work.path("diffusemorph", seed, case)
    images = {"warped": warp(case.moving, at(1.0).cpu())}
    model = work.network("diffusemorph", seed).model
    moving, fixed = case.moving.to(work.device), case.fixed.to(work.device)
    for steps in STEPS:
        made = synthesize(model, moving, fixed, start=START, steps=steps, seed=seed)
        images[f"synthetic, {steps} steps"] = made.cpu()
    return images


def _synthesis(work: Comparison, seed: int, case: Case) -> dict:
    row: dict = {"case": f"{case.name}/seed{seed}", "seed": seed}
    for kind, image in {"moving": case.moving, **_synthetic_images(work, seed, case)}.items():
        found = metrics.image_distances(np.clip(unit(image), 0, 1), unit(case.fixed))
        row.update({f"{kind} {key}": value for key, value in found.items()})
    return row


def fig8(request: ComparisonRequest) -> Path:
    """One heart: outlines after registration by each method, and the frames on the trajectory beside the true ones."""
    methods = request.methods or ("initial", "voxelmorph", "voxelmorph-diff", "diffusemorph-anchored")
    work = arrange(HEARTS, replace(request, methods=methods))
    case = work.judged()[0]
    sides = tuple(case.fixed.shape[2:])
    plane = None
    if case.fixed_labels is not None:
        plane = int(np.argmax([(part > 0).sum() for part in on_grid(case.fixed_labels, sides)]))
    frames = case.frames[:: max(1, len(case.frames) // 4)][:4]
    figure, axes = canvas(len(methods) + 1, len(frames) + 2)
    for axis, scan in zip(axes[0][1:], frames):
        show(axis, middle_slice(unit(work.data.tensor(scan)), plane), f"true frame, time {scan.time:.2f}")
    for axis, image, labels, name in (
        (axes[0][0], case.moving, case.moving_labels, "moving"),
        (axes[0][-1], case.fixed, case.fixed_labels, "fixed"),
    ):
        show(axis, middle_slice(unit(image), plane), name)
        if labels is not None:
            contours(axis, middle_slice(on_grid(labels, sides), plane), COLOURS)
    rows = []
    for line, method in zip(axes[1:], methods):
        at, _ = work.path(method, work.seeds[0], case)
        line[0].set_ylabel(NAMES.get(method, method)[:24], fontsize=7)
        show(line[0], middle_slice(unit(warp(case.moving, at(0.0).cpu())), plane), "eta 0")
        for axis, scan in zip(line[1:], frames):
            moved = warp(case.moving, at(scan.time).cpu())
            found = metrics.image_distances(unit(moved), unit(work.data.tensor(scan)))
            rows.append({"method": method, "time": scan.time, **found})
            show(axis, middle_slice(unit(moved), plane), f"PSNR {found['psnr']:.2f}")
        final = at(1.0).cpu()
        show(line[-1], middle_slice(unit(warp(case.moving, final)), plane), "registered")
        labels = moved_labels(case, final)
        if labels is not None:
            contours(line[-1], middle_slice(on_grid(labels, sides), plane), COLOURS)
    save(figure, request.out / "fig8.png")
    Records(request.out, work.settings()).write_csv("frames.csv", rows)
    table = markdown_table(
        ["method", *(f"PSNR at time {scan.time:.2f}" for scan in frames)],
        [
            [NAMES.get(method, method), *(f"{row['psnr']:.2f}" for row in rows if row["method"] == method)]
            for method in methods
        ],
    )
    return picture_page(
        request.out / "fig8.md",
        f"Figure 8: one case of {work.data.data_set.title}, {case.name}",
        [table, "Green: right ventricle, red: myocardium, blue: left cavity.", "![frames](fig8.png)"],
        work,
    )


def fig10(request: ComparisonRequest) -> Path:
    """Dice of brain structures as boxes, for every method of Table 3 (the same folder serves both)."""
    work = arrange(BRAINS, request)
    rows = work.rows()
    groups: dict[str, dict[str, np.ndarray]] = {}
    for structure, labels in _grouped(work.data.data_set.structures).items():
        found = {
            NAMES.get(method, method): np.array(
                [
                    np.mean([row[key] for key in keys])
                    for row in cases
                    if (keys := [f"label_{label}" for label in labels if f"label_{label}" in row])
                ]
            )
            for method, cases in rows.items()
        }
        groups[structure] = found
    boxes(groups, request.out / "fig10.png")
    methods = list(next(iter(groups.values())))
    table = markdown_table(
        ["median Dice", *methods],
        [
            [structure, *(f"{np.median(found[method]):.3f}" if len(found[method]) else "–" for method in methods)]
            for structure, found in groups.items()
        ],
    )
    return picture_page(
        request.out / "fig10.md",
        f"Figure 10: Dice by structure, {work.data.data_set.title}",
        [table, "![boxes](fig10.png)"],
        work,
    )


def _grouped(structures: dict[int, str]) -> dict[str, list[int]]:
    """Structure name without its side -> its labels, for the structures of `SHOWN`; all of a short list."""
    groups: dict[str, list[int]] = {}
    for label, name in structures.items():
        plain = name.replace("-", " ")
        for side in ("Left ", "Right ", "left ", "right "):
            if plain.startswith(side) and not plain.startswith("right ventricle"):
                plain = plain.removeprefix(side)
        if len(structures) <= 10 or any(word == plain.lower() or plain.lower().startswith(word) for word in SHOWN):
            groups.setdefault(plain.lower(), []).append(label)
    return groups
