"""The speed command: its lower bounds against sums done by hand, and a page for a small pair."""

import csv
from importlib.util import find_spec

import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.lower_bounds import network_operations, refinement_volumes, visited_volumes
from DiffuseMorphCore.evaluation.speed import run_speed


def test_volumes_follow_the_progress_of_every_level():
    shapes, counts = [(4, 4), (8, 8)], [6, 4]
    work = 6 * 16 + 4 * 64
    everything = [step * 16 / work for step in range(6)] + [(96 + step * 64) / work for step in range(4)]
    assert visited_volumes(everything, shapes, counts, [1, 1]) == work
    # A level that ends early jumps to the start of the next.
    assert visited_volumes(everything[:2] + everything[6:], shapes, counts, [2, 1]) == 2 * 2 * 16 + 4 * 64


def test_a_step_moves_more_volumes_in_three_dimensions_than_in_two():
    assert refinement_volumes(3) == 54 and refinement_volumes(2) < 54
    assert refinement_volumes(3, 1 / 8) == 9 + 45 / 8


def test_operations_of_a_network_grow_with_the_fields(small_model):
    model = small_model(2)
    one, three = (network_operations(model, (32, 32), fields) for fields in (1, 3))
    latent = network_operations(model, (32, 32), 0)
    assert 0 < latent < one and three - latent == 3 * (one - latent)


def test_a_page_with_every_stage_and_the_command(tmp_path, pair_2d):
    for name, image in zip(("fixed", "moving"), pair_2d):
        sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32), str(tmp_path / f"{name}.nii.gz"))
    page = run_speed(
        tmp_path / "out",
        fixed=tmp_path / "fixed.nii.gz",
        moving=tmp_path / "moving.nii.gz",
        model=None,
        device="cpu",
        threads=1,
        repeats=1,
        syn=find_spec("ants") is not None,
    ).read_text(encoding="utf-8")
    with open(tmp_path / "out" / "speed.csv", newline="", encoding="utf-8") as file:
        rows = {row["stage"]: row for row in csv.DictReader(file)}
    for stage in (
        "read both images",
        "prepare",
        "align",
        "refine",
        "deliver",
        "moved image",
        "inverse transform",
        "start-up",
    ):
        assert float(rows[stage]["seconds"]) > 0 and float(rows[stage]["bound"]) > 0
        assert f"| {stage} |" in page
    assert float(rows["the whole command"]["seconds"]) > 0 and float(rows["registration"]["seconds"]) > 0
    if find_spec("ants"):
        assert float(rows["the same with ANTs SyN"]["seconds"]) > 0 and "of its time" in page
    assert "GB/s" in page


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    with pytest.raises(DiffuseMorphError, match="both"):
        run_speed(tmp_path, fixed="a.nii.gz")
    with pytest.raises(DiffuseMorphError, match="1000_t1"):
        run_speed(tmp_path, data=tmp_path)
    monkeypatch.setattr("DiffuseMorphCore.evaluation.speed.find_spec", lambda name: None)
    with pytest.raises(DiffuseMorphError, match="antspyx"):
        run_speed(tmp_path, syn=True)
