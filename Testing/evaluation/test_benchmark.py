"""The benchmark: scoring of known transforms, a whole small run with SyN, its resumption, and the command line."""

import dataclasses
import json
import math

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation import benchmark
from DiffuseMorphCore.evaluation.__main__ import main
from DiffuseMorphCore.evaluation.datasets.scan import Scan, ScanPair
from DiffuseMorphCore.evaluation.machine import machine, peak_memory, reset_peak_memory
from DiffuseMorphCore.evaluation.methods import Outcome, chosen_methods, syn
from DiffuseMorphCore.images import resample_labels
from DiffuseMorphCore.networks.model import DiffuseMorph
from DiffuseMorphCore.networks.model_file import save_model
from DiffuseMorphCore.networks.presets import PRESETS
from DiffuseMorphCore.options import RegistrationOptions


def oblique_grid():
    grid = sitk.Image([20, 22, 24], sitk.sitkUInt8)
    grid.SetSpacing((1.0, 1.5, 2.0))
    grid.SetDirection((0, -1, 0, -1, 0, 0, 0, 0, 1))
    grid.SetOrigin((5.0, -7.0, 3.0))
    return grid


def test_folds_are_counted_on_the_grid_whatever_its_orientation():
    grid = oblique_grid()
    size, spacing = np.array(grid.GetSize()), np.array(grid.GetSpacing())
    centre = np.array(grid.TransformContinuousIndexToPhysicalPoint(((size - 1) / 2).tolist()))
    scaling = sitk.AffineTransform(3)
    scaling.SetCenter(centre.tolist())
    scaling.SetMatrix(np.diag([1.25, 0.8, 1.5]).ravel().tolist())
    share, smallest, determinant = benchmark.folded_share(scaling, grid)
    assert share == 0 and smallest == pytest.approx(1.5, abs=1e-4)
    assert determinant[1:-1, 1:-1, 1:-1] == pytest.approx(1.5, abs=1e-3)
    mirror = sitk.AffineTransform(3)
    mirror.SetMatrix(np.diag([-1.0, 1, 1]).ravel().tolist())
    assert benchmark.folded_share(mirror, grid)[0] == pytest.approx(1.0)
    assert spacing.prod() == 3.0


def pair_of(fixed_array, moving_array, landmarks=None):
    scans = []
    for index, array in enumerate((moving_array, fixed_array)):
        image = sitk.GetImageFromArray(array.astype(np.float32))
        labels = sitk.GetImageFromArray((array > 100).astype(np.uint8))
        points = None if landmarks is None else (lambda index=index: landmarks[index])
        scans.append(Scan(f"scan{index}", "p", lambda image=image: image, lambda labels=labels: labels, points))
    return ScanPair(*scans)


def test_score_of_the_right_and_the_wrong_translation():
    fixed = np.zeros((24, 24, 24))
    fixed[8:16, 8:16, 6:14] = 200
    moving = np.roll(fixed, 3, axis=2)
    points = np.array([[10.0, 10, 10], [12, 11, 9]])
    pair = pair_of(fixed, moving, (points + (3, 0, 0), points))
    images = pair.fixed.image(), pair.moving.image()
    for shift, dice, error in ((3.0, 1.0, 0.0), (0.0, 5 / 8, 3.0)):
        forward = sitk.TranslationTransform(3, (shift, 0.0, 0.0))
        outcome = Outcome(
            forward,
            forward.GetInverse(),
            lambda labels: resample_labels(labels, images[0], forward),
            1.0,
            1.0,
            at=lambda eta: sitk.TranslationTransform(3, (eta * shift, 0.0, 0.0)),
        )
        row = benchmark.score(outcome, pair, *images, {1: "cube"}, True, True)
        assert row["dice"] == pytest.approx(dice) and row["tre"] == pytest.approx(error)
        assert row["hd95"] == pytest.approx(error) and row["landmarks"] == 2
        assert row["folded"] == 0 and row["folded_etas"] == 0 and row["inverse_error"] == pytest.approx(0)
        assert row["sd_log_jacobian"] == pytest.approx(0, abs=1e-5)


