"""What each term of the training objective adds: the same networks trained again and again, with one more term each."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from DiffuseMorphCore.evaluation.machine import machine
from DiffuseMorphCore.evaluation.records import Records
from DiffuseMorphCore.evaluation.report import Column, cell, facts, markdown_table
from DiffuseMorphCore.training.run import train
from DiffuseMorphCore.training.settings import Stage, TrainingRun, read_settings

# Weights where the settings have none; theirs are taken where they have.
_LABELS, _KNOWN, _FOLDING = 2.0, 0.05, 1.0

COLUMNS = (
    Column("dice", "Dice", 4),
    Column("similarity", "squared LNCC", 4),
    Column("folding", "folded voxels (%)", 4, higher_is_better=False, scale=100),
    Column("displacement", "mean displacement (voxels)", 2),
    Column("field_at_0", "field at latent 0 (voxels)", 2, higher_is_better=False),
    Column("noise_1000", "error of the noise at step 1000", 3, higher_is_better=False),
)


def variants(run: TrainingRun, steps: int) -> dict[str, TrainingRun]:
    """Title of a row -> its run: each has what the rows above it have, and one more; the last is the control."""
    loss = run.loss
    paper = replace(
        loss, registration_steps="same", labels=0.0, known=0.0, folding=0.0, random_eta=False, warm_up=False, passes=()
    )
    clean = replace(paper, registration_steps="alternate")
    labels = replace(clean, labels=loss.labels or _LABELS)
    known = replace(labels, known=loss.known or _KNOWN)
    eta = replace(known, folding=loss.folding or _FOLDING, random_eta=True)
    grid = run.geometry
    apart = (Stage(max(1, steps // 5), grid.shape, grid.spacing, warm_up=True),)
    return {
        "the paper's objective": replace(run, loss=paper),
        "+ registration from step 0 and the clean image": replace(run, loss=clean),
        "+ each network for itself in the first fifth": replace(run, loss=clean, stages=apart),
        "+ soft Dice": replace(run, loss=labels, stages=apart),
        "+ error of the known field": replace(run, loss=known, stages=apart),
        "+ smoothness and folding at a random eta": replace(run, loss=eta, stages=apart),
        "VoxelMorph control with the terms of the last but one": replace(
            run, loss=known, model=replace(run.model, control="alone")
        ),
    }


def run_ablation(
    settings: str | Path,
    folder: str | Path,
    out: str | Path,
    *,
    grid: tuple[int, ...] | None = None,
    spacing: float | None = None,
    steps: int = 500,
    pairs: int = 20,
    seeds: tuple[int, ...] = (0,),
    device: str = "auto",
    threads: int = 2,
    quiet: bool = False,
) -> Path:
    """Train every variant of a run and compare them on the validation pairs of the run's source.

    Parameters
    ----------
    settings : the run (TOML) whose data, networks and weights are taken; its stages and passes are left out.
    folder : its data. grid, spacing : of the pairs (voxels; mm), the run's own if None.
    steps, seeds : of each training; all variants of one seed see the same pairs.
    pairs : validation pairs.

    Writes `cases.csv` and `ablation.md` into `out`, trainings into `out/runs`; what is there already is gone on with.
    Returns the path of the page. Raises DiffuseMorphError for settings or data that cannot be used.
    """
    run = read_settings(settings)
    geometry = replace(run.geometry, shape=grid or run.geometry.shape, spacing=spacing or run.geometry.spacing)
    run = replace(run, data=replace(run.data, folder=str(folder)), geometry=geometry, stages=(), device=device)
    records = Records(
        out,
        {
            "settings": Path(settings).stem,
            "grid": list(geometry.shape),
            "spacing": geometry.spacing,
            "steps": steps,
            "validation pairs": pairs,
            "device": device,
            "threads": threads,
        },
    )
    rows: dict[str, list[dict]] = {title: [] for title in variants(run, steps)}
    jobs = [(seed, number, title) for seed in seeds for number, title in enumerate(rows)]
    for seed, number, title in tqdm(jobs, desc="trainings", unit="training", disable=quiet):
        name = f"{number}-{seed}"
        own = replace(
            run,
            optimisation=replace(run.optimisation, steps=steps, seed=seed),
            validation=replace(run.validation, every=steps, pairs=pairs),
            output=replace(run.output, folder=str(Path(out) / "runs" / name), log_every=max(1, steps // 10)),
        )
        rows[title].append(records.row((name,), partial(_trained, variants(own, steps)[title], title, seed)))
    records.write_csv("cases.csv", [row for group in rows.values() for row in group])
    return records.write_text("ablation.md", _page(rows, {**records.settings, "seeds": list(seeds), **machine()}))


def _trained(run: TrainingRun, title: str, seed: int) -> dict:
    return {"variant": title, "seed": seed, **train(run, progress=lambda stage, fraction: True).validation}


def _page(rows: dict[str, list[dict]], information: dict) -> str:
    first = next(iter(rows.values()))
    columns = [column for column in COLUMNS if any(column.key in row for row in first)]
    before = [
        "before registration",
        *(
            "–"
            if f"{column.key}_before" not in first[0]
            else cell(first[:1], replace(column, key=f"{column.key}_before"))
            for column in columns
        ),
    ]
    table = markdown_table(
        ["trained with", *(column.heading for column in columns)],
        [before, *([title, *(cell(group, column) for column in columns)] for title, group in rows.items())],
    )
    return (
        "\n\n".join(
            [
                "# What each term of the objective adds",
                table,
                "Means over the validation pairs, registered in one pass by the network alone; in brackets the "
                "standard "
                "deviation over the seeds. Every row has the terms of the rows above it too, and every row of "
                "a seed was "
                "trained on the same pairs.",
                "## Measured on",
                facts(information),
            ]
        )
        + "\n"
    )
