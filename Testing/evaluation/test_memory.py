"""The memory command: processes of their own, their figures, and what it says when one fails."""

import json

import pytest

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.__main__ import main
from DiffuseMorphCore.evaluation.memory import Kind, run_memory

SMALL = Kind("small", (16, 24, 24))


def test_a_small_registration_is_measured_in_its_own_process(tmp_path):
    page = run_memory(tmp_path, kinds=[SMALL], qualities=["best"], model=None, threads=1).read_text(encoding="utf-8")
    (row,) = json.loads((tmp_path / "memory.json").read_text(encoding="utf-8"))
    assert row["shape"] == row["working_grid"] == row["delivered_grid"] == [16, 24, 24]
    # The imports alone take a few hundred megabytes; the registration is measured on top of them.
    assert 0.1 < row["peak_gib_before"] < row["peak_gib"] < 4 and row["seconds"] > 0
    assert "| small: 16x24x24 | 0.0 | best |" in page


def test_a_process_that_fails_is_quoted(tmp_path):
    with pytest.raises(DiffuseMorphError, match="no-such-model"):
        run_memory(tmp_path, kinds=[SMALL], qualities=["fast"], model="no-such-model", threads=1)
    assert not (tmp_path / "memory.json").exists()


@pytest.mark.parametrize("option", ["--images", "--quality"])
def test_unknown_names_are_refused(tmp_path, capsys, option):
    assert main(["memory", "--out", str(tmp_path), option, "fast,knee"]) == 1
    assert f"{option} does not know" in capsys.readouterr().err
