"""Bad input is refused in one sentence, with exit code 1 or 2, without a traceback, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.command_line import main
from DiffuseMorphCore.images import write_image


@pytest.fixture()
def folder(tmp_path, pair_3d, pair_2d) -> Path:
    """A folder with a good pair and every kind of bad file."""
    fixed, moving = pair_3d
    images = {
        "fixed.nii.gz": fixed,
        "moving.nii.gz": moving,
        "flat.png": sitk.Cast(pair_2d[0], sitk.sitkUInt8),
        "constant.nrrd": fixed * 0 + 5,
        "nan.nrrd": fixed * float("nan"),
        "four.nii.gz": sitk.JoinSeries([fixed, moving]),
        "colour.nrrd": sitk.Compose(fixed, fixed, fixed),
        "thin.nrrd": fixed[:, :4, :4],
        "small_mask.nrrd": sitk.Cast(fixed[:20, :, :] > 0, sitk.sitkUInt8),
        "no_mask.nrrd": sitk.Cast(fixed * 0, sitk.sitkUInt8),
        "fraction.nrrd": fixed + 0.5,
    }
    away = sitk.Image(moving)
    away.SetOrigin((5000.0, 0.0, 0.0))
    images["away.nrrd"] = away
    partly = sitk.Image(moving)
    partly[3, 3, 3] = float("nan")
    images["partly.nrrd"] = partly
    for name, image in images.items():
        write_image(image, tmp_path / name)
    (tmp_path / "text.txt").write_text("no image")
    (tmp_path / "empty.nii.gz").touch()
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "fixed.nii.gz").read_bytes()[:5000])
    (tmp_path / "series").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "broken.pt").write_bytes(b"PK\x03\x04" + bytes(400))
    (tmp_path / "text.tfm").write_text("no transform")
    return tmp_path


def listing(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def is_one_sentence(text: str) -> bool:
    return text.endswith(".\n") and text.count("\n") == 1 and "Traceback" not in text


BAD = [
    (["fixed.nii.gz", "absent.nii.gz"], "absent.nii.gz", 1),
    (["text.txt", "moving.nii.gz"], "text.txt", 1),
    (["empty.nii.gz", "moving.nii.gz"], "empty.nii.gz", 1),
    (["cut.nii.gz", "moving.nii.gz"], "cut.nii.gz", 1),
    (["series", "moving.nii.gz"], "series", 1),
    (["constant.nrrd", "moving.nii.gz"], "constant.nrrd", 1),
    (["fixed.nii.gz", "nan.nrrd"], "nan.nrrd", 1),
    (["fixed.nii.gz", "four.nii.gz"], "four.nii.gz", 1),
    (["colour.nrrd", "moving.nii.gz"], "colour.nrrd", 1),
    (["fixed.nii.gz", "thin.nrrd"], "thin.nrrd", 1),
    (["fixed.nii.gz", "flat.png"], "2-D|dimension", 1),
    (["fixed.nii.gz", "away.nrrd", "--align", "none"], "overlap", 1),
    (["fixed.nii.gz", "moving.nii.gz", "--fixed-mask", "small_mask.nrrd"], "mask", 1),
    (["fixed.nii.gz", "moving.nii.gz", "--moving-mask", "no_mask.nrrd"], "mask", 1),
    (["fixed.nii.gz", "moving.nii.gz", "--moving-mask", "absent.nrrd"], "absent.nrrd", 1),
    (["fixed.nii.gz", "moving.nii.gz", "--moving-labels", "fraction.nrrd"], "fraction.nrrd", 1),
    (["fixed.nii.gz", "moving.nii.gz", "--initial-transform", "text.tfm"], "text.tfm", 1),
    (["fixed.nii.gz", "moving.nii.gz", "--model", "nonsense"], "nonsense", 1),
    (["fixed.nii.gz", "moving.nii.gz", "--restrict", "q"], "restrict", 2),
    (["fixed.nii.gz", "moving.nii.gz", "--guide-weight", "nan"], "guide_weight", 2),
    (["fixed.nii.gz", "moving.nii.gz", "--intensity-range", "7", "3"], "intensity_range", 2),
    (["fixed.nii.gz", "moving.nii.gz", "--model", "broken.pt"], "broken.pt", 1),
    (["fixed.nii.gz", "moving.nii.gz", "--device", "abacus"], "abacus", 2),
    (["fixed.nii.gz", "moving.nii.gz", "--eta", "1.5"], "1.5", 2),
]


@pytest.mark.parametrize(("arguments", "text", "code"), BAD, ids=[" ".join(case[0]) for case in BAD])
def test_bad_input_is_refused(folder, monkeypatch, capsys, arguments, text, code):
    import re

    monkeypatch.chdir(folder)
    before = listing(folder)
    model = [] if "--model" in arguments else ["--model", "none"]
    assert main(["register", *arguments, *model, "--refine", "1", "--output", "made/result"]) == code
    captured = capsys.readouterr()
    assert is_one_sentence(captured.err), captured.err
    assert re.search(text, captured.err) and captured.out == ""
    assert listing(folder) == before


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("full", "not empty"),
        ("text.txt", "is a file"),
        ("text.txt/below", "cannot be made"),
        ("/proc/result", "cannot be made"),
    ],
)
def test_bad_output_is_refused_before_any_work(folder, monkeypatch, capsys, output, text):
    monkeypatch.chdir(folder)
    before = listing(folder)
    assert main(["register", "fixed.nii.gz", "moving.nii.gz", "--model", "none", "--output", output]) == 1
    captured = capsys.readouterr()
    assert is_one_sentence(captured.err) and text in captured.err
    assert listing(folder) == before


def test_some_values_that_are_not_numbers_are_filled_and_said(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert (
        main(
            [
                "register",
                "fixed.nii.gz",
                "partly.nrrd",
                "--model",
                "none",
                "--align",
                "none",
                "--refine",
                "1",
                "--output",
                "result",
            ]
        )
        == 0
    )
    assert "not finite" in capsys.readouterr().out
    assert "not finite" in (folder / "result" / "report.json").read_text(encoding="utf-8")
    moved = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "result" / "moved.nii.gz")))
    assert np.isfinite(moved).all()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["fixed.nii.gz", "moving.nii.gz", "-o", "out.foo"], "'.foo' is unknown"),
        (["fixed.nii.gz", "moving.nii.gz", "-o", "nowhere/out.nii.gz"], "no folder 'nowhere'"),
        (["fixed.nii.gz", "moving.nii.gz", "-o", "text.txt"], "exists"),
        (["fixed.nii.gz", "moving.nii.gz", "-o", "out.nii.gz", "--model", "nonsense"], "nonsense"),
    ],
)
def test_bad_requests_for_a_synthetic_image_are_refused(folder, monkeypatch, capsys, arguments, text):
    monkeypatch.chdir(folder)
    before = listing(folder)
    assert main(["synthesize", *arguments]) == 1
    captured = capsys.readouterr()
    assert is_one_sentence(captured.err) and text in captured.err
    assert listing(folder) == before


def test_bad_settings_of_a_training_run_are_refused(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (folder / "broken.toml").write_text("[model\n")
    before = listing(folder)
    for name in ("absent.toml", "broken.toml"):
        assert main(["train", name]) == 1
        captured = capsys.readouterr()
        assert is_one_sentence(captured.err) and name in captured.err
    assert main(["train", "--example", "nonsense"]) == 1
    assert is_one_sentence(capsys.readouterr().err)
    assert listing(folder) == before


@pytest.mark.parametrize("image", ["text.txt", "cut.nii.gz", "colour.nrrd", "broken.png"])
def test_the_real_process_says_one_sentence(folder, repository, image):
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")  # libpng itself writes to stderr
    before = listing(folder)
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "DiffuseMorphCore",
            "register",
            image,
            "moving.nii.gz",
            "-o",
            "result",
            "--model",
            "none",
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1 and run.stdout == ""
    assert is_one_sentence(run.stderr) and image in run.stderr
    assert listing(folder) == before
