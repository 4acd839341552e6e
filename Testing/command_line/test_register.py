"""`diffusemorph register` from files to files, on small images and without a model, so that it takes seconds."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from DiffuseMorphCore.command_line import main
from DiffuseMorphCore.images import write_image

QUICK = ["--model", "none", "--device", "cpu", "--align", "rigid", "--refine", "20"]


@pytest.fixture(scope="module")
def files(tmp_path_factory, pair_3d):
    """Files of a small 3-D pair with labels: the image brighter than half, and a part of it."""
    folder = tmp_path_factory.mktemp("pair")
    for name, image in zip(("fixed", "moving"), pair_3d):
        write_image(sitk.Cast(image * 10, sitk.sitkInt16), folder / f"{name}.nii.gz")
        labels = sitk.Cast(image > 60, sitk.sitkUInt8) + sitk.Cast(image > 150, sitk.sitkUInt8)
        write_image(labels, folder / f"{name}_labels.nii.gz")
        write_image(sitk.Cast(image > 1, sitk.sitkUInt8), folder / f"{name}_mask.nii.gz")
    return folder


@pytest.fixture(scope="module")
def result(files, tmp_path_factory):
    """The folder of one registration with everything asked for."""
    output = tmp_path_factory.mktemp("out") / "result"
    code = main(
        [
            "register",
            str(files / "fixed.nii.gz"),
            str(files / "moving.nii.gz"),
            "--output",
            str(output),
            *QUICK,
            "--moving-labels",
            str(files / "moving_labels.nii.gz"),
            "--fixed-labels",
            str(files / "fixed_labels.nii.gz"),
            "--fixed-mask",
            str(files / "fixed_mask.nii.gz"),
            "--frames",
            "3",
            "--maps",
        ]
    )
    assert code == 0
    return output


def read(path):
    return sitk.ReadImage(str(path))


def array(path) -> np.ndarray:
    return sitk.GetArrayFromImage(read(path)).astype(np.float64)


def test_the_folder_is_complete_and_alone(result):
    assert os.listdir(result.parent) == ["result"]
    assert sorted(os.listdir(result)) == [
        "deformation.npz",
        "inverse_transform.h5",
        "jacobian.nii.gz",
        "moved.nii.gz",
        "moved_labels.nii.gz",
        "preview.png",
        "report.html",
        "report.json",
        "trajectory",
        "trajectory.gif",
        "transform.h5",
        "uncertainty.nii.gz",
    ]
    assert sorted(os.listdir(result / "trajectory")) == [
        "frame_1_eta_0.000.nii.gz",
        "frame_2_eta_0.500.nii.gz",
        "frame_3_eta_1.000.nii.gz",
    ]


def test_the_uncertainty_is_a_map_and_two_figures_in_millimetres(result, files):
    assert read(result / "uncertainty.nii.gz").GetSize() == read(files / "fixed.nii.gz").GetSize()
    figures = json.loads((result / "report.json").read_text(encoding="utf-8"))["uncertainty_mm"]
    assert 0 < figures["mean"] < figures["percentile_95"] <= array(result / "uncertainty.nii.gz").max()


def test_moved_lies_on_the_fixed_grid_in_the_moving_type_and_is_closer(result, files):
    moved, fixed = read(result / "moved.nii.gz"), read(files / "fixed.nii.gz")
    assert moved.GetPixelID() == sitk.sitkInt16
    assert moved.GetSize() == fixed.GetSize() and moved.GetSpacing() == fixed.GetSpacing()
    np.testing.assert_allclose(moved.GetOrigin(), fixed.GetOrigin(), atol=1e-4)
    target = array(files / "fixed.nii.gz")
    before = np.abs(array(files / "moving.nii.gz") - target).mean()
    after = np.abs(array(result / "moved.nii.gz") - target).mean()
    assert after < 0.6 * before


def test_the_transform_gives_the_moved_image_in_simpleitk(result, files):
    transform = sitk.ReadTransform(str(result / "transform.h5"))
    again = sitk.Resample(read(files / "moving.nii.gz"), read(files / "fixed.nii.gz"), transform, sitk.sitkLinear)
    difference = np.abs(sitk.GetArrayFromImage(again).astype(float) - array(result / "moved.nii.gz"))
    intensities = np.ptp(array(files / "moving.nii.gz"))
    assert difference.mean() < 0.002 * intensities and np.percentile(difference, 99) < 0.02 * intensities


def test_the_inverse_transform_undoes_the_transform(result):
    there = sitk.ReadTransform(str(result / "transform.h5"))
    back = sitk.ReadTransform(str(result / "inverse_transform.h5"))
    points = np.random.default_rng(0).uniform(-22, 22, (100, 3))
    errors = [np.linalg.norm(np.array(back.TransformPoint(there.TransformPoint(point))) - point) for point in points]
    assert np.mean(errors) < 0.2 and np.max(errors) < 1.0  # mm: a tenth and half of a voxel


def test_labels_move_with_the_image_and_stay_labels(result, files):
    labels = read(result / "moved_labels.nii.gz")
    assert labels.GetPixelID() == sitk.sitkUInt8
    assert set(np.unique(sitk.GetArrayFromImage(labels))) == {0, 1, 2}
    report = json.loads((result / "report.json").read_text(encoding="utf-8"))
    assert report["dice"]["moved"]["mean"] > report["dice"]["aligned"]["mean"]
    moved, target = array(result / "moved_labels.nii.gz"), array(files / "fixed_labels.nii.gz")
    overlap = 2 * ((moved == 2) & (target == 2)).sum() / ((moved == 2).sum() + (target == 2).sum())
    assert report["dice"]["moved"]["labels"]["2"] == pytest.approx(overlap)


def test_the_report_says_what_was_done(result, files):
    report = json.loads((result / "report.json").read_text(encoding="utf-8"))
    assert report["similarity"]["registered"] > report["similarity"]["initial"]
    assert report["folding"]["share"] == 0
    assert 0 < report["displacement_mm"]["mean"] < report["displacement_mm"]["max"] < 20
    assert all(seconds >= 0 for seconds in report["seconds"].values()) and sum(report["seconds"].values()) > 0
    for key in ("device", "model", "settings", "versions"):
        assert key in report
    assert report["eta"] == 1.0
    assert report["files"]["fixed"] == str(files / "fixed.nii.gz")
    assert "moved.nii.gz" in report["results"]


def test_the_frames_go_from_aligned_to_registered(result, files):
    target = array(files / "fixed.nii.gz")
    names = sorted((result / "trajectory").iterdir())
    distances = [np.abs(array(name) - target).mean() for name in names]
    assert distances[0] > distances[1] > distances[2]
    np.testing.assert_array_equal(array(names[-1]), array(result / "moved.nii.gz"))


def test_the_map_of_volume_change_is_that_of_the_transform(result, files):
    field = sitk.TransformToDisplacementField(
        sitk.ReadTransform(str(result / "transform.h5")),
        sitk.sitkVectorFloat64,
        *(getattr(read(files / "fixed.nii.gz"), f"Get{what}")() for what in ("Size", "Origin", "Spacing", "Direction")),
    )
    determinant = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field))
    ours = array(result / "jacobian.nii.gz")
    assert ours.min() > 0
    inner = (slice(3, -3),) * 3  # the rigid alignment, whose determinant is 1, is not part of the map
    assert np.corrcoef(ours[inner].ravel(), determinant[inner].ravel())[0, 1] > 0.95
    assert abs(ours[inner].mean() - determinant[inner].mean()) < 0.02


def test_the_pictures_can_be_opened(result):
    with Image.open(result / "preview.png") as picture:
        assert picture.width > 900 and picture.height > 300
        values = np.asarray(picture.convert("L")).astype(float)
        before, after = np.array_split(values[45:], 6, axis=1)[3:5]  # of the six columns, the two differences
        assert 0 < after.mean() < before.mean()
    with Image.open(result / "trajectory.gif") as picture:
        assert picture.n_frames == 4  # three frames forth, the middle one back
        first = np.asarray(picture.convert("L")).astype(float)
        picture.seek(2)
        assert np.abs(np.asarray(picture.convert("L")).astype(float) - first).max() > 30


def test_a_full_folder_is_refused_and_replaced_on_request(result, files, capsys):
    arguments = ["register", str(files / "fixed.nii.gz"), str(files / "moving.nii.gz"), "--output", str(result), *QUICK]
    before = {path.name: path.stat().st_mtime_ns for path in result.iterdir()}
    assert main(arguments) == 1
    assert "exists and is not empty" in capsys.readouterr().err
    assert {path.name: path.stat().st_mtime_ns for path in result.iterdir()} == before


def test_overwrite_replaces_the_whole_result(files, tmp_path):
    output = tmp_path / "result"
    arguments = [
        "register",
        str(files / "fixed.nii.gz"),
        str(files / "moving.nii.gz"),
        "-o",
        str(output),
        "--model",
        "none",
        "--align",
        "none",
        "--refine",
        "2",
    ]
    assert main([*arguments, "--frames", "2"]) == 0
    (output / "notes.txt").write_text("mine")
    assert main([*arguments, "--overwrite", "--eta", "0"]) == 0
    assert sorted(os.listdir(output)) == [
        "deformation.npz",
        "inverse_transform.h5",
        "moved.nii.gz",
        "notes.txt",
        "preview.png",
        "report.html",
        "report.json",
        "transform.h5",
    ]
    # At eta 0 without alignment the moving image is untouched, since both images lie on one grid.
    np.testing.assert_array_equal(array(output / "moved.nii.gz"), array(files / "moving.nii.gz"))


@pytest.mark.parametrize(
    ("extension", "kind"), [(".png", sitk.sitkUInt8), (".tif", sitk.sitkFloat32), (".nrrd", sitk.sitkUInt16)]
)
def test_two_dimensional_images_keep_format_and_type(pair_2d, tmp_path, extension, kind):
    for name, image in zip(("fixed", "moving"), pair_2d):
        write_image(sitk.Cast(image, kind), tmp_path / f"{name}{extension}")
    write_image(sitk.Cast(pair_2d[1] > 60, sitk.sitkUInt8), tmp_path / "labels.png")
    output = tmp_path / "result"
    assert (
        main(
            [
                "register",
                str(tmp_path / f"fixed{extension}"),
                str(tmp_path / f"moving{extension}"),
                "-o",
                str(output),
                *QUICK,
                "--moving-labels",
                str(tmp_path / "labels.png"),
            ]
        )
        == 0
    )
    moved = read(output / f"moved{extension}")
    assert moved.GetDimension() == 2 and moved.GetPixelID() == kind
    # Where the fixed image has a place in space, PNG would lose it.
    labels = read(output / f"moved_labels{'.nrrd' if extension == '.nrrd' else '.png'}")
    assert labels.GetPixelID() == sitk.sitkUInt8 and labels.GetOrigin() == moved.GetOrigin()
    target = sitk.GetArrayFromImage(sitk.Cast(pair_2d[0], kind)).astype(float)
    before = np.abs(sitk.GetArrayFromImage(sitk.Cast(pair_2d[1], kind)).astype(float) - target).mean()
    assert np.abs(array(output / f"moved{extension}") - target).mean() < 0.7 * before


def test_the_lines_on_the_terminal_name_the_picture(files, tmp_path, capsys):
    output = tmp_path / "result"
    assert (
        main(
            [
                "register",
                str(files / "fixed.nii.gz"),
                str(files / "moving.nii.gz"),
                "-o",
                str(output),
                "--model",
                "none",
                "--align",
                "none",
                "--refine",
                "1",
            ]
        )
        == 0
    )
    captured = capsys.readouterr()
    assert captured.err == ""
    assert str(output / "report.html") in captured.out and "Similarity" in captured.out and "mm" in captured.out
    assert len(captured.out.splitlines()) < 10
