"""Guides of a registration do what they say, on phantoms whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore import register
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import dice
from DiffuseMorphCore.registration.landmarks import Landmarks

QUICK = {"model": "none", "align": "none", "device": "cpu", "refine": 12}
POINTS = np.random.default_rng(0).uniform(-15, 15, (12, 3))


def labels_of(image: sitk.Image) -> sitk.Image:
    return sitk.Cast(image > 60, sitk.sitkUInt8) + sitk.Cast(image > 150, sitk.sitkUInt8)


def test_landmarks_pull_and_their_distances_are_reported(pair_3d):
    """Landmarks 4 mm beside where the images would put them; all but one drawn by files' names."""
    plain = register(*pair_3d, **QUICK)
    moved = np.array([plain.transform().TransformPoint(point) for point in POINTS.tolist()]) + [4.0, 0.0, 0.0]
    result = register(*pair_3d, **QUICK, fixed_landmarks=POINTS, moving_landmarks=moved)
    found = result.report["landmarks_mm"]
    there = np.array([result.transform().TransformPoint(point) for point in POINTS.tolist()])
    assert found["registered"]["mean"] == pytest.approx(np.linalg.norm(there - moved, axis=1).mean(), abs=1e-3)
    assert found["registered"]["mean"] < 0.4 * np.linalg.norm([4.0, 0, 0]), "they were 4 mm off without"
    assert found["number"] == 12 and found["registered"]["mean"] < found["left_out"]["mean"] < 6
    assert result.report["folding"]["share"] == 0
    assert result.report["settings"]["landmarks"] == 12
    assert (
        "left_out"
        not in register(*pair_3d, **QUICK, fixed_landmarks=POINTS[:9], moving_landmarks=moved[:9]).report[
            "landmarks_mm"
        ]
    ), "of fewer than ten none is left out"


def test_a_higher_weight_pulls_harder(pair_3d):
    point = POINTS[:1]
    target = point + [3.0, 0, 0]
    left = [
        register(*pair_3d, **QUICK, fixed_landmarks=point, moving_landmarks=target, guide_weight=weight).report[
            "landmarks_mm"
        ]["registered"]["mean"]
        for weight in (0.05, 3.0)
    ]
    assert left[1] < 0.5 * left[0]


def test_landmarks_start_the_alignment(pair_3d):
    """A scan turned by more than any search would find is aligned by three points."""
    fixed, moving = pair_3d
    turn = sitk.Euler3DTransform((0, 0, 0), 0.0, 0.0, 2.2, (60.0, -30.0, 15.0))
    placed = sitk.Image(moving)
    placed.SetDirection(turn.GetMatrix())
    placed.SetOrigin(turn.TransformPoint(moving.GetOrigin()))
    there = np.array([turn.TransformPoint(point) for point in POINTS[:4].tolist()])
    result = register(fixed, placed, **(QUICK | {"align": "rigid"}), fixed_landmarks=POINTS[:4], moving_landmarks=there)
    assert result.report["landmarks_mm"]["initial"]["mean"] > 50
    assert result.report["landmarks_mm"]["aligned"]["mean"] < 4  # mm, as much as the images are bent


def test_the_best_rigid_start_is_known_and_few_points_only_shift():
    turn = sitk.Euler3DTransform((1, 2, 3), 0.4, -0.3, 2.0, (5.0, 6.0, 7.0))
    there = np.array([turn.TransformPoint(point) for point in POINTS.tolist()])
    start = Landmarks(POINTS, there, ()).start()
    for point in POINTS.tolist():
        np.testing.assert_allclose(start.TransformPoint(point), turn.TransformPoint(point), atol=1e-9)
    shift = Landmarks(POINTS[:2], POINTS[:2] + 3, ()).start()
    np.testing.assert_allclose(shift.GetMatrix(), np.eye(3).ravel())
    np.testing.assert_allclose(shift.GetTranslation(), [3, 3, 3])
    line = np.outer(np.arange(5.0), [1.0, 2.0, 3.0])
    np.testing.assert_allclose(Landmarks(line, line[:, ::-1] + 1, ()).start().GetMatrix(), np.eye(3).ravel())


def test_labels_guide_where_the_images_show_nothing(pair_3d):
    fixed, moving = pair_3d
    noise = np.random.default_rng(0).normal(0, 1, sitk.GetArrayFromImage(fixed).shape).astype(np.float32)
    grey = [sitk.GetImageFromArray(noise), sitk.GetImageFromArray(noise[::-1].copy())]
    for image, place in zip(grey, pair_3d):
        image.CopyInformation(place)
    labels = labels_of(fixed), labels_of(moving)
    before = dice(*labels[::-1])["mean"]
    result = register(*grey, **(QUICK | {"modality": "same"}), guide_labels=labels)
    assert dice(labels[0], result.warp_labels(labels[1]))["mean"] > before + 0.5 * (1 - before)


def test_a_restricted_deformation_stays_in_its_axes(pair_3d):
    result = register(*pair_3d, **QUICK, restrict="x,y")
    vectors = result.vectors()
    assert np.abs(vectors[..., 2]).max() == 0 and np.abs(vectors[..., :2]).max() > 1
    inverse = np.array([result.warp_points(point) for point in POINTS])
    np.testing.assert_allclose(inverse[:, 2], POINTS[:, 2], atol=1e-6)
    assert result.report["folding"]["share"] == 0


