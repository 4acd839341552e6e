"""Heartbeats as sequences and pair by pair: true motion errs by nothing, and a run goes on where it stopped."""

from __future__ import annotations

import csv

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.evaluation import sequence
from DiffuseMorphCore.evaluation.datasets.phantom import true_displacement

PERSON, SHAPE, TIME = 200000, (64, 64), 0.7


def test_the_true_motion_errs_by_next_to_nothing_and_none_by_its_length():
    """The true displacement leads from the frame to the beginning; its inverse is what is asked for."""
    moved = true_displacement(PERSON, SHAPE, TIME) * 3.0  # mm
    field = sitk.GetImageFromArray(np.moveaxis(moved[::-1], 0, -1).astype(float), isVector=True)
    field.SetSpacing((3.0, 3.0))
    inverse = sitk.InvertDisplacementField(field, 100, 0.001, 0.001)
    errors = sequence.distances(
        sitk.DisplacementFieldTransform(sitk.Cast(inverse, sitk.sitkVectorFloat64)), PERSON, SHAPE, TIME
    )
    still = sequence.distances(sitk.Transform(2, sitk.sitkIdentity), PERSON, SHAPE, TIME)
    assert errors.mean() < 0.1 and 2.0 < still.mean() < 15.0


def test_frames_of_a_beat_return():
    times = sequence.heartbeat(8)
    assert times[0] == 0 and abs(times[4] - 1) < 1e-3 and abs(times[1] - times[7]) < 1e-3


def test_a_run_ends_in_a_table_and_goes_on(tmp_path, monkeypatch):
    run = {"people": 1, "frames": 4, "quality": "fast", "threads": 1, "shape": (32, 32)}
    page = sequence.run_sequence(tmp_path, **run).read_text(encoding="utf-8")
    assert all(f"| {name} |" in page for name in (sequence.STILL, *sequence.PAIRS, *sequence.SEQUENCES))
    with open(tmp_path / "sequence.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * 3 and (tmp_path / "sequence.png").stat().st_size > 5000
    still, found = (
        np.mean([float(row["error"]) for row in rows if row["method"] == name]) for name in (sequence.STILL, "sequence")
    )
    assert found < still
    monkeypatch.setattr(sequence, "register", None)  # nothing is registered again
    monkeypatch.setattr(sequence, "register_sequence", None)
    assert sequence.run_sequence(tmp_path, **run).read_text(encoding="utf-8") == page
