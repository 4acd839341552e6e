"""`diffusemorph register` from DICOM folders and from single slices."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.command_line import main
from DiffuseMorphCore.images import write_image

QUICK = ["--model", "none", "--device", "cpu", "--align", "rigid", "--refine", "20"]


def distance(first: sitk.Image, second: sitk.Image) -> float:
    return float(np.abs(sitk.GetArrayFromImage(first).astype(float) - sitk.GetArrayFromImage(second)).mean())


def test_a_dicom_series_onto_a_file(pair_3d, tmp_path, write_series):
    fixed, moving = (sitk.Cast(image * 10, sitk.sitkInt16) for image in pair_3d)
    write_image(fixed, tmp_path / "fixed.nii.gz")
    write_series(tmp_path / "series", moving)
    output = tmp_path / "result"
    assert main(["register", str(tmp_path / "fixed.nii.gz"), str(tmp_path / "series"), "-o", str(output), *QUICK]) == 0
    moved = sitk.ReadImage(str(output / "moved.nii.gz"))
    assert moved.GetPixelID() == sitk.sitkInt16 and moved.GetSize() == fixed.GetSize()
    assert distance(moved, fixed) < 0.6 * distance(moving, fixed)


def test_single_slices_of_volumes(pair_3d, tmp_path):
    fixed, moving = (image[:, :, 15:16] for image in pair_3d)
    write_image(fixed, tmp_path / "fixed.nii.gz")
    write_image(moving, tmp_path / "moving.nii.gz")
    output = tmp_path / "result"
    assert (
        main(
            [
                "register",
                str(tmp_path / "fixed.nii.gz"),
                str(tmp_path / "moving.nii.gz"),
                "-o",
                str(output),
                *QUICK,
                "--frames",
                "2",
            ]
        )
        == 0
    )
    moved = sitk.ReadImage(str(output / "moved.nii.gz"))
    assert moved.GetSize() == fixed.GetSize()
    np.testing.assert_allclose(moved.GetOrigin(), fixed.GetOrigin(), atol=1e-5)
    assert distance(moved, fixed) < 0.8 * distance(moving, fixed)
    again = sitk.Resample(moving, fixed, sitk.ReadTransform(str(output / "transform.h5")), sitk.sitkLinear)
    assert distance(again, moved) < 0.5


def test_an_initial_transform_is_taken(pair_3d, tmp_path):
    fixed, moving = pair_3d
    shift = sitk.TranslationTransform(3, (0.0, 300.0, 0.0))
    moving = sitk.Image(moving)
    moving.SetOrigin(shift.TransformPoint(moving.GetOrigin()))
    write_image(fixed, tmp_path / "fixed.nrrd")
    write_image(moving, tmp_path / "moving.nrrd")
    sitk.WriteTransform(shift, str(tmp_path / "shift.tfm"))
    assert (
        main(
            [
                "register",
                str(tmp_path / "fixed.nrrd"),
                str(tmp_path / "moving.nrrd"),
                "-o",
                str(tmp_path / "result"),
                "--model",
                "none",
                "--align",
                "none",
                "--refine",
                "20",
                "--initial-transform",
                str(tmp_path / "shift.tfm"),
            ]
        )
        == 0
    )
    target = sitk.GetArrayFromImage(fixed)
    before = np.abs(sitk.GetArrayFromImage(pair_3d[1]) - target).mean()
    assert (
        np.abs(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "result" / "moved.nii.gz"))) - target).mean()
        < 0.6 * before
    )
