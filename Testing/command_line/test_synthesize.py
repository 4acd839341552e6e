"""`diffusemorph synthesize` and `diffusemorph models` with a model file."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.command_line import main
from DiffuseMorphCore.images import write_image
from DiffuseMorphCore.networks import DiffuseMorph, save_model


@pytest.fixture()
def folder(tmp_path, pair_2d, small_model, monkeypatch):
    """A folder with a 2-D pair and an untrained model, made the current one."""
    for name, image in zip(("fixed", "moving"), pair_2d):
        write_image(image, tmp_path / f"{name}.nrrd")
    information = {"description": "For tests.", "training_data": "None at all.", "terms": "CC0", "recipe": {"steps": 0}}
    save_model(tmp_path / "small.pt", small_model(2), information)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def synthesize(*arguments: str) -> int:
    return main(
        [
            "synthesize",
            "fixed.nrrd",
            "moving.nrrd",
            "--model",
            "small.pt",
            "--device",
            "cpu",
            "--align",
            "none",
            "--start",
            "20",
            "--steps",
            "4",
            *arguments,
        ]
    )


def test_the_image_lies_on_the_fixed_grid_and_follows_the_seed(folder, capsys):
    assert synthesize("-o", "one.nrrd") == 0
    assert "one.nrrd" in capsys.readouterr().out
    one, fixed = sitk.ReadImage("one.nrrd"), sitk.ReadImage("fixed.nrrd")
    assert one.GetSize() == fixed.GetSize() and one.GetSpacing() == fixed.GetSpacing()
    values = sitk.GetArrayFromImage(one)
    assert np.isfinite(values).all() and values.std() > 0
    assert synthesize("-o", "same.nrrd") == 0 and synthesize("-o", "other.nrrd", "--seed", "1") == 0
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage("same.nrrd")), values)
    assert np.abs(sitk.GetArrayFromImage(sitk.ReadImage("other.nrrd")) - values).max() > 0


def test_a_png_holds_eight_bits(folder):
    assert synthesize("-o", "one.nrrd") == 0 and synthesize("-o", "one.png") == 0
    picture = sitk.ReadImage("one.png")
    assert picture.GetPixelID() == sitk.sitkUInt8
    values = np.clip(sitk.GetArrayFromImage(sitk.ReadImage("one.nrrd")), 0, 1)
    np.testing.assert_allclose(sitk.GetArrayFromImage(picture), values * 255, atol=0.51)


def test_an_existing_file_is_replaced_only_on_request(folder, capsys):
    (folder / "one.nrrd").write_text("mine")
    assert synthesize("-o", "one.nrrd") == 1
    assert "exists" in capsys.readouterr().err and (folder / "one.nrrd").read_text(encoding="utf-8") == "mine"
    assert synthesize("-o", "one.nrrd", "--overwrite") == 0
    assert sitk.ReadImage("one.nrrd").GetDimension() == 2
    assert sorted(os.listdir(folder)) == ["fixed.nrrd", "moving.nrrd", "one.nrrd", "small.pt"]


def test_a_model_without_a_diffusion_network_is_refused(folder, small_model, capsys):
    configuration = dataclasses.replace(small_model(2).configuration, diffusion=None)
    save_model(folder / "control.pt", DiffuseMorph(configuration), {})
    assert synthesize("-o", "one.nrrd", "--model", "control.pt") == 1
    assert "needs a model with a diffusion network" in capsys.readouterr().err


def test_a_model_file_says_what_it_is(folder, capsys):
    assert main(["models", "small.pt"]) == 0
    text = capsys.readouterr().out
    for part in ("small (2-D images)", "For tests.", "None at all.", "CC0", "steps: 0"):
        assert part in text


def test_a_model_for_another_dimension_is_refused(folder, pair_3d, capsys):
    for name, image in zip(("fixed3", "moving3"), pair_3d):
        write_image(image, folder / f"{name}.nrrd")
    assert main(["register", "fixed3.nrrd", "moving3.nrrd", "-o", "result", "--model", "small.pt"]) == 1
    error = capsys.readouterr().err
    assert "small.pt" in error and "2-D" in error and not (folder / "result").exists()


def test_a_model_file_registers(folder):
    assert (
        main(
            [
                "register",
                "fixed.nrrd",
                "moving.nrrd",
                "-o",
                "result",
                "--model",
                "small.pt",
                "--align",
                "none",
                "--refine",
                "0",
                "--eta",
                "0.5",
                "--maps",
            ]
        )
        == 0
    )
    uncertainty = sitk.GetArrayFromImage(sitk.ReadImage("result/uncertainty.nrrd"))
    assert np.isfinite(uncertainty).all() and uncertainty.min() >= 0 and uncertainty.max() > 0
    assert sitk.ReadImage("result/jacobian.nrrd").GetSize() == sitk.ReadImage("result/moved.nrrd").GetSize()
