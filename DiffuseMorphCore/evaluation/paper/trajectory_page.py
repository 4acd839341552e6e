"""The trajectory frame by frame: how long each method's field is at each time, and how far from the true motion."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.paper.arrangement import HEARTS, ComparisonRequest, arrange
from DiffuseMorphCore.evaluation.paper.comparison import Comparison
from DiffuseMorphCore.evaluation.paper.figures import picture_page
from DiffuseMorphCore.evaluation.paper.pictures import canvas, save
from DiffuseMorphCore.evaluation.paper.preparation import Case
from DiffuseMorphCore.evaluation.paper.scoring import to_grid
from DiffuseMorphCore.evaluation.paper.tables import NAMES
from DiffuseMorphCore.evaluation.records import Records
from DiffuseMorphCore.evaluation.report import markdown_table

SHOWN = (
    "true",
    "true-scaled",
    "voxelmorph",
    "diffusemorph",
    "diffusemorph-anchored",
    "diffusemorph-clean",
    "diffusemorph-path",
    "diffusemorph-frames",
)
MEASURES = {"length": "length of the field (voxels)", "error": "error of the field (voxels)"}


def trajectory_page(request: ComparisonRequest) -> Path:
    """`trajectory.md`, `trajectory.png` and `trajectory.csv` for the synthetic phantom, mean over its people and the
    seeds.

    Lengths and errors are means inside the structures of both images. The folder may be that of `table2`, whose
    networks serve again. Raises DiffuseMorphError for data without known motion.
    """
    work = arrange(HEARTS, replace(request, methods=request.methods or SHOWN))
    if not hasattr(work.data.data_set, "true_displacement"):
        raise DiffuseMorphError(
            f"The true motion of {work.data.data_set.title} is not known: use --data-set phantom or phantom-2d."
        )
    records = Records(work.out, work.settings())
    cases = work.judged()
    rows = [
        records.row(("trajectory", method, f"seed{seed}", case.name), partial(_measure, work, method, seed, case))
        for method in work.methods
        for seed in work.seeds
        for case in cases
    ]
    records.write_csv("trajectory.csv", rows)
    times = _times(cases[0])
    means = {
        method: {
            measure: [
                float(np.mean([row[f"{measure} {time:.2f}"] for row in rows if row["method"] == method]))
                for time in times
            ]
            for measure in MEASURES
        }
        for method in work.methods
    }
    figure, axes = canvas(1, len(MEASURES), width=4.2, height=3.6)
    for axis, (measure, heading) in zip(axes[0], MEASURES.items()):
        for index, (method, found) in enumerate(means.items()):
            axis.plot(
                times,
                found[measure],
                f"C{index}{'--' if method.startswith('true') else '-'}",
                lw=1.2,
                label=NAMES.get(method, method),
            )
        axis.set_xticks(np.linspace(0, 1, 5))
        axis.set_ylim(bottom=0)
        axis.set_yticks(np.linspace(0, axis.get_ylim()[1], 6).round(2))
        axis.tick_params(labelsize=7)
        axis.set_xlabel("time, and eta", fontsize=8)
        axis.set_title(heading, fontsize=9)
    axes[0][0].legend(fontsize=6)
    save(figure, work.out / "trajectory.png")
    parts = [
        f"Mean over {len(cases)} people and the seeds, inside the structures. The field at eta = time belongs to "
        "the true frame of that time.",
        "![the trajectory](trajectory.png)",
    ]
    for measure, heading in MEASURES.items():
        table = markdown_table(
            [heading, *(f"time {time:.2f}" for time in times)],
            [
                [NAMES.get(method, method), *(f"{value:.2f}" for value in found[measure])]
                for method, found in means.items()
            ],
        )
        parts.append(table)
    return picture_page(
        work.out / "trajectory.md", f"The trajectory, frame by frame: {work.data.data_set.title}", parts, work
    )


def _times(case: Case) -> list[float]:
    return [0.0, *(scan.time for scan in case.frames), 1.0]


def _measure(work: Comparison, method: str, seed: int, case: Case) -> dict:
    at, _ = work.path(method, seed, case)
    row: dict = {"case": f"{case.name}/seed{seed}", "method": method, "seed": seed}
    inside = torch.from_numpy((case.fixed_labels > 0) | (case.moving_labels > 0))
    for scan in (case.pair.moving, *case.frames, case.pair.fixed):
        displacement = at(scan.time).cpu()
        truth = torch.from_numpy(work.data.data_set.true_displacement(scan))[None]
        field = to_grid(displacement, tuple(truth.shape[2:]))
        row[f"length {scan.time:.2f}"] = float(field.norm(dim=1)[0][inside].mean())
        row[f"error {scan.time:.2f}"] = float((field - truth).norm(dim=1)[0][inside].mean())
    return row
