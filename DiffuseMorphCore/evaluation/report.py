"""Figures of many cases as one Markdown table: mean, spread, the worst cases, and a test against a rival."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Column:
    """One measure of a table: its key in the rows, its heading, how to print it, and which direction is better."""

    key: str
    heading: str
    digits: int = 3
    higher_is_better: bool = True
    scale: float = 1.0
    with_spread: bool = True
    with_worst: bool = False


def values(rows: Sequence[dict], key: str) -> np.ndarray:
    """The finite values of one measure."""
    found = np.array([row[key] for row in rows if row.get(key) is not None], dtype=float)
    return found[np.isfinite(found)]


def worst_tenth(found: np.ndarray, higher_is_better: bool) -> float:
    """Mean of the worst 10 % of the cases, of one case at least."""
    count = max(1, round(0.1 * len(found)))
    ordered = np.sort(found)
    return float((ordered[:count] if higher_is_better else ordered[-count:]).mean())


def wilcoxon(rows: Sequence[dict], rival: Sequence[dict], key: str) -> float:
    """Two-sided p of the Wilcoxon signed-rank test over the cases that both have; NaN for fewer than five."""
    from scipy.stats import wilcoxon as signed_rank

    mine, other = ({row["case"]: row[key] for row in group if row.get(key) is not None} for group in (rows, rival))
    shared = sorted(set(mine) & set(other))
    differences = np.array([mine[case] - other[case] for case in shared])
    if len(shared) < 5 or not differences.any():
        return float("nan")
    return float(signed_rank(differences).pvalue)


def number(value: float, digits: int) -> str:
    """A figure for a table; a dash where there is none."""
    return "–" if not np.isfinite(value) else f"{value:.{digits}f}"


def probability(value: float) -> str:
    """A p value for a table."""
    return "–" if not np.isfinite(value) else "< .0001" if value < 1e-4 else f"{value:.4f}"


def cell(rows: Sequence[dict], column: Column) -> str:
    """Mean (standard deviation) of one measure."""
    found = values(rows, column.key) * column.scale
    if not len(found):
        return "–"
    text = number(float(found.mean()), column.digits)
    if not column.with_spread or len(found) < 2:
        return text
    return f"{text} ({number(float(found.std(ddof=1)), column.digits)})"


def markdown_table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column holds names, the others are aligned to the right."""
    rule = "|---|" + "---:|" * (len(headings) - 1)
    return "\n".join(["| " + " | ".join(headings) + " |", rule, *("| " + " | ".join(line) + " |" for line in lines)])


def comparison(
    groups: dict[str, list[dict]],
    columns: Sequence[Column],
    rival: str | None = None,
    test_key: str | None = None,
    name_of: Callable[[str], str] = str,
) -> str:
    """One line for each group (method) of rows; with a `rival`, the p of `test_key` against it in the last column."""
    headings, lines = ["method", "cases"], []
    for column in columns:
        headings.append(column.heading)
        if column.with_worst:
            headings.append(f"worst 10 % of {column.heading}")
    tested = test_key if rival in groups else None
    if tested:
        headings.append(f"p against {name_of(rival)}")
    for name, rows in groups.items():
        line = [name_of(name), str(len(rows))]
        for column in columns:
            line.append(cell(rows, column))
            if column.with_worst:
                found = values(rows, column.key) * column.scale
                worst = worst_tenth(found, column.higher_is_better) if len(found) else float("nan")
                line.append(number(worst, column.digits))
        if tested:
            line.append("–" if name == rival else probability(wilcoxon(rows, groups[rival], tested)))
        lines.append(line)
    return markdown_table(headings, lines)


def facts(information: dict) -> str:
    """Machine, versions and settings as one Markdown list."""
    return "\n".join(f"- {name}: {value}" for name, value in information.items())
