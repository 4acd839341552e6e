"""`diffusemorph register` with guides, from files to files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore import load_result
from DiffuseMorphCore.command_line import main
from DiffuseMorphCore.images import write_image


@pytest.fixture(scope="module")
def files(tmp_path_factory, pair_3d):
    folder = tmp_path_factory.mktemp("guided")
    for name, image in zip(("fixed", "moving"), pair_3d):
        write_image(image, folder / f"{name}.nii.gz")
        write_image(sitk.Cast(image > 60, sitk.sitkUInt8), folder / f"{name}_labels.nii.gz")
        write_image(sitk.Cast(image > 150, sitk.sitkUInt8), folder / f"{name}_lesion.nii.gz")
    points = np.random.default_rng(0).uniform(-15, 15, (4, 3))
    for name, shift in (("fixed", 0.0), ("moving", 2.0)):
        rows = "".join(f"p{n},{x + shift},{y},{z}\n" for n, (x, y, z) in enumerate(points.tolist()))
        (folder / f"{name}.csv").write_text(f"name,x,y,z\n{rows}")
    return folder


def test_every_guide_from_files(files, tmp_path, capsys):
    def pair(kind: str) -> list[str]:
        return [str(files / f"{side}{kind}") for side in ("fixed", "moving")]

    images, points, labels, lesions = (pair(kind) for kind in (".nii.gz", ".csv", "_labels.nii.gz", "_lesion.nii.gz"))
    arguments = [
        "register",
        *images,
        "-o",
        str(tmp_path / "out"),
        "--model",
        "none",
        "--refine",
        "3",
        "--align",
        "none",
    ]
    arguments += ["--fixed-landmarks", points[0], "--moving-landmarks", points[1], "--guide-weight", "2"]
    arguments += ["--fixed-labels", labels[0], "--moving-labels", labels[1], "--guide-labels", "--also", *images]
    arguments += ["--fixed-ignore", lesions[0], "--moving-ignore", lesions[1], "--restrict", "x,z", "--align", "none"]
    assert main([*arguments, "--device", "cpu"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    settings = report["settings"]
    assert (settings["landmarks"], settings["guide_labels"], settings["further_contrasts"]) == (4, True, 1)
    assert (
        settings["ignored"] == ["fixed", "moving"] and settings["restrict"] == "x,z" and settings["guide_weight"] == 2
    )
    found = report["landmarks_mm"]
    assert found["initial"]["mean"] == 2 > found["registered"]["mean"]
    assert report["files"]["fixed_landmarks"] == points[0] and report["files"]["moving_2"] == images[1]
    assert any("no proof" in note for note in report["notes"])
    assert "Landmarks (4), mean distance: 2.0 mm before" in capsys.readouterr().out
    assert np.abs(load_result(tmp_path / "out").vectors()[..., 1]).max() == 0


def test_landmarks_that_fit_no_image_are_refused_in_one_sentence(files, tmp_path, capsys):
    (tmp_path / "far.csv").write_text("x,y,z\n900,900,900\n")
    images = [str(files / f"{side}.nii.gz") for side in ("fixed", "moving")]
    points = ["--fixed-landmarks", str(tmp_path / "far.csv"), "--moving-landmarks", str(files / "moving.csv")]
    assert main(["register", *images, "-o", str(tmp_path / "out"), *points]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and not (tmp_path / "out").exists()
