"""What the latent of a trained model holds: noise, registration, or both; and what anchoring does to the trajectory."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from DiffuseMorphCore.evaluation import metrics
from DiffuseMorphCore.evaluation.machine import machine
from DiffuseMorphCore.evaluation.paper.arrangement import FACES, HEARTS, ComparisonRequest, arrange
from DiffuseMorphCore.evaluation.paper.comparison import Comparison
from DiffuseMorphCore.evaluation.paper.pictures import canvas, link, middle_slice, save, show
from DiffuseMorphCore.evaluation.paper.preparation import Case
from DiffuseMorphCore.evaluation.paper.scoring import moved_labels, unit
from DiffuseMorphCore.evaluation.records import Records, write_text
from DiffuseMorphCore.evaluation.report import facts, markdown_table, values
from DiffuseMorphCore.networks.model import DiffuseMorph
from DiffuseMorphCore.samplers.trajectory import Trajectory, latent_at
from DiffuseMorphCore.seeds import standard_normal
from DiffuseMorphCore.training.losses import noise_loss
from DiffuseMorphCore.warp.folding import folding
from DiffuseMorphCore.warp.sampling import warp

SHARES = (0.0, 0.005, 0.05, 0.25, 0.5, 1.0)
ETAS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)


def latent_page(request: ComparisonRequest) -> Path:
    """Measure the latent of DiffuseMorph as in the paper, on a 2-D data set or (`--data-set`) on a 3-D one.

    Writes `latent.md`, `latent.png` and `latent.csv`; trains the network where the folder, which may be that of a table
    of the same settings, does not hold it.
    """
    experiment = HEARTS if request.data_set in ("acdc", "phantom", "phantom-2d", "hippocampus") else FACES
    work = arrange(experiment, replace(request, methods=("diffusemorph",)))
    records = Records(request.out, work.settings())
    cases = work.judged()
    rows = [
        records.row(("latent", f"seed{seed}", case.name), partial(_measure, work, seed, case))
        for seed in work.seeds
        for case in cases
    ]
    records.write_csv("latent.csv", rows)
    last = len(work.network("diffusemorph", work.seeds[0]).model.schedule) - 1
    steps = [round(share * last) for share in SHARES]
    parts = [
        "## By the time step of the latent",
        markdown_table(
            ["time step", *map(str, steps)],
            [
                [text, *(_mean(rows, f"{key}_{step}") for step in steps)]
                for key, text in (
                    ("noise", "error of the noise estimate (1: useless)"),
                    ("nmse", "NMSE of the registration"),
                    ("dice", "Dice of the registration"),
                )
            ],
        ),
        "A useless noise estimate at step 0 is expected: there is next to no noise to find. A registration that is "
        "equally good at all steps says that the code for it does not depend on the noise.",
        "## What the latent of step 0 looks like",
        markdown_table(
            ["correlation of the latent with", "mean"],
            [
                [text, _mean(rows, key)]
                for key, text in (
                    ("with_difference", "fixed - moving"),
                    ("with_fixed", "fixed"),
                    ("with_moving", "moving"),
                    ("with_size", "length of the final field"),
                )
            ],
        ),
        "## Along eta",
        markdown_table(
            ["eta", *(f"{eta:g}" for eta in ETAS)],
            [
                [text, *(_mean(rows, f"{key}_{eta:g}") for eta in ETAS)]
                for key, text in (
                    ("faithful", "mean length of the field, as in the paper (voxels)"),
                    ("anchored", "the same, anchored"),
                    ("folded", "folded voxels, anchored (%)"),
                )
            ],
        ),
        "The paper's form leaves a field at eta 0; anchored, it is exactly zero there and the paper's at eta 1.",
        link(work.data.data_set, "latent", "latent.png"),
    ]
    _picture(work, cases[0], request.out / "latent.png")
    information = {
        "data": work.data.data_set.title,
        "pairs": len(cases),
        "seeds": ", ".join(map(str, work.seeds)),
        "training steps": work.budget.steps,
        "rate": work.budget.learning_rate,
        "lambda": work.weights.registration,
        **machine(),
    }
    title = f"# What the latent holds: {work.data.data_set.title}"
    write_text(request.out / "latent.md", "\n\n".join([title, *parts, "## Made with", facts(information)]) + "\n")
    return request.out / "latent.md"


def _mean(rows: list[dict], key: str) -> str:
    found = values(rows, key)
    return f"{found.mean():.3f}" if len(found) else "–"


def _correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    found = np.corrcoef(first.flatten().cpu().numpy(), second.flatten().cpu().numpy())[0, 1]
    return float(found) if np.isfinite(found) else 0.0


def _measure(work: Comparison, seed: int, case: Case) -> dict:
    # The network is fetched first, because it may have to be trained, which needs gradients.
    model: DiffuseMorph = work.network("diffusemorph", seed).model
    with torch.no_grad():
        return _measured(model, work, seed, case)


def _measured(model: DiffuseMorph, work: Comparison, seed: int, case: Case) -> dict:
    moving, fixed = case.moving.to(work.device), case.fixed.to(work.device)
    row: dict = {"case": f"{case.name}/seed{seed}", "seed": seed}
    last = len(model.schedule) - 1
    noise = standard_normal(fixed.shape, seed, work.device)
    for step in (round(share * last) for share in SHARES):
        noisy = model.schedule.add_noise(fixed, step, noise)
        row[f"noise_{step}"] = float(noise_loss(model.latent(moving, fixed, noisy, step), noise))
        latent = latent_at(model, moving, fixed, step, seed)
        displacement = Trajectory(model, moving, fixed, "faithful", latent).exact(1.0).cpu()
        row[f"nmse_{step}"] = metrics.nmse(unit(warp(case.moving, displacement)), unit(case.fixed))
        if case.fixed_labels is not None:
            moved = moved_labels(case, displacement)
            shared = metrics.shared_labels(case.fixed_labels, case.moving_labels, work.data.data_set.structures)
            row[f"dice_{step}"] = float(np.mean(list(metrics.dice(case.fixed_labels, moved, shared).values())))
    trajectories = {form: Trajectory(model, moving, fixed, form) for form in ("faithful", "anchored")}
    for eta in ETAS:
        for form, trajectory in trajectories.items():
            row[f"{form}_{eta:g}"] = float(trajectory.exact(eta).norm(dim=1).mean())
        row[f"folded_{eta:g}"] = 100 * folding(trajectories["anchored"].exact(eta)).share
    latent = trajectories["faithful"].latent
    row.update(
        with_difference=_correlation(latent, fixed - moving),
        with_fixed=_correlation(latent, fixed),
        with_moving=_correlation(latent, moving),
        with_size=_correlation(latent, trajectories["faithful"].exact(1.0).norm(dim=1, keepdim=True)),
    )
    return row


def _picture(work: Comparison, case: Case, path: Path) -> None:
    """Moving, fixed, their difference, the latents of three steps, and the final field's length."""
    model = work.network("diffusemorph", work.seeds[0]).model
    moving, fixed = case.moving.to(work.device), case.fixed.to(work.device)
    last = len(model.schedule) - 1
    ends = unit(case.moving), unit(case.fixed)
    panels = [("moving", ends[0]), ("fixed", ends[1]), ("fixed - moving", ends[1] - ends[0])]
    for step in (0, round(0.25 * last), last):
        latent = latent_at(model, moving, fixed, step, work.seeds[0])
        panels.append((f"latent, step {step}", latent[0, 0].cpu().numpy()))
    field = Trajectory(model, moving, fixed).exact(1.0).norm(dim=1)[0].cpu().numpy()
    panels.append(("length of the field", field))
    figure, axes = canvas(1, len(panels))
    for axis, (title, array) in zip(axes[0], panels):
        low, high = np.percentile(array, [0.5, 99.5])
        show(axis, middle_slice(array), title, float(low), float(max(high, low + 1e-6)))
    save(figure, path)
