"""Images from numpy and nibabel lie where their files would, or are refused in one sentence."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import as_image, image_from_array, read_image


def oblique() -> np.ndarray:
    """An affine matrix (RAS, mm): turned about two axes, voxels of 1.5 × 2 × 3 mm, the first axis to the left."""
    a, b = 0.3, -0.2
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.5, 2.0, 3.0])
    affine[:3, 3] = (12.0, -40.0, 7.5)
    return affine


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, ">i2"])
def test_a_nibabel_image_is_what_its_file_is(tmp_path, kind):
    values = np.random.default_rng(0).integers(0, 120, (12, 10, 9)).astype(kind)
    image = nibabel.Nifti1Image(values, oblique())
    nibabel.save(image, tmp_path / "scan.nii.gz")
    from_file, (from_memory, name) = read_image(tmp_path / "scan.nii.gz"), as_image(image, "fixed image")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(from_memory), sitk.GetArrayFromImage(from_file))
    for what in ("Spacing", "Origin", "Direction"):
        np.testing.assert_allclose(getattr(from_memory, f"Get{what}")(), getattr(from_file, f"Get{what}")(), atol=1e-4)
    assert name == "fixed image" and from_memory.GetSize() == (12, 10, 9)
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(image_from_array(values, affine=image.affine)), sitk.GetArrayFromImage(from_file)
    )


def test_scaled_and_loaded_nibabel_images(tmp_path):
    image = nibabel.Nifti1Image(np.arange(1000, dtype=np.int16).reshape(10, 10, 10), np.eye(4))
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, tmp_path / "scan.nii")
    loaded = nibabel.load(tmp_path / "scan.nii")
    np.testing.assert_allclose(
        sitk.GetArrayFromImage(as_image(loaded, "x")[0]), sitk.GetArrayFromImage(read_image(tmp_path / "scan.nii"))
    )


def test_one_volume_in_four_dimensions_and_colours(tmp_path):
    affine = np.eye(4)
    assert image_from_array(np.zeros((12, 10, 9, 1), np.int16), affine=affine).GetSize() == (12, 10, 9)
    colours = np.random.default_rng(0).integers(0, 255, (12, 10, 9, 3)).astype(np.uint8)
    structured = colours.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    image = nibabel.Nifti1Image(structured, affine)
    nibabel.save(image, tmp_path / "colour.nii")
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(as_image(image, "x")[0]), sitk.GetArrayFromImage(read_image(tmp_path / "colour.nii"))
    )
    photo = image_from_array(colours[:, :, 0], spacing=0.5, colour=True)
    assert photo.GetSize() == (10, 12) and photo.GetNumberOfComponentsPerPixel() == 3


def test_spacing_is_in_the_order_of_simpleitk():
    image = image_from_array(np.zeros((9, 10, 12), bool), spacing=(1.5, 2.0, 3.0))
    assert (
        image.GetSize() == (12, 10, 9)
        and image.GetSpacing() == (1.5, 2.0, 3.0)
        and image.GetPixelID() == sitk.sitkUInt8
    )
    assert image_from_array(np.zeros((9, 10), np.float16), spacing=2).GetSpacing() == (2.0, 2.0)


NOTHING = np.zeros((9, 9, 9))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"array": NOTHING}, "either spacing or affine"),
        ({"array": NOTHING, "spacing": 1, "affine": np.eye(4)}, "either spacing or affine"),
        ({"array": NOTHING, "spacing": (1, 2)}, "3 lengths above 0"),
        ({"array": NOTHING, "spacing": (1, -2, 1)}, "3 lengths above 0"),
        ({"array": NOTHING, "spacing": "wide"}, "3 lengths above 0"),
        ({"array": NOTHING, "spacing": float("nan")}, "3 lengths above 0"),
        ({"array": NOTHING, "affine": np.eye(3)}, "4 × 4"),
        ({"array": NOTHING, "affine": "eye"}, "4 × 4"),
        ({"array": NOTHING, "affine": np.diag([1, 0, 1, 1])}, "no room"),
        ({"array": np.zeros(9), "spacing": 1}, "1 dimensions"),
        ({"array": np.zeros((9, 9, 9, 4)), "spacing": 1}, "4 dimensions"),
        ({"array": np.zeros((0, 9, 9)), "spacing": 1}, "empty"),
        ({"array": NOTHING.astype(complex), "spacing": 1}, "real numbers"),
        ({"array": np.array([["a", "b"]]), "spacing": 1}, "real numbers"),
        ({"array": [[None]], "spacing": 1}, "real numbers"),
    ],
)
def test_arrays_that_make_no_image_are_refused(arguments, text):
    with pytest.raises(DiffuseMorphError, match=rf"^[^\n]*{text}[^\n]*\.$"):
        image_from_array(**arguments)


@pytest.mark.parametrize(
    "source", [NOTHING, torch.zeros(9, 9, 9), 3, None, [], [3], {"image": 1}, b"scan.nii", object()]
)
def test_what_is_no_image_is_refused(source):
    with pytest.raises(DiffuseMorphError, match=r"^The moving image [^\n]*image_from_array[^\n]*\.$"):
        as_image(source, "moving image")
