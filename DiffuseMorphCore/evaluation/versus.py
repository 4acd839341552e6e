"""Several runs of benchmarks on one page: what each method reaches in what time, beside one of them, pair by pair."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.benchmark import BENCHMARKS, title_of
from DiffuseMorphCore.evaluation.methods import METHODS
from DiffuseMorphCore.evaluation.paper.pictures import canvas, save
from DiffuseMorphCore.evaluation.peers.calling import PEERS
from DiffuseMorphCore.evaluation.records import write_text
from DiffuseMorphCore.evaluation.report import markdown_table, number, probability, wilcoxon

OWN = ("affine", "network", "zero", "network+refine", "fast", "default", "best")
"""Rows of this project; the others are drawn as points of their own."""

MARKERS = "osD^v<>PX*hp"
"""One for each method of a picture."""

REGULARITY = {"folded": 100.0, "sd_log_jacobian": 1.0, "peak_gib": 1.0}
"""Measures of a method's own pairs that stand beside the compared ones, with what they are multiplied by."""


@dataclass(frozen=True)
class Standing:
    """One method beside the reference, over the `pairs` that both have.

    `score` and `seconds` are the reference's means over all of its pairs, moved by the mean difference, or multiplied
    by the geometric mean of the ratios, of the shared pairs: so methods that were given fewer pairs stand beside the
    others as if they had had them all. `own_score` and `reference_score` are plain means over the shared pairs;
    `p` is that of the Wilcoxon test.
    """

    method: str
    pairs: int
    own_score: float
    reference_score: float
    ahead: int
    p: float
    score: float
    seconds: float
    times: float
    folded: float
    sd_log_jacobian: float
    peak_gib: float