@pytest.mark.parametrize("side", ["fixed_ignore", "moving_ignore"])
def test_a_lesion_neither_pulls_nor_changes_its_volume(pair_3d, side):
    images = [sitk.GetArrayFromImage(image) for image in pair_3d]
    z, y, x = np.indices(images[0].shape)
    ball = (z - 16) ** 2 + (y - 14) ** 2 + (x - 22) ** 2 < 25
    images[side == "moving_ignore"][ball] = 250
    pair = [sitk.GetImageFromArray(image) for image in images]
    mask = sitk.GetImageFromArray(ball.astype(np.uint8))
    for image in (*pair, mask):
        image.CopyInformation(pair_3d[0])

    def change(**options):
        result = register(*pair, **QUICK, **options)
        inside = sitk.GetArrayFromImage(result.warp_labels(mask) if side == "moving_ignore" else mask) > 0
        return np.abs(np.log(sitk.GetArrayFromImage(result.jacobian())[inside])).mean()

    assert change(**{side: mask}) < 0.08 < 0.3 < change()


def test_a_further_contrast_shows_what_the_first_does_not(pair_3d):
    """The first contrast is noise that says nothing; the second shows the motion."""
    noise = [np.random.default_rng(n).normal(0, 1, (32, 36, 40)).astype(np.float32) for n in range(2)]
    first = [sitk.GetImageFromArray(values) for values in noise]
    for image in first:
        image.CopyInformation(pair_3d[0])
    options = QUICK | {"modality": "same"}
    target = sitk.GetArrayFromImage(pair_3d[0])
    errors = [
        np.abs(sitk.GetArrayFromImage(register(*first, **options, **more).warp(pair_3d[1])) - target).mean()
        for more in ({}, {"also": [pair_3d]})
    ]
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"fixed_landmarks": POINTS}, "The moving landmarks are missing"),
        ({"fixed_landmarks": POINTS, "moving_landmarks": POINTS[:3]}, "are 12 and the moving landmarks 3"),
        ({"fixed_landmarks": POINTS + 900, "moving_landmarks": POINTS}, "None of the fixed landmarks lies"),
        (
            {"fixed_landmarks": np.vstack([POINTS, [1e300] * 3]), "moving_landmarks": np.vstack([POINTS, POINTS[:1]])},
            "Some of the fixed landmarks lie more than 100 times",
        ),
        ({"fixed_landmarks": "gone.csv", "moving_landmarks": POINTS}, "There is no file 'gone.csv'"),
        ({"restrict": "w"}, "option restrict is 'w'"),
        ({"guide_weight": "much"}, "option guide_weight is 'much'"),
        ({"guide_weight": -1}, "option guide_weight is '-1', but must be a number from 0 to 1000"),
        ({"guide_weight": 1e40}, "option guide_weight is '1e"),
        (
            {"also": [(sitk.GetImageFromArray(np.arange(400.0).reshape(20, 20)),) * 2]},
            "The images of contrast 2 are 2-D",
        ),
        ({"fixed_ignore": sitk.Image([20, 20], sitk.sitkUInt8)}, "The region to ignore in the fixed image is 2-D"),
    ],
)
def test_what_cannot_guide_is_refused(pair_3d, options, text):
    with pytest.raises(DiffuseMorphError, match=text):
        register(*pair_3d, **QUICK, **options)


def test_labels_without_a_common_number_are_refused(pair_3d):
    labels = labels_of(pair_3d[0])
    with pytest.raises(DiffuseMorphError, match="no label in common"):
        register(*pair_3d, **QUICK, guide_labels=(labels, labels * 10))


def test_a_region_that_marks_nothing_is_refused_by_its_name(pair_3d):
    with pytest.raises(DiffuseMorphError, match="The region to ignore in the moving image is empty"):
        register(*pair_3d, **QUICK, moving_ignore=sitk.Cast(pair_3d[1] > 1e9, sitk.sitkUInt8))


def test_a_note_counts_the_landmarks_without_a_partner(pair_3d, tmp_path):
    files = []
    for side, count in (("fixed", 6), ("moving", 4)):
        rows = "".join(f"p{n},{x},{y},{z}\n" for n, (x, y, z) in enumerate(POINTS[:count].tolist()))
        files.append(tmp_path / f"{side}.csv")
        files[-1].write_text(f"name,x,y,z\n{rows}")
    report = register(*pair_3d, **QUICK, fixed_landmarks=files[0], moving_landmarks=files[1]).report
    assert report["settings"]["landmarks"] == 4
    (note,) = (note for note in report["notes"] if "partner" in note)
    assert f"'{files[0]}' 2 have no partner" in note


def test_a_region_that_leaves_nothing_is_refused(pair_3d):
    everything = sitk.Cast(pair_3d[0] > -1e9, sitk.sitkUInt8)
    with pytest.raises(DiffuseMorphError, match="covers the whole image"):
        register(*pair_3d, **QUICK, moving_ignore=everything)
