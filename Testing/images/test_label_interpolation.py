"""Labels by the largest share are those of each label interpolated alone; labels and intensities are told apart."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.images.kinds import looks_like_labels
from DiffuseMorphCore.images.label_shares import resample_label_shares


def blobs(size: tuple[int, ...], labels: tuple[int, ...], kind=np.uint16) -> sitk.Image:
    """A map of regions with bent borders, around each of the labels' seeds."""
    rng = np.random.default_rng(3)
    axes = np.stack(np.meshgrid(*(np.arange(n) for n in reversed(size)), indexing="ij"), axis=-1)
    seeds = rng.uniform(0, axes.shape[:-1], (len(labels), len(size)))
    nearest = np.linalg.norm(axes[..., None, :] - seeds, axis=-1).argmin(axis=-1)
    image = sitk.GetImageFromArray(np.array(labels, dtype=kind)[nearest])
    image.SetSpacing((1.0, 1.5, 2.0)[: len(size)])
    image.SetOrigin((-5.0, 3.0, 7.0)[: len(size)])
    return image


def turned(image: sitk.Image) -> sitk.Transform:
    ndim = image.GetDimension()
    centre = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    return sitk.Euler2DTransform(centre, 0.3, (0.4, 0.2)) if ndim == 2 else sitk.Euler3DTransform(centre, 0.3, 0.1, 0.2)


@pytest.mark.parametrize("size", [(31, 27), (18, 16, 14)])
def test_the_winner_is_the_label_that_itk_interpolates_highest(size):
    labels = blobs(size, (0, 3, 500, 65535, 9))
    transform = turned(labels)
    found = sitk.GetArrayFromImage(resample_label_shares(labels, labels, transform))
    ids = np.unique(sitk.GetArrayViewFromImage(labels))
    each = np.stack(
        [
            sitk.GetArrayFromImage(
                sitk.Resample(
                    sitk.Cast(labels == int(label), sitk.sitkFloat64),
                    labels,
                    transform,
                    sitk.sitkLinear,
                    float(label == 0),
                )
            )
            for label in ids
        ]
    )
    ranked = np.sort(each, axis=0)
    clear = ranked[-1] - ranked[-2] > 1e-5
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found[clear], ids[each.argmax(axis=0)][clear])


def test_labels_keep_their_numbers_and_an_identity_changes_nothing():
    labels = blobs((20, 17, 9), (0, 2**63 + 5, 7), np.uint64)
    same = resample_label_shares(labels, labels, sitk.Transform(3, sitk.sitkIdentity))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(same), sitk.GetArrayFromImage(labels))
    assert same.GetPixelID() == labels.GetPixelID() and same.GetOrigin() == labels.GetOrigin()


def test_outside_stands_zero_and_a_single_slice_keeps_its_labels():
    labels = sitk.GetImageFromArray(np.full((1, 6, 8), 4, np.uint8))
    moved = sitk.GetArrayFromImage(resample_label_shares(labels, labels, sitk.TranslationTransform(3, (3.0, 0, 0.4))))
    assert (moved[0, :, :5] == 4).all() and (moved[0, :, 5:] == 0).all()


def test_an_oblique_border_is_smoother_than_by_nearest_neighbour():
    """A half-space turned there and back: nearest neighbour frays its border, the largest share does not."""
    axes = np.meshgrid(*[np.arange(40)] * 3, indexing="ij")
    plane = sitk.GetImageFromArray((axes[0] + 0.4 * axes[1] + 0.2 * axes[2] > 30).astype(np.uint8))
    transform = turned(plane)

    def error(move):
        there = move(plane, transform)
        back = sitk.GetArrayFromImage(move(there, transform.GetInverse()))
        return np.count_nonzero((back != sitk.GetArrayFromImage(plane))[10:30, 10:30, 10:30])

    nearest = error(lambda image, t: sitk.Resample(image, image, t, sitk.sitkNearestNeighbor))
    assert error(lambda image, t: resample_label_shares(image, image, t)) < 0.8 * nearest


def test_labels_are_told_from_intensities():
    labels = blobs((40, 40, 20), tuple(range(12)))
    noise = np.random.default_rng(0).normal(0, 3, (20, 40, 40))
    for kind in (np.uint8, np.int16, np.float32):
        as_kind = sitk.GetImageFromArray(sitk.GetArrayFromImage(labels).astype(kind))
        assert looks_like_labels(as_kind)
        grey = sitk.GetImageFromArray((10 * sitk.GetArrayFromImage(labels) + noise + 20).clip(0).astype(kind))
        assert not looks_like_labels(grey)
    assert not looks_like_labels(labels / 7.0)
    assert not looks_like_labels(sitk.Compose([labels] * 3)), "colours are no labels"


def test_a_file_that_says_it_holds_labels_is_believed():
    noise = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 200, (12, 12, 12), np.uint8))
    assert not looks_like_labels(noise)
    for key, value in (("intent_code", "1002"), ("Segment0_Name", "liver")):
        told = sitk.Image(noise)
        told.SetMetaData(key, value)
        assert looks_like_labels(told)
