"""How cohorts scale, on little of everything: figures of each kind, equal results, and a page."""

from __future__ import annotations

import json

import pytest

from DiffuseMorphCore.evaluation.cohort import run_cohort


def test_every_figure_is_measured_and_the_page_says_so(tmp_path):
    page = run_cohort(tmp_path, pairs=0, tiny=3, workers=(2,), each=2, seconds=0.1, rows=50).read_text(encoding="utf-8")
    found = json.loads((tmp_path / "cohort.json").read_text(encoding="utf-8"))
    (waiting,) = found["waiting"]
    assert waiting["pairs"] == 4 and waiting["seconds"] >= waiting["least seconds"] == pytest.approx(0.2)
    assert waiting["scheduler, ms a pair"] > 0 and waiting["command, ms a pair"] > 0
    assert found["tiny"]["pairs"] == 3 and found["tiny"]["seconds"] > found["tiny"]["seconds to see"] > 0
    assert found["rows"]["rows"] == 50 and found["rows"]["bytes"]["summary.csv"] > 50 * 100
    assert "| 2 | 4 |" in page and "3 pairs of tiny pictures" in page
