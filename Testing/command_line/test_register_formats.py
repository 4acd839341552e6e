"""`diffusemorph register` with files of every kind: what comes out keeps numbers and place."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.command_line import main

QUICK = ["--model", "none", "--device", "cpu", "--align", "none", "--refine", "1"]


def register(folder, fixed: str, moving: str, *more: str) -> int:
    return main(["register", str(folder / fixed), str(folder / moving), "-o", str(folder / "result"), *QUICK, *more])


@pytest.mark.parametrize(
    ("suffix", "kind", "delivered"),
    [
        (".mhd", sitk.sitkFloat32, ".nrrd"),
        (".vtk", sitk.sitkInt16, ".nrrd"),
        (".bmp", sitk.sitkUInt8, ".png"),
        (".jpg", sitk.sitkUInt8, ".png"),
    ],
)
def test_flat_images_in_any_format(pair_2d, tmp_path, suffix, kind, delivered):
    for name, image in zip(("fixed", "moving"), pair_2d):
        image = sitk.Image(image)
        if suffix in (".bmp", ".jpg"):
            image.SetOrigin((0.0, 0.0))
        sitk.WriteImage(sitk.Cast(image, kind), str(tmp_path / f"{name}{suffix}"))
    assert register(tmp_path, f"fixed{suffix}", f"moving{suffix}", "--maps", "--frames", "2") == 0
    fixed, moved = (
        sitk.ReadImage(str(path)) for path in (tmp_path / f"fixed{suffix}", tmp_path / f"result/moved{delivered}")
    )
    assert moved.GetSize() == fixed.GetSize() and moved.GetPixelID() == fixed.GetPixelID()
    np.testing.assert_allclose(moved.GetOrigin(), fixed.GetOrigin(), atol=1e-3)
    assert len(list((tmp_path / "result" / "trajectory").glob(f"*{delivered}"))) == 2


def test_a_place_that_a_header_cannot_hold_is_kept_in_another_format(pair_3d, tmp_path):
    for name, image in zip(("fixed", "moving"), pair_3d):
        image = sitk.Image(image)
        image.SetOrigin((np.array(image.GetOrigin()) + (123456789.321, -98765432.1, 55555555.5)).tolist())
        sitk.WriteImage(image, str(tmp_path / f"{name}.nrrd"))
    assert register(tmp_path, "fixed.nrrd", "moving.nrrd") == 0
    fixed, moved = (sitk.ReadImage(str(tmp_path / name)) for name in ("fixed.nrrd", "result/moved.nrrd"))
    np.testing.assert_allclose(moved.GetOrigin(), fixed.GetOrigin(), atol=1e-3)
    notes = json.loads((tmp_path / "result" / "report.json").read_text(encoding="utf-8"))["notes"]
    assert any(".nrrd, because .nii.gz cannot hold" in note for note in notes)


def labelled(image: sitk.Image, kind: int, ids: tuple[int, int]) -> sitk.Image:
    values = sitk.GetArrayFromImage(image)
    result = np.zeros(values.shape, kind)
    result[values > 60], result[values > 150] = ids
    labels = sitk.GetImageFromArray(result)
    labels.CopyInformation(image)
    return labels


def test_odd_label_maps(pair_2d, tmp_path, capsys):
    for name, image in zip(("fixed", "moving"), pair_2d):
        sitk.WriteImage(image, str(tmp_path / f"{name}.nrrd"))
        for tag, kind, ids in (
            ("zero", np.uint8, (0, 0)),
            ("u32", np.uint32, (4294967295, 3000000001)),
            ("i64", np.int64, (2**53 + 1, 5)),
        ):
            sitk.WriteImage(labelled(image, kind, ids), str(tmp_path / f"{name}_{tag}.nrrd"))
    for tag, ids in (("zero", set()), ("u32", {4294967295, 3000000001}), ("i64", {2**53 + 1, 5})):
        assert (
            register(
                tmp_path,
                "fixed.nrrd",
                "moving.nrrd",
                "--moving-labels",
                str(tmp_path / f"moving_{tag}.nrrd"),
                "--fixed-labels",
                str(tmp_path / f"fixed_{tag}.nrrd"),
                "--overwrite",
            )
            == 0
        )
        dice = json.loads((tmp_path / "result" / "report.json").read_text(encoding="utf-8"))["dice"]["moved"]
        assert {int(label) for label in dice["labels"]} == ids
        assert dice["mean"] is None if tag == "zero" else dice["mean"] > 0.7
        moved = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "result" / "moved_labels.nrrd")))
        assert set(np.unique(moved).tolist()) == ids | {0}
    away = sitk.ReadImage(str(tmp_path / "moving_u32.nrrd"))
    away.SetOrigin((1000.0, 1000.0))
    sitk.WriteImage(away, str(tmp_path / "away.nrrd"))
    capsys.readouterr()
    assert (
        register(tmp_path, "fixed.nrrd", "moving.nrrd", "--moving-labels", str(tmp_path / "away.nrrd"), "--overwrite")
        == 1
    )
    assert "lies wholly outside the moving image" in capsys.readouterr().err