def test_the_other_contrast_inverts_the_foreground_only():
    image = sitk.GetImageFromArray(np.array([[0, 10, 50, 100]], np.float32))
    changed = sitk.GetArrayFromImage(benchmark.other_contrast(image))[0]
    assert changed[0] == 0 and changed[1] > changed[2] > changed[3] > 0


def test_syn_goes_from_fixed_to_moving_and_back():
    pytest.importorskip("ants", reason="needs antspyx")
    grid = np.indices((64, 64))
    # One round spot would leave the rotation to chance; several determine the shift by seven pixels.
    spots = ((32, 28, 160, 200), (18, 20, 60, 80), (46, 22, 60, 90), (24, 42, 60, 85))
    images = [
        sum(
            height * np.exp(-((grid[0] - y) ** 2 + (grid[1] - x - shift) ** 2) / width) for y, x, width, height in spots
        )
        for shift in (0, 7)
    ]
    pair = pair_of(*images)
    fixed, moving = pair.fixed.image(), pair.moving.image()
    outcome = syn(fixed, moving, RegistrationOptions())
    landed = outcome.transform.TransformPoint((28.0, 32.0))
    assert landed == pytest.approx((35, 32), abs=1.0)
    assert outcome.inverse.TransformPoint(landed) == pytest.approx((28, 32), abs=0.3)
    moved = sitk.GetArrayFromImage(outcome.move_labels(pair.moving.labels()))
    target = sitk.GetArrayFromImage(pair.fixed.labels())
    assert 2 * (moved & target).sum() / (moved.sum() + target.sum()) > 0.85
    assert outcome.seconds > 0


def write_heart(folder):
    """A folder of heart-cine with seven people: a bright disc that gets smaller."""
    lines = ["person,slice,end_diastole,end_diastole_label,end_systole,end_systole_label"]
    grid = np.indices((48, 48))
    for person in range(7):
        names = [f"p{person}_{kind}.png" for kind in ("ed", "ed_lv", "es", "es_lv")]
        for phase, radius in enumerate((13 - person % 2, 9)):
            disc = ((grid - 24) ** 2).sum(0) < radius**2
            body = 60 + 20 * np.sin(grid[0] / 5) * np.cos(grid[1] / 4)
            sitk.WriteImage(
                sitk.GetImageFromArray(np.where(disc, 220, body).astype(np.uint8)), str(folder / names[2 * phase])
            )
            sitk.WriteImage(sitk.GetImageFromArray(disc.astype(np.uint8) * 255), str(folder / names[2 * phase + 1]))
        lines.append(f"p{person},1,{','.join(names)}")
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")


