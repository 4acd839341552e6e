"""What Python callers hand to register and to its result: any image, labels, points; else one sentence."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore import DiffuseMorphError, image_from_array, register

QUICK = {"model": None, "align": "none", "refine": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def result(pair_3d):
    return register(*pair_3d, **QUICK)


def as_nibabel(image: sitk.Image) -> nibabel.Nifti1Image:
    affine = np.diag([*image.GetSpacing(), 1.0])
    affine[:3, 3] = image.GetOrigin()
    return nibabel.Nifti1Image(sitk.GetArrayFromImage(image).T, np.diag([-1, -1, 1, 1]) @ affine)


def test_every_way_in_gives_the_same_result(pair_3d, result, tmp_path):
    expected = sitk.GetArrayFromImage(result.warp())
    for image, name in zip(pair_3d, ("fixed.nrrd", "moving.nrrd")):
        sitk.WriteImage(image, str(tmp_path / name))
    arrays = [image_from_array(sitk.GetArrayFromImage(image), spacing=image.GetSpacing()) for image in pair_3d]
    for pair in (
        [tmp_path / "fixed.nrrd", str(tmp_path / "moving.nrrd")],
        [as_nibabel(image) for image in pair_3d],
        arrays,
    ):
        np.testing.assert_allclose(sitk.GetArrayFromImage(register(*pair, **QUICK).warp()), expected, atol=0.5)


def test_points_come_back_in_the_shape_they_had(result):
    points = np.array([[1.0, 2.0, 3.0], [-4.0, 5.0, 6.0]])
    both = result.warp_points(points)
    assert both.shape == (2, 3)
    np.testing.assert_allclose(result.warp_points(points[0]), both[0])
    np.testing.assert_allclose(result.warp_points([[1, 2, 3]]), both[:1])
    assert result.warp_points([]).shape == result.warp_points(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize(
    "points",
    [[1.0, 2.0], 5.0, [[1, 2]], "here", None, [[1, 2, float("nan")]], [[[1, 2, 3]]], [[1, 2, 3], [4, 5]], {"x": 1}],
)
def test_what_are_no_points_is_refused(result, points):
    with pytest.raises(DiffuseMorphError, match=r"^[^\n]*points[^\n]*\.$"):
        result.warp_points(points)


def test_labels_and_images_may_be_files(result, pair_3d, tmp_path):
    labels = sitk.Cast(pair_3d[1] > 60, sitk.sitkUInt8)
    sitk.WriteImage(labels, str(tmp_path / "labels.nii.gz"))
    expected = sitk.GetArrayFromImage(result.warp_labels(labels))
    assert expected.max() == 1
    for source in (str(tmp_path / "labels.nii.gz"), tmp_path / "labels.nii.gz", as_nibabel(labels)):
        np.testing.assert_array_equal(sitk.GetArrayFromImage(result.warp_labels(source)), expected)
    sitk.WriteImage(pair_3d[1], str(tmp_path / "moving.nrrd"))
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(result.warp(tmp_path / "moving.nrrd")), sitk.GetArrayFromImage(result.warp())
    )


@pytest.mark.parametrize(
    "source", [np.zeros((9, 9, 9)), "absent.nii.gz", 7, sitk.Image([9, 9], sitk.sitkUInt8), [1, 2]]
)
def test_what_cannot_be_carried_along_is_refused(result, source):
    for call in (result.warp, result.warp_labels):
        with pytest.raises(DiffuseMorphError, match=r"^[^\n]*\.$"):
            call(source)


@pytest.mark.parametrize("mask", [np.ones((32, 36, 40)), "absent.nrrd", 1, []])
def test_masks_that_are_none_are_refused(pair_3d, mask):
    with pytest.raises(DiffuseMorphError, match=r"^[^\n]*\.$"):
        register(*pair_3d, fixed_mask=mask, **QUICK)


@pytest.mark.parametrize("transform", ["absent.h5", np.eye(4), 3, object()])
def test_initial_transforms_that_are_none_are_refused(pair_3d, transform):
    with pytest.raises(DiffuseMorphError, match=r"^[^\n]*\.$"):
        register(*pair_3d, initial_transform=transform, **QUICK)


def colour(image: sitk.Image, channels: int = 3) -> sitk.Image:
    parts = [
        sitk.Cast(sitk.Clamp(share * image, lowerBound=0, upperBound=255), sitk.sitkUInt8) for share in (1.0, 0.5, 0.8)
    ]
    return sitk.Compose([*parts, sitk.Image(parts[0]) * 0 + 255][:channels])


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_are_registered_by_their_grey_and_every_channel_is_warped(pair_2d, channels):
    fixed, moving = (colour(image, channels) for image in pair_2d)
    result = register(fixed, moving, model=None, align="none", refine=30, device="cpu")
    moved = result.warp()
    assert moved.GetPixelID() == moving.GetPixelID() and moved.GetNumberOfComponentsPerPixel() == channels
    target = sitk.GetArrayFromImage(fixed).astype(float)
    before = np.abs(sitk.GetArrayFromImage(moving) - target).mean(axis=(0, 1))
    after = np.abs(sitk.GetArrayFromImage(moved) - target).mean(axis=(0, 1))
    assert (after[:3] < 0.6 * before[:3]).all()


def test_a_slice_in_colour(pair_3d):
    fixed, moving = (colour(image)[:, :, 15:16] for image in pair_3d)
    moved = register(fixed, moving, **QUICK).warp()
    assert moved.GetSize() == fixed.GetSize() and moved.GetNumberOfComponentsPerPixel() == 3


def test_the_report_leaves_out_how_the_model_was_trained(pair_2d, small_model):
    model = small_model(2)
    model.information = {"name": "mine", "terms": "CC0", "recipe": {"settings": {"data": {"folder": "private"}}}}
    report = register(*pair_2d, model=model, align="none", refine=0, device="cpu").report
    assert report["model"] == {"name": "mine", "terms": "CC0", "canonical": False}
