"""Every figure of every report in one table, and which pairs are unlike the others."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from DiffuseMorphCore.cohort.pair import FAILED, INPUTS, NOT_YET, Outcome
from DiffuseMorphCore.files import write_whole
from DiffuseMorphCore.result_page.findings import BAD, SUSPICIOUS, findings

FIRST = ("name", "row", "state", "reason")
"""The columns that the summary of a cohort begins with."""
OUTLIER = 3.5
"""Robust z-score from which a pair is an outlier (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993)."""
_JUDGED = {
    "similarity.registered": -1,
    "verdict.explained": -1,
    "dice.moved.mean": -1,
    "verdict.volume_change": 1,
    "displacement_mm.mean": 1,
    "displacement_mm.max": 1,
    "folding.repaired_cells": 1,
    "uncertainty_mm.mean": 1,
}
"""Figures in which pairs are compared, and whether high (1) or low (-1) is worse."""
_LEFT_OUT = ("results", "settings", "versions", "model", "files", INPUTS)
_WORDS = {"failed": 3, "doubtful": 2, "good": 0}


def row_of(outcome: Outcome) -> dict[str, Any]:
    """What became of a pair, and every figure of its report.

    Numbers within lists are left out; a figure is named by its path in the report, with dots.
    """
    report = outcome.report
    row: dict[str, Any] = {name: getattr(outcome, name) for name in FIRST}
    row |= {role: report.get("files", {}).get(role, "") for role in ("fixed", "moving")}
    row["suspicious"] = (
        "; ".join(each.title for each in findings(report) if each.level in (BAD, SUSPICIOUS)) if report else ""
    )
    figures = _flat({key: value for key, value in report.items() if key not in _LEFT_OUT})
    return row | {"outlier_score": 0.0, "outlier_in": ""} | figures


def ranked(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows, the worst first, each with its outlier score: the greatest robust score, and the figure it is of."""
    rows = [dict(row) for row in rows]
    for figure, sign in _JUDGED.items():
        judged = [row for row in rows if isinstance(row.get(figure), (int, float))]
        for row, score in zip(judged, robust_scores([row[figure] for row in judged])):
            if sign * score > row["outlier_score"]:
                row["outlier_score"] = round(sign * score, 3)
                row["outlier_in"] = figure if sign * score >= OUTLIER else ""
    return sorted(rows, key=lambda row: (-_gravity(row), -row["outlier_score"], row["row"]))


def robust_scores(values: Sequence[float]) -> list[float]:
    """How far each value is from the median, in standard deviations as the median of the distances tells them.

    Where more than half of the values are equal, the mean of the distances is taken instead; 0 where all are.
    """
    if len(values) < 3:
        return [0.0] * len(values)
    middle = statistics.median(values)
    distances = [abs(value - middle) for value in values]
    scale = 1.4826 * statistics.median(distances) or 1.2533 * statistics.fmean(distances)
    return [(value - middle) / scale if scale > 0 else 0.0 for value in values]


def write_summary(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the rows as a table (.csv). Raises DiffuseMorphError where that cannot be."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())


def _gravity(row: Mapping[str, Any]) -> int:
    if row["state"] in (FAILED, NOT_YET):
        return 5 if row["state"] == FAILED else 4
    return _WORDS.get(row.get("verdict.word", "good"), 1)


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}.")
        elif name == "notes":
            found[f"{before}{name}"] = " ".join(map(str, value))
        elif not isinstance(value, (list, tuple)) and value is not None:
            found[f"{before}{name}"] = value
    return found
