"""Accuracy against time: refinement from zero and from the network's answer, with more and more steps."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.benchmark import BENCHMARKS, mixed, run_case
from DiffuseMorphCore.evaluation.datasets import open_data_set
from DiffuseMorphCore.evaluation.machine import load, machine
from DiffuseMorphCore.evaluation.methods import METHODS
from DiffuseMorphCore.evaluation.paper.pictures import canvas, save
from DiffuseMorphCore.evaluation.records import Records
from DiffuseMorphCore.evaluation.report import facts, markdown_table, values
from DiffuseMorphCore.options import RegistrationOptions

STARTS = ("zero", "network+refine")


def run_curve(
    command: str,
    folder: str | Path,
    out: str | Path,
    steps: tuple[int, ...],
    *,
    pairs: int | None = None,
    methods: tuple[str, ...] = (*STARTS, "syn"),
    settings: RegistrationOptions = RegistrationOptions(),
    threads: int = 2,
    quiet: bool = False,
) -> Path:
    """Run a benchmark with each number of refinement steps and draw its measure over the seconds it took.

    Parameters
    ----------
    command : a key of `BENCHMARKS`; its measure is Dice, or the landmark error where there is no other.
    steps : numbers of refinement steps on the finest grid, 0 for none.
    methods : starts of the refinement, and "syn", a single point.

    Writes `cases.csv`, `curve.md` and `curve.png` into `out`; what is there already is not run again. Returns the path
    of the page. Raises DiffuseMorphError for missing data, and for a method that is no start.
    """
    for method in methods:
        if method not in (*STARTS, "syn"):
            raise DiffuseMorphError(f"A curve can show {', '.join(STARTS)} and syn, not '{method}'.")
    data_set = open_data_set(BENCHMARKS[command], folder)
    cases = mixed(data_set.pairs("validation"))[:pairs]
    records = Records(out, {"benchmark": command, **settings.to_dict(), "threads": threads, "refine": "several"})
    points: dict[tuple[str, int], list[dict]] = {}
    busy = [load()]
    jobs = [
        (method, count, pair) for pair in cases for method in methods for count in (steps if method != "syn" else (0,))
    ]
    for method, count, pair in tqdm(jobs, desc=command, unit="registration", disable=quiet):
        chosen = replace(settings, refine=count)
        make = partial(run_case, method, pair, data_set, chosen, "same", with_etas=False)
        row = {**records.row((method, f"refine{count}", pair.name), make), "refine": count}
        points.setdefault((method, count), []).append(row)
        busy.append(row["load_before"])
    rows = [row for found in points.values() for row in found]
    records.write_csv("cases.csv", rows)
    key = "tre" if command == "lung" else "dice"
    _draw(points, key, Path(out) / "curve.png")
    lines = [
        [
            METHODS[method][0],
            "–" if method == "syn" else str(count),
            f"{values(found, 'seconds').mean():.1f}",
            f"{values(found, key).mean():.4f}",
            f"{100 * values(found, 'folded').mean():.5f}",
        ]
        for (method, count), found in points.items()
    ]
    measure = "landmark error (mm)" if key == "tre" else "Dice"
    table = markdown_table(["start", "steps", "seconds", measure, "folded (%)"], lines)
    information = {
        **records.settings,
        "pairs": len(cases),
        **machine(),
        "load before each registration": f"{min(busy):.1f} to {max(busy):.1f}",
    }
    return records.write_text(
        "curve.md",
        "\n\n".join(
            [
                f"# Accuracy against time: {command}",
                table,
                "Means over the pairs; seconds of the whole registration, alignment included, images in memory.",
                "![curve](curve.png)",
                "## Measured on",
                facts(information),
            ]
        )
        + "\n",
    )


def _draw(points: dict[tuple[str, int], list[dict]], key: str, path: Path) -> None:
    figure, axes = canvas(1, 1, width=5.0, height=3.6)
    axis = axes[0][0]
    for method in dict.fromkeys(method for method, _ in points):
        found = sorted(
            (values(rows, "seconds").mean(), values(rows, key).mean())
            for (name, _), rows in points.items()
            if name == method
        )
        axis.plot(*np.array(found).T, marker="o", ms=4, label=METHODS[method][0])
    axis.xaxis.set_major_locator(_ticks())
    axis.yaxis.set_major_locator(_ticks())
    axis.set_xlabel("seconds")
    axis.set_ylabel("landmark error (mm)" if key == "tre" else "Dice")
    axis.legend(fontsize=8)
    save(figure, path)


def _ticks():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(6)