def test_a_small_benchmark_from_the_command_line_and_again(tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    write_heart(data)
    arguments = [
        "heart",
        "--data",
        str(data),
        "--out",
        str(out),
        "--methods",
        "initial,affine,zero",
        "--pairs",
        "2",
        "--threads",
        "1",
        "--device",
        "cpu",
    ]
    assert main(arguments) == 0
    assert "| refinement from zero | 2 |" in capsys.readouterr().out
    rows = {
        name: json.loads(next((out / "cases" / name).glob("*.json")).read_text(encoding="utf-8"))
        for name in ("initial", "zero")
    }
    assert rows["zero"]["dice"] > rows["initial"]["dice"] + 0.05
    assert rows["zero"]["folded"] == 0 and rows["zero"]["seconds"] > 0 and rows["zero"]["seconds_refine"] >= 0
    table = (out / "table.md").read_text(encoding="utf-8")
    assert "HD95 (pixels)" in table and "torch" in table
    # A second run finds every case done: it changes no row and needs no data to be registered again.
    kept = next((out / "cases" / "zero").glob("*.json"))
    kept.write_text(json.dumps({**rows["zero"], "dice": 0.125}))
    assert main(arguments) == 0
    assert "0.125" in (out / "cases.csv").read_text(encoding="utf-8")
    assert main([*arguments, "--align", "none"]) == 1
    assert "another align" in capsys.readouterr().err


def test_rows_of_a_network_with_and_without_a_model(tmp_path, capsys, monkeypatch):
    data = tmp_path / "data"
    data.mkdir()
    write_heart(data)
    model = tmp_path / "random.pt"
    torch.manual_seed(0)
    save_model(model, DiffuseMorph(PRESETS["default2d"].model), {"version": "0"})
    monkeypatch.setattr("DiffuseMorphCore.networks.model_file.BUNDLED", tmp_path)
    control = tmp_path / "voxelmorph2d.pt"
    save_model(control, DiffuseMorph(dataclasses.replace(PRESETS["default2d"].model, diffusion=None)), {"version": "0"})
    arguments = [
        "heart",
        "--data",
        str(data),
        "--pairs",
        "1",
        "--threads",
        "1",
        "--device",
        "cpu",
        "--methods",
        "initial,network,voxelmorph,network+refine",
    ]
    assert main([*arguments, "--out", str(tmp_path / "with"), "--model", str(model)]) == 0
    rows = json.loads(next((tmp_path / "with" / "cases" / "network+refine").glob("*.json")).read_text(encoding="utf-8"))
    assert rows["folded_etas"] == 0 and rows["folded"] == 0
    page = capsys.readouterr().out
    assert "| network and refinement |" in page and "| VoxelMorph control alone |" in page
    control.unlink()
    monkeypatch.setattr(benchmark, "default_model", lambda ndim: None)
    assert main([*arguments, "--out", str(tmp_path / "without")]) == 0
    page = capsys.readouterr().out
    assert "no model for 2-D images: network alone, VoxelMorph control alone, network and refinement." in page
    assert "| network alone |" not in page and "| VoxelMorph" not in page
    assert main([*arguments[:-1], "network", "--out", str(tmp_path / "none")]) == 1
    assert "--model" in capsys.readouterr().err


@pytest.mark.parametrize("count", [1, 2, 7, 20, 42, 60])
def test_a_few_pairs_show_many_people_and_all_pairs_come_once(count):
    order = benchmark.mixed(list(range(count)))
    assert sorted(order) == list(range(count)) and order[0] == 0
    if count == 20:
        # Pairs 0 to 3 have one moving person, 4 to 7 the next: the first five pairs show four of the five people.
        assert len({index // 4 for index in order[:5]}) >= 4


def test_accuracy_against_time(tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    write_heart(data)
    where = ["--data", str(data), "--out", str(out), *"--pairs 1 --threads 1 --device cpu".split()]
    assert main([*"curve heart".split(), *where, *"--methods zero --steps 0,20".split()]) == 0
    lines = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| refinement")]
    assert [line[2].strip() for line in lines] == ["0", "20"] and float(lines[1][4]) > float(lines[0][4]) + 0.02
    assert (out / "curve.png").stat().st_size > 2000
    assert main(["curve", "heart", "--data", str(data), "--out", str(out), "--methods", "initial"]) == 1
    assert "not 'initial'" in capsys.readouterr().err


def test_what_is_wrong_is_said_in_one_sentence(tmp_path, capsys):
    assert main(["brain", "--data", str(tmp_path / "gone"), "--out", str(tmp_path / "out")]) == 1
    assert "gone" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["heart", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--threads", "0"]) == 2
    with pytest.raises(SystemExit) as stop:
        main(["heart", "--out"])
    assert stop.value.code == 2
    with pytest.raises(DiffuseMorphError, match="no method 'finest'"):
        chosen_methods("initial,finest")


def test_peak_memory_sees_a_large_array():
    reset = reset_peak_memory()
    before = peak_memory()
    array = np.ones(40_000_000)
    array[:] = 2.0
    after = peak_memory()
    del array
    assert after - before > 0.25 if reset else after >= before
    assert machine()["torch"] != "not installed" and not math.isnan(before)
