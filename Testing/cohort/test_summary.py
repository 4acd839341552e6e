"""Outliers and their order, from closed forms."""

from __future__ import annotations

import csv

import pytest

from DiffuseMorphCore.cohort.pair import DONE, FAILED, Outcome
from DiffuseMorphCore.cohort.summary import ranked, robust_scores, row_of, write_summary


def outcome(row: int, similarity: float, word: str = "good", moved: float = 5.0) -> Outcome:
    report = {
        "verdict": {"word": word, "reason": "r", "explained": 0.6, "volume_change": 0.3},
        "similarity": {"aligned": 0.2, "registered": similarity, "measure": "m"},
        "displacement_mm": {"mean": 1.0, "max": moved, "border_max": 0.0},
        "folding": {"share": 0.0, "repaired_cells": 0},
        "settings": {"align": "none"},
        "notes": ["one.", "two."],
    }
    return Outcome(f"p{row}", row, DONE, report=report)


def test_scores_are_distances_from_the_median_in_robust_deviations():
    assert robust_scores([1, 2, 3, 4, 100]) == pytest.approx([(v - 3) / 1.4826 for v in (1, 2, 3, 4, 100)])
    assert robust_scores([5, 5, 5, 5, 9]) == pytest.approx([0, 0, 0, 0, 4 / (1.2533 * 0.8)])
    assert robust_scores([7, 7, 7]) == [0, 0, 0] and robust_scores([1, 9]) == [0, 0]


def test_the_worst_come_first_and_outliers_are_named_by_their_figure(tmp_path):
    outcomes = [outcome(row, 0.50 + 0.01 * row) for row in range(1, 6)]
    outcomes += [outcome(6, 0.1), outcome(7, 0.53, word="doubtful"), outcome(8, 0.99), outcome(9, 0.53, moved=80.0)]
    rows = ranked(row_of(each) for each in [*outcomes, Outcome("p10", 10, FAILED, "No, file.")])
    assert [row["row"] for row in rows][:2] == [10, 7], "failed, then doubtful"
    named = {row["row"]: row["outlier_in"] for row in rows if row["outlier_in"]}
    assert named == {6: "similarity.registered", 9: "displacement_mm.max"}, "a high similarity is no fault"
    assert {row["row"] for row in rows[2:4]} == {6, 9}
    write_summary(rows, tmp_path / "summary.csv")
    with open(tmp_path / "summary.csv", newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert read[0]["reason"] == "No, file." and read[0]["similarity.registered"] == ""
    assert float(read[1]["similarity.registered"]) == 0.53 and read[1]["notes"] == "one. two."
    assert "settings.align" not in read[0]
