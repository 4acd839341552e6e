"""Labels keep their numbers, on the way through a transform and in the overlap."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import check_image, dice, resample_labels
from DiffuseMorphCore.images.labels import inside_share

IDENTITY = sitk.Transform(2, sitk.sitkIdentity)


def label_map(kind, ids) -> sitk.Image:
    values = np.zeros((12, 14), kind)
    values[2:6, 3:9], values[7:10, 4:8] = ids
    return sitk.GetImageFromArray(values)


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        (np.uint8, (1, 2)),
        (np.int16, (-5, 300)),
        (np.uint32, (4294967295, 3000000001)),
        (np.int64, (2**53 + 1, -(2**53) - 3)),
        (np.uint64, (2**64 - 1, 2**63)),
        (np.float32, (3.0, 7.0)),
        (np.float64, (2.0**40, 1.0)),
    ],
)
def test_every_label_comes_through_exactly(kind, ids):
    labels = label_map(kind, ids)
    moved = resample_labels(labels, labels, sitk.TranslationTransform(2, (0.0, -1.0)))
    assert moved.GetPixelID() == labels.GetPixelID()
    expected = np.zeros((12, 14), kind)
    expected[1:] = sitk.GetArrayFromImage(labels)[:-1]
    np.testing.assert_array_equal(sitk.GetArrayFromImage(moved), expected)
    overlap = dice(labels, moved)
    assert overlap["labels"] == pytest.approx({str(int(ids[0])): 2 * 18 / 48, str(int(ids[1])): 2 * 8 / 24})
    assert overlap["mean"] == pytest.approx((0.75 + 2 / 3) / 2)


def test_overlap_without_any_label_and_with_labels_in_one_map_only():
    empty = label_map(np.uint8, (0, 0))
    assert dice(empty, empty) == {"mean": None, "labels": {}}
    assert dice(empty, label_map(np.uint8, (1, 2))) == {"mean": 0.0, "labels": {"1": 0.0, "2": 0.0}}


def test_types_of_two_maps_may_differ():
    assert dice(label_map(np.int64, (2**53 + 1, 5)), label_map(np.uint64, (2**53 + 1, 5)))["mean"] == 1
    assert dice(label_map(np.uint8, (1, 2)), label_map(np.float32, (1, 2)))["mean"] == 1
    assert dice(label_map(np.int64, (2**53 + 1, 5)), label_map(np.uint64, (2**53, 5)))["mean"] == pytest.approx(1 / 3)


def test_labels_off_whole_numbers_by_rounding_are_rounded_and_said():
    labels = label_map(np.float32, (3.00005, 2.0))
    notes: list[str] = []
    clean = check_image(labels, "seg", labels=True, notes=notes)
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(clean), sitk.GetArrayFromImage(label_map(np.float32, (3.0, 2.0)))
    )
    assert len(notes) == 1 and "24 voxels were off whole numbers" in notes[0]
    with pytest.raises(DiffuseMorphError, match="whole numbers"):
        check_image(label_map(np.float32, (3.4, 2.0)), "seg", labels=True)


def test_what_is_not_finite_counts_as_outside():
    labels = label_map(np.float32, (np.nan, 2.0))
    labels[0, 0] = float("inf")
    notes: list[str] = []
    clean = sitk.GetArrayFromImage(check_image(labels, "mask", labels=True, notes=notes))
    np.testing.assert_array_equal(clean, sitk.GetArrayFromImage(label_map(np.float32, (0.0, 2.0))))
    assert "25 voxels were not finite" in notes[0]


def test_grey_stored_as_colour_is_a_label_map_and_colours_are_not():
    labels = label_map(np.uint8, (1, 2))
    assert check_image(sitk.Compose([labels] * 3), "seg", labels=True).GetNumberOfComponentsPerPixel() == 1
    with pytest.raises(DiffuseMorphError, match="one number per voxel"):
        check_image(sitk.Compose(labels, labels + 1, labels), "seg", labels=True)


def test_the_share_of_labels_inside_an_image():
    labels = label_map(np.uint8, (1, 2))
    image = sitk.Image(labels)
    assert inside_share(labels, image) == 1
    image.SetOrigin((0.0, 6.6))
    assert inside_share(labels, image) == pytest.approx(12 / 36)
    image.SetOrigin((1000.0, 0.0))
    assert inside_share(labels, image) == 0
    assert inside_share(label_map(np.uint8, (0, 0)), image) is None
