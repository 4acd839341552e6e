"""The memory command: a process of its own, its figures, and what it says when that process fails."""

import json

import pytest

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.memory import run_memory


def test_a_small_registration_is_measured_in_its_own_process(tmp_path):
    page = run_memory(tmp_path, scales=(2.0,), shape=(16, 24, 24), model=None, threads=1).read_text(encoding="utf-8")
    rows = json.loads((tmp_path / "memory.json").read_text(encoding="utf-8"))
    assert [row["shape"] for row in rows] == ["20x30x30"]
    for row in rows:
        # The imports alone take a few hundred megabytes; the registration is measured on top of them.
        assert 0.1 < row["peak_gib_before"] < row["peak_gib"] < 4 and row["seconds"] > 0
    assert "| 20x30x30 |" in page and "peak memory (GiB)" in page


def test_a_process_that_fails_is_quoted(tmp_path):
    with pytest.raises(DiffuseMorphError, match="no-such-model"):
        run_memory(tmp_path, shape=(16, 24, 24), model="no-such-model", threads=1)
    assert not (tmp_path / "memory.json").exists()