def read_cases(path: str | Path) -> list[dict]:
    """The rows of a benchmark's `cases.csv`, figures as numbers, empty cells left out.

    Raises DiffuseMorphError for a file that is not there or is no such table.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DiffuseMorphError(
            f"The file '{path}' cannot be read: give the cases.csv that a benchmark wrote."
        ) from error
    if not rows or not {"case", "method", "cpu_seconds"} <= rows[0].keys():
        raise DiffuseMorphError(
            f"The file '{path}' has no columns case, method and cpu_seconds: give the cases.csv that a benchmark wrote."
        )
    return [{key: _figure(text) for key, text in row.items() if text not in ("", None)} for row in rows]


def _figure(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def standings(rows: Sequence[dict], key: str, reference: str) -> list[Standing]:
    """Every method of `rows` beside the `reference`, the quickest first.

    key : the measure, "dice" (more is better) or "tre" (less is better). Raises DiffuseMorphError where the reference
        has no row or takes no time, or a method shares no pair with it.
    """
    groups: dict[str, dict[str, dict]] = {}
    for row in rows:
        groups.setdefault(row["method"], {})[row["case"]] = row
    if reference not in groups:
        raise DiffuseMorphError(
            f"There is no row of the method '{reference}': name with --reference one of {', '.join(groups)}."
        )
    beside = groups[reference]
    if not all(row["cpu_seconds"] > 0 for row in beside.values()):
        raise DiffuseMorphError(f"The method '{reference}' takes no time: name another with --reference.")
    level = float(np.mean([row[key] for row in beside.values()]))
    pace = float(np.mean([row["cpu_seconds"] for row in beside.values()]))
    found = []
    for method, cases in groups.items():
        shared = sorted(cases.keys() & beside.keys())
        if not shared:
            raise DiffuseMorphError(f"The methods '{method}' and '{reference}' have no pair in common.")
        own, other = (np.array([group[case][key] for case in shared]) for group in (cases, beside))
        worked = np.array([cases[case]["cpu_seconds"] / beside[case]["cpu_seconds"] for case in shared])
        times = float(np.exp(np.log(worked).mean())) if (worked > 0).all() else 0.0
        better = own > other if key == "dice" else own < other
        found.append(
            Standing(
                method,
                len(shared),
                float(own.mean()),
                float(other.mean()),
                int(better.sum()),
                wilcoxon([cases[case] for case in shared], list(beside.values()), key),
                level + float((own - other).mean()),
                pace * times,
                times,
                *(
                    float(np.mean([cases[case].get(name, np.nan) for case in shared])) * scale
                    for name, scale in REGULARITY.items()
                ),
            )
        )
    return sorted(found, key=lambda standing: standing.seconds)


def measure_of(benchmark: str) -> tuple[str, str]:
    """The measure of a benchmark: its column, and what it is called."""
    return ("tre", "landmark error (mm)") if benchmark == "lung" else ("dice", "Dice")


def run_versus(runs: Sequence[tuple[str, str | Path]], out: str | Path, reference: str = "default") -> Path:
    """One page and one picture of several runs.

    Parameters
    ----------
    runs : (key of `BENCHMARKS`, a `cases.csv`); several of one benchmark are put together.
    reference : the method beside which every other stands.

    Writes `versus.md` and `versus.png` into `out` and returns the path of the page. Raises DiffuseMorphError for files
    that cannot be read, one pair and method in two files, and for what `standings` refuses.
    """
    together: dict[str, list[dict]] = {}
    for benchmark, path in runs:
        rows = together.setdefault(benchmark, [])
        known = {(row["case"], row["method"]) for row in rows}
        for row in read_cases(path):
            if (row["case"], row["method"]) in known:
                raise DiffuseMorphError(
                    f"The pair '{row['case']}' by '{row['method']}' in '{path}' is in an earlier file too: give each "
                    "once."
                )
            if row["method"] not in METHODS and row["method"] not in PEERS:
                raise DiffuseMorphError(f"The file '{path}' has rows of an unknown method '{row['method']}'.")
            if measure_of(benchmark)[0] in row:
                rows.append(row)
    found = {benchmark: standings(rows, measure_of(benchmark)[0], reference) for benchmark, rows in together.items()}
    draw(found, Path(out) / "versus.png")
    parts = ["# Accuracy against time", "![accuracy against time](versus.png)", _explained(reference)]
    for benchmark, lines in found.items():
        parts += [f"## {benchmark}: {BENCHMARKS[benchmark]}", _table(lines, benchmark, reference)]
    page = Path(out) / "versus.md"
    write_text(page, "\n\n".join(parts) + "\n")
    return page


def _explained(reference: str) -> str:
    name = title_of(reference)
    return (
        f"Every method beside {name}, on the pairs that both registered. Time is the processor's, which other programs "
        f"on the computer change less than the seconds: {name} = 1. In the picture a method stands where its "
        f"difference and its ratio put it beside the mean of {name} over all pairs; hollow points had fewer than half "
        "of the pairs."
    )


def _table(lines: Sequence[Standing], benchmark: str, reference: str) -> str:
    measure = measure_of(benchmark)[1]
    digits = 2 if benchmark == "lung" else 3
    name = title_of(reference)
    return markdown_table(
        [
            "method",
            "pairs",
            measure,
            f"{name} there",
            "better in",
            "p",
            "time as a multiple",
            "seconds of the processor",
            "folded voxels (%)",
            "SD log J",
            "peak memory (GiB)",
        ],
        [
            [
                title_of(line.method),
                str(line.pairs),
                number(line.own_score, digits),
                number(line.reference_score, digits),
                "–" if line.method == reference else f"{line.ahead} of {line.pairs}",
                "–" if line.method == reference else probability(line.p),
                f"{line.times:.2f}",
                f"{line.seconds:.1f}",
                number(line.folded, 4),
                number(line.sd_log_jacobian, 2),
                number(line.peak_gib, 2),
            ]
            for line in lines
        ],
    )


def draw(found: dict[str, list[Standing]], path: Path) -> Path:
    """One panel for each benchmark: accuracy over the processor's seconds, which are logarithmic."""
    from matplotlib.ticker import MaxNLocator, NullLocator

    columns = min(3, max(len(found), 1))
    rows = -(-len(found) // columns)
    figure, axes = canvas(rows, columns, width=3.9, height=3.3)
    order = list(dict.fromkeys(line.method for lines in found.values() for line in lines if line.method not in OWN))
    order += [method for method in OWN if any(line.method == method for lines in found.values() for line in lines)]
    for axis in axes.ravel()[len(found) :]:
        axis.set_axis_off()
    for axis, (benchmark, lines) in zip(axes.ravel(), found.items()):
        most = max(line.pairs for line in lines)
        times = [line.seconds for line in lines if line.seconds]
        for line in lines:
            if not line.seconds:
                continue
            place = order.index(line.method)
            axis.plot(
                line.seconds,
                line.score,
                MARKERS[place % len(MARKERS)],
                ms=7,
                color="#c44e52" if line.method in OWN else f"C{place}",
                mfc=None if 2 * line.pairs >= most else "white",
                label=title_of(line.method),
            )
        ours = [(line.seconds, line.score) for line in lines if line.method in ("fast", "default", "best")]
        if ours:
            axis.plot(*np.array(sorted(ours)).T, color="#c44e52", lw=1)
        axis.set_xscale("log")
        ticks = [step * 10.0**power for power in range(-1, 5) for step in (1, 3)]
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=7)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xlim(min(times) / 2, max(times) * 2)
        axis.yaxis.set_major_locator(MaxNLocator(5))
        axis.tick_params(axis="y", labelsize=7)
        axis.margins(y=0.12)
        if benchmark == "lung":
            axis.invert_yaxis()  # up is better everywhere
        axis.set_title(f"{benchmark} ({most} pairs)" if most > 1 else f"{benchmark} (1 pair)", fontsize=9)
        axis.set_xlabel("seconds of the processor", fontsize=8)
        axis.set_ylabel(measure_of(benchmark)[1], fontsize=8)
    named = {
        label: handle for axis in axes.ravel() for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=min(4, columns + 1), fontsize=7)
    return save(figure, path)
