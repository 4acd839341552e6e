"""`diffusemorph sequence` from frames to files."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore import load_result
from DiffuseMorphCore.command_line import main
from DiffuseMorphCore.evaluation.datasets.phantom import frame, frame_labels
from DiffuseMorphCore.images import dice, read_image

COUNT, SHAPE, PERSON = 6, (48, 48), 200000
TIMES = [float(np.sin(np.pi * number / COUNT) ** 2) + 1e-5 * number for number in range(COUNT)]
QUICK = ["--device", "cpu", "--threads", "1"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """A beating heart as slices in a 4-D file, with labels and points on frame 0."""
    folder = tmp_path_factory.mktemp("beat")
    slices = [sitk.JoinSeries([frame(PERSON, SHAPE, time)]) for time in TIMES]
    sitk.WriteImage(sitk.JoinSeries(slices, 0.0, 0.1), str(folder / "cine.nii.gz"))
    sitk.WriteImage(sitk.JoinSeries([frame_labels(PERSON, SHAPE, TIMES[0])]), str(folder / "labels.nii.gz"))
    (folder / "points.csv").write_text("x,y,z,label\n92,96,0,a\n70,90,0,b\n")
    return folder


@pytest.fixture(scope="module")
def result(inputs, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("result") / "beat"
    files = ["--labels", str(inputs / "labels.nii.gz"), "--points", str(inputs / "points.csv")]
    assert main(["sequence", str(inputs / "cine.nii.gz"), "-o", str(out), "--periodic", *files, *QUICK]) == 0
    return out


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_everything_is_written_and_nothing_else(result):
    pictures = ["curves.csv", "curves.png", "frames", "frames.gif", "labels.nii.gz", "mean_motion"]
    assert sorted(os.listdir(result)) == [
        *pictures,
        "reference.nii.gz",
        "registered.nii.gz",
        "report.html",
        "report.json",
        "tracks.csv",
    ]
    assert sorted(os.listdir(result / "frames")) == [f"{number:03d}" for number in range(COUNT)]
    report = json.loads((result / "report.json").read_text(encoding="utf-8"))
    assert report["settings"]["periodic"] and report["settings"]["reference"] == "first" and report["frames"] == COUNT
    assert report["times"] == pytest.approx([0.1 * number for number in range(COUNT)], abs=1e-6)
    page = (result / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/") == 2 and "cine.nii.gz" in page and "<script" not in page


def test_registered_frames_stand_still(inputs, result):
    before, after = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        for path in (inputs / "cine.nii.gz", result / "registered.nii.gz")
    )
    assert after.shape == before.shape == (COUNT, 1, *SHAPE)
    assert np.abs(after[3] - after[0]).mean() < 0.5 * np.abs(before[3] - before[0]).mean()


def test_labels_and_curves_follow_the_truth(result):
    carried = sitk.ReadImage(str(result / "labels.nii.gz"))
    for number, time in enumerate(TIMES):
        truth = sitk.JoinSeries([frame_labels(PERSON, SHAPE, time)])
        assert dice(carried[:, :, :, number], truth)["mean"] > 0.85
    curve = [float(row["label_3_mm2"]) for row in rows(result / "curves.csv")]
    true = [np.count_nonzero(sitk.GetArrayFromImage(frame_labels(PERSON, SHAPE, time)) == 3) * 16.0 for time in TIMES]
    np.testing.assert_allclose(curve, true, rtol=0.15)
    assert [float(row["time"]) for row in rows(result / "curves.csv")][2] == pytest.approx(0.2, abs=1e-5)


def test_points_are_where_the_transforms_of_apply_bring_them(result, inputs, tmp_path):
    table = rows(result / "tracks.csv")
    assert len(table) == 2 * COUNT and {row["point"] for row in table} == {"a", "b"}
    there = next(row for row in table if row["frame"] == "3" and row["point"] == "a")
    command = ["apply", str(result / "frames" / "003"), "--inverse", "--to", str(inputs / "points.csv")]
    assert main([*command, "-o", str(tmp_path / "on_3.csv")]) == 0
    moved = rows(tmp_path / "on_3.csv")[0]
    for axis in "xyz":
        assert float(there[axis]) == pytest.approx(float(moved[axis]), abs=1e-3)


def test_a_frame_is_read_back_without_registering(result, inputs):
    series = sitk.ReadImage(str(inputs / "cine.nii.gz"))
    back = load_result(result / "frames" / "003", result / "reference.nii.gz", series[:, :, :, 3])
    registered = sitk.ReadImage(str(result / "registered.nii.gz"))[:, :, :, 3]
    np.testing.assert_allclose(sitk.GetArrayFromImage(back.warp()), sitk.GetArrayFromImage(registered), atol=1e-5)


def test_a_folder_of_pictures_the_mean_and_transforms(inputs, tmp_path, capsys):
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(4):
        picture = sitk.Cast(255 * frame(PERSON, SHAPE, TIMES[number]), sitk.sitkUInt8)
        sitk.WriteImage(picture, str(frames / f"{number}.png"))
    sitk.WriteImage(frame_labels(PERSON, SHAPE, TIMES[1]), str(tmp_path / "labels.png"))
    out = tmp_path / "out"
    options = [
        "--reference",
        "mean",
        "--format",
        "itk",
        "--labels",
        str(tmp_path / "labels.png"),
        "--labels-frame",
        "1",
    ]
    assert main(["sequence", str(frames), "-o", str(out), *options, *QUICK]) == 0
    assert "4 frames were registered" in capsys.readouterr().out
    assert (out / "frames" / "002" / "transform.h5").exists()
    labels = sitk.GetArrayFromImage(read_image(out / "labels.nii.gz"))
    drawn = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "labels.png")))
    np.testing.assert_array_equal(labels[1, 0], drawn)
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["reference"] == "mean"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--labels-frame", "2"], 2, "give --labels, too"),
        (["--labels", "{labels}", "--labels-frame", "6"], 1, "no frame 6 for the labels: give 0 to 5"),
        (["--labels", "nowhere.nii.gz"], 1, "no file or folder 'nowhere.nii.gz'"),
        (["--points", "{labels}"], 1, "is no file of points"),
        (["--reference", "9"], 1, "give a number from 0 to 5"),
        (["--reference", "last"], 2, "must be 'first', 'mean' or the number of a frame"),
        (["--smoothing", "-1"], 2, "below 0"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_work(inputs, tmp_path, capsys, options, code, said):
    options = [each.format(labels=inputs / "labels.nii.gz") for each in options]
    assert main(["sequence", str(inputs / "cine.nii.gz"), "-o", str(tmp_path / "out"), *options, *QUICK]) == code
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1 and not (tmp_path / "out").exists()


def test_frames_inside_the_output_folder_are_kept(inputs, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "registered.nii.gz").write_bytes((inputs / "cine.nii.gz").read_bytes())
    name = str(tmp_path / "out" / "registered.nii.gz")
    assert main(["sequence", name, "-o", str(tmp_path / "out"), "--overwrite", *QUICK]) == 1
    assert "would be replaced" in capsys.readouterr().err and Path(name).exists()
