"""Errors of boundaries in closed form; a predictor that knows them ranks perfectly, and a small run makes a page."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.evaluation.__main__ import main
from DiffuseMorphCore.evaluation.boundaries import boundary_distances
from DiffuseMorphCore.evaluation.uncertainty import compare, over_pairs, rank_correlation


def cubes(shifts):
    """Two label maps of four cubes; in the second, cube k lies `shifts[k]` voxels further along the last axis."""
    maps = np.zeros((2, 16, 60, 30), np.uint8)
    for number, shift in enumerate(shifts, start=1):
        row = slice(15 * number - 12, 15 * number - 4)
        maps[0, 4:12, row, 4:12], maps[1, 4:12, row, 4 + shift : 12 + shift] = number, number
    return maps


def test_distances_of_shifted_cubes_in_millimetres():
    fixed, moved = cubes((0, 1, 3, 0))
    found = boundary_distances(fixed, moved, [1, 2, 3, 9], (1.0, 1.0, 2.0))
    assert set(found) == {1, 2, 3}
    index, there, both = found[1]
    assert len(index) == 8**3 - 6**3 and there.max() == 0 and both == 0
    assert (fixed[tuple(found[3][0].T)] == 3).all()
    assert found[2][1].max() == pytest.approx(2) and found[3][1].max() == pytest.approx(6)
    assert 0 < found[2][2] < found[3][2]


def test_a_perfect_predictor_ranks_perfectly_and_a_constant_one_says_nothing():
    fixed, moved = cubes((0, 1, 3, 2))
    knows = np.zeros(fixed.shape, np.float32)
    for index, there, _ in boundary_distances(fixed, moved, range(1, 5), (1.0, 1.0, 1.0)).values():
        knows[tuple(index.T)] = there
    case = compare(
        {"uncertainty": knows, "displacement": np.ones_like(knows)},
        fixed,
        moved,
        {label: f"cube {label}" for label in range(1, 5)},
        (1.0, 1.0, 1.0),
    )
    assert case["uncertainty_distance"] == case["uncertainty_voxels"] == pytest.approx(1)
    assert case["uncertainty_dice"] == pytest.approx(1) and case["displacement_distance"] is None
    assert case["fifth_5_distance"] > case["fifth_1_distance"] == 0 and case["fifth_5_far"] == 0
    assert [row["structure"] for row in case["structures"]] == [f"cube {label}" for label in range(1, 5)]


def test_the_rank_correlation_over_pairs_is_taken_for_each_structure():
    rows = [
        {"label": label, "uncertainty_mm": float(pair), "distance_mm": float(pair if label == 1 else -pair)}
        for label in (1, 2)
        for pair in range(5)
    ]
    assert sorted(over_pairs(rows, "uncertainty")) == pytest.approx([-1, 1])
    assert not len(over_pairs(rows[:3], "uncertainty"))
    assert rank_correlation(np.arange(5.0), np.exp(np.arange(5.0))) == pytest.approx(1)


def test_a_small_run(tmp_path, textured_pair_3d, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    for number in range(32):
        image = textured_pair_3d[number % 2]
        labels = sitk.Cast(image > 60, sitk.sitkUInt8) + sitk.Cast(image > 130, sitk.sitkUInt8)
        sitk.WriteImage(image, str(data / f"hippocampus_{number:03d}_t1.nii.gz"))
        sitk.WriteImage(labels, str(data / f"hippocampus_{number:03d}_labels.nii.gz"))
    where = ["--data", str(data), "--out", str(out), *"--pairs 1 --threads 1 --device cpu".split()]
    assert main([*"uncertainty hippocampus".split(), *where, *"--model none --spacing 3".split()]) == 0
    assert "| uncertainty |" in capsys.readouterr().out
    rows = list(csv.DictReader(open(out / "structures.csv", newline="", encoding="utf-8")))
    assert len(rows) == 2 and all(float(row["uncertainty_mm"]) > 0 for row in rows)
    assert float(next(csv.DictReader(open(out / "cases.csv", encoding="utf-8")))["uncertainty_percentile_95"]) > 0
