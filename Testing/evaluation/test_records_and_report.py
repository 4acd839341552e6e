"""Results that survive a kill, and the arithmetic of the tables."""

import csv
import json
import math

import numpy as np
import pytest
from scipy import stats

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.records import Records
from DiffuseMorphCore.evaluation.report import Column, cell, comparison, wilcoxon, worst_tenth


def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    made = []

    def make(case, fail=False):
        def row():
            if fail:
                raise KeyboardInterrupt
            made.append(case)
            return {"case": case, "value": len(made)}

        return row

    records = Records(tmp_path, {"seed": 1})
    records.row(("method", "a"), make("a"))
    with pytest.raises(KeyboardInterrupt):
        records.row(("method", "b"), make("b", fail=True))
    again = Records(tmp_path, {"seed": 1})
    assert again.row(("method", "a"), make("a")) == {"case": "a", "value": 1}
    assert again.row(("method", "b"), make("b")) == {"case": "b", "value": 2}
    assert made == ["a", "b"]
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part")]


def test_results_of_other_settings_are_not_mixed(tmp_path):
    Records(tmp_path, {"seed": 1, "refine": "auto"})
    with pytest.raises(DiffuseMorphError, match="another refine"):
        Records(tmp_path, {"seed": 1, "refine": 3})


def test_csv_has_every_column_of_every_row(tmp_path):
    path = Records(tmp_path, {}).write_csv("cases.csv", [{"case": "a", "x": 1}, {"case": "b", "y": 2.5}])
    with open(path, newline="") as file:
        assert list(csv.DictReader(file)) == [{"case": "a", "x": "1", "y": ""}, {"case": "b", "x": "", "y": "2.5"}]


def test_worst_tenth_looks_at_the_bad_end():
    found = np.arange(20.0)
    assert worst_tenth(found, True) == 0.5 and worst_tenth(found, False) == 18.5
    assert worst_tenth(np.array([3.0, 4.0]), True) == 3.0


def test_wilcoxon_pairs_the_cases_by_name():
    draw = np.random.default_rng(0)
    mine = [{"case": str(index), "dice": draw.uniform(0.5, 0.7)} for index in range(12)]
    rival = [{"case": str(index), "dice": draw.uniform(0.4, 0.6)} for index in range(12)]
    expected = stats.wilcoxon([row["dice"] for row in mine], [row["dice"] for row in rival]).pvalue
    assert wilcoxon(mine, rival[::-1], "dice") == pytest.approx(expected)
    assert math.isnan(wilcoxon(mine, mine, "dice")) and math.isnan(wilcoxon(mine[:3], rival, "dice"))


def test_a_table_has_a_line_for_each_method_and_a_dash_for_what_is_not_there():
    groups = {
        "ours": [{"case": "a", "dice": 0.8, "folded": 0.01}, {"case": "b", "dice": 0.6, "folded": 0.0}],
        "syn": [{"case": "a", "dice": 0.5}, {"case": "b", "dice": 0.7}],
    }
    columns = [
        Column("dice", "Dice", 2, with_worst=True),
        Column("folded", "folds (%)", 1, scale=100, with_spread=False),
    ]
    lines = comparison(groups, columns, "syn", "dice").splitlines()
    assert lines[0] == "| method | cases | Dice | worst 10 % of Dice | folds (%) | p against syn |"
    assert lines[2] == "| ours | 2 | 0.70 (0.14) | 0.60 | 0.5 | – |"
    assert lines[3] == "| syn | 2 | 0.60 (0.14) | 0.50 | – | – |"
    assert len({line.count("|") for line in lines}) == 1


def test_infinite_and_missing_values_are_left_out_of_means():
    rows = [{"psnr": float("inf")}, {"psnr": None}, {}, {"psnr": 20.0}]
    assert cell(rows, Column("psnr", "PSNR", 1)) == "20.0"
    assert json.loads(json.dumps({"x": cell([], Column("psnr", "PSNR"))})) == {"x": "–"}
