"""A result that is read back does what the registration did, at every eta."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore import load_result, register
from DiffuseMorphCore.command_line import main
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import write_image
from DiffuseMorphCore.registration.saved import DEFORMATION, read_deformation, write_deformation

POINTS = np.random.default_rng(0).uniform(-30, 30, (50, 3))


def test_the_deformation_comes_back_at_every_eta(pair_3d, tmp_path):
    result = register(*pair_3d, align="rigid", refine=0, device="cpu")
    write_deformation(result, tmp_path / DEFORMATION)
    mapping = read_deformation(tmp_path / DEFORMATION).mapping
    bend = float((result.displacement(0.5) - 0.5 * result.displacement(1.0)).abs().max())
    assert bend > 0.02, "along a straight path this tests little"
    for eta in (0.0, 0.3, 0.5, 1.0):
        error = float((mapping.path.at(eta).values - result.displacement(eta)).abs().max())
        assert error <= (0.0 if eta in (0.0, 1.0) else 1e-3 * bend)
    for point in POINTS.tolist():
        there = result.transform(0.7).TransformPoint(point)
        np.testing.assert_allclose(mapping.transform(0.7).TransformPoint(point), there, atol=1e-2 * bend)
        np.testing.assert_allclose(mapping.inverse_transform(0.7).TransformPoint(there), point, atol=0.3)


@pytest.fixture(scope="module")
def folder(pair_3d, tmp_path_factory):
    place = tmp_path_factory.mktemp("saved")
    for name, image in zip(("fixed", "moving"), pair_3d):
        write_image(image, place / f"{name}.nii.gz")
    arguments = ["--model", "none", "--align", "rigid", "--refine", "10", "--eta", "0.6", "--device", "cpu"]
    files = [str(place / "fixed.nii.gz"), str(place / "moving.nii.gz")]
    assert main(["register", *files, "-o", str(place / "result"), *arguments]) == 0
    return place


def test_a_folder_is_read_back_and_goes_to_any_eta(folder):
    result = load_result(folder / "result")
    moved = sitk.ReadImage(str(folder / "result" / "moved.nii.gz"))
    np.testing.assert_allclose(
        sitk.GetArrayFromImage(result.warp(eta=0.6)), sitk.GetArrayFromImage(moved), atol=1e-3, rtol=1e-4
    )
    target = sitk.GetArrayFromImage(result.fixed)
    errors = [np.abs(sitk.GetArrayFromImage(result.warp(eta=eta)) - target).mean() for eta in (0.0, 0.6, 1.0)]
    assert errors[0] > errors[1] > errors[2]
    assert result.options.refine == 10 and result.options.modality == result.report["modality"]["name"]
    assert float(sitk.GetArrayFromImage(result.jacobian()).min()) > 0


def test_an_uncertainty_needs_a_new_registration(folder):
    with pytest.raises(DiffuseMorphError, match="register again"):
        load_result(folder / "result").uncertainty()


def test_images_that_moved_are_given_and_others_refused(folder, tmp_path, pair_3d):
    result = tmp_path / "result"
    result.mkdir()
    for name in ("report.json", DEFORMATION):
        (result / name).write_bytes((folder / "result" / name).read_bytes())
    report = json.loads((result / "report.json").read_text(encoding="utf-8"))
    report["files"]["moving"] = str(tmp_path / "gone.nii.gz")
    (result / "report.json").write_text(json.dumps(report))
    with pytest.raises(DiffuseMorphError, match="gone.nii.gz.*give it as moving="):
        load_result(result)
    assert load_result(result, moving=pair_3d[1]).warp().GetSize() == pair_3d[0].GetSize()
    with pytest.raises(DiffuseMorphError, match="lies on another grid than the one that was registered"):
        load_result(result, moving=sitk.Shrink(pair_3d[1], [2, 2, 2]))


@pytest.mark.parametrize("damage", ["report.json", DEFORMATION])
def test_what_is_no_result_is_refused(folder, tmp_path, damage):
    with pytest.raises(DiffuseMorphError, match="holds no result of a registration"):
        load_result(tmp_path)
    for name in ("report.json", DEFORMATION):
        content = (folder / "result" / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2] if name == damage else content)
    with pytest.raises(DiffuseMorphError, match="damaged"):
        load_result(tmp_path)


def test_a_slice_comes_back_in_its_plane(tmp_path, pair_2d):
    """Two single slices, tilted in space."""
    tilt = sitk.VersorTransform((1, 0, 0), 0.5).GetMatrix()
    slices = []
    for image in pair_2d:
        volume = sitk.JoinSeries([image])
        volume.SetDirection(tilt)
        slices.append(volume)
    result = register(*slices, model="none", align="none", refine=10, device="cpu")
    write_deformation(result, tmp_path / DEFORMATION)
    mapping = read_deformation(tmp_path / DEFORMATION).mapping
    assert mapping.ndim == 3
    point = slices[0].TransformIndexToPhysicalPoint((30, 20, 0))
    np.testing.assert_allclose(mapping.transform().TransformPoint(point), result.transform().TransformPoint(point))
