"""Sequences with known motion: made hearts, whose every point has a formula, and ways through time."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore import register_sequence
from DiffuseMorphCore.errors import Cancelled, DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.phantom import frame, frame_labels
from DiffuseMorphCore.evaluation.sequence import distances
from DiffuseMorphCore.images import dice
from DiffuseMorphCore.registration.sequence.curves import label_sizes
from DiffuseMorphCore.registration.sequence.fields import Fields, around, smoothed, weights
from DiffuseMorphCore.registration.sequence.fit import order

COUNT, SHAPE, PERSON = 10, (64, 64), 200000
TIMES = [float(np.sin(np.pi * number / COUNT) ** 2) + 1e-5 * number for number in range(COUNT)]  # noise goes by time
QUICK = {"threads": 1, "device": "cpu", "periodic": True}


@pytest.fixture(scope="module")
def beat() -> list[sitk.Image]:
    return [frame(PERSON, SHAPE, time) for time in TIMES]


@pytest.fixture(scope="module")
def found(beat):
    return register_sequence(beat, **QUICK)


def error(result) -> float:
    """Mean distance in mm from where points of the heart truly are, over the frames but the first."""
    return float(
        np.mean(
            [distances(result.registration(k).transform(), PERSON, SHAPE, TIMES[k]).mean() for k in range(1, COUNT)]
        )
    )


def test_points_go_where_they_truly_are_and_smoothing_brings_them_nearer(beat, found):
    alone = register_sequence(beat, smoothing=0, **QUICK)
    still = register_sequence(beat, smoothing=0, refine=0, **QUICK)
    assert error(found) < 0.85 * error(alone) < 0.4 * error(still)
    assert error(found) < 1.0  # mm, a third of a voxel
    assert found.report["smoothed"] == list(range(1, COUNT)) and alone.report["smoothed"] == []
    registered, before = (np.array(found.report["similarity"][name]) for name in ("registered", "before"))
    assert (registered >= before).all() and found.report["notes"] == []


def test_labels_and_their_sizes_follow_the_truth(found):
    drawn = frame_labels(PERSON, SHAPE, TIMES[0])
    carried = list(found.carry_labels(drawn, 0))
    truths = [frame_labels(PERSON, SHAPE, time) for time in TIMES]
    assert min(dice(one, truth)["mean"] for one, truth in zip(carried, truths)) > 0.9
    np.testing.assert_array_equal(sitk.GetArrayFromImage(carried[0]), sitk.GetArrayFromImage(drawn))
    sizes = np.array(label_sizes(found, drawn)[3])
    true = np.array([np.count_nonzero(sitk.GetArrayFromImage(truth) == 3) for truth in truths]) * 9.0  # mm² a voxel
    assert np.abs(sizes / true - 1).max() < 0.1
    assert sizes.argmin() == COUNT // 2 and sizes.min() < 0.6 * sizes[0]
    # Drawn at the end of systole instead, the same cavity comes back at the beginning.
    back = list(found.carry_labels(truths[5], 5))[0]
    assert dice(back, drawn)["labels"]["3"] > 0.88


def test_points_are_tracked_from_any_frame(found):
    points = np.array([[90.0, 90.0], [70.0, 95.0]])
    ways = found.track(points)
    assert ways.shape == (COUNT, 2, 2) and np.allclose(ways[0], points)
    np.testing.assert_allclose(found.track(ways[4], drawn_on=4), ways, atol=0.2)  # mm; a voxel has 3
    there = [found.registration(3).transform().TransformPoint(point) for point in points.tolist()]
    np.testing.assert_allclose(ways[3], there)


def test_a_cycle_has_no_beginning(beat, found):
    """Begun elsewhere in the cycle, with the same reference, every frame moves the same."""
    turned = register_sequence(beat[4:] + beat[:4], reference=COUNT - 4, **QUICK)
    for number in range(COUNT):
        one, other = found.fields[number], turned.fields[(number - 4) % COUNT]
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    assert turned.reference_frame == COUNT - 4


def test_the_mean_reference_lies_in_the_middle_of_all_times(beat, found):
    result = register_sequence(beat, reference="mean", **QUICK)
    assert result.reference_frame is None and result.reference.GetSize() == beat[0].GetSize()
    inside = sitk.GetArrayFromImage(frame_labels(PERSON, SHAPE, TIMES[0])) > 0
    mean = sum(result.fields[number] for number in range(COUNT))[0] / COUNT
    of_first = sum(found.fields[number] for number in range(COUNT))[0] / COUNT
    assert mean[:, inside].norm(dim=0).mean() < 0.3 * of_first[:, inside].norm(dim=0).mean()
    drawn = frame_labels(PERSON, SHAPE, TIMES[0])
    truth = frame_labels(PERSON, SHAPE, TIMES[5])
    assert dice(list(result.carry_labels(drawn, 0))[5], truth)["mean"] > 0.9


def test_the_weights_keep_parabolas_and_take_noise():
    for steps in ([-3, -2, -1, 0, 1, 2, 3], [0, 1, 2, 3], [-1, 0, 1, 2, 3]):
        own, times = weights(steps), np.array(steps, float)
        np.testing.assert_allclose(own @ (2 + 3 * times - 0.7 * times**2), 2, atol=1e-12)
        assert 0 < np.square(own).sum() < 1
    np.testing.assert_array_equal(weights([-1, 0, 1]), [0, 1, 0])


@pytest.mark.parametrize("shape", [(12, 10), (8, 9, 10)])
def test_ways_that_are_parabolas_stay_and_noise_gets_less(shape):
    random, fields, noisy = torch.Generator().manual_seed(0), Fields(), Fields()
    parts = [torch.randn((1, len(shape), *shape), generator=random) for _ in range(3)]
    for number in range(9):
        fields[number] = parts[0] + number * parts[1] - 0.3 * number**2 * parts[2]
        noisy[number] = torch.randn(parts[0].shape, generator=random)
    for number in (0, 1, 4, 8):
        torch.testing.assert_close(smoothed(fields, number, 3, 9, False), fields[number], atol=1e-3, rtol=0)
    assert smoothed(noisy, 4, 4, 9, True).std() < 0.6 * noisy[4].std()


def test_frames_around_go_round_a_cycle_once():
    assert around(0, 3, 5, periodic=True) == [-2, -1, 0, 1, 2]
    assert around(1, 3, 9, periodic=False) == [-1, 0, 1, 2, 3]


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("start", [0, 3, 6])
def test_every_frame_comes_once_after_a_neighbour(periodic, start):
    ways = order(7, start, periodic)
    assert sorted(number for number, _ in ways) == list(range(7)) and ways[0] == (start, None)
    for place, (number, neighbour) in enumerate(ways[1:], start=1):
        assert (number - neighbour) % 7 in (1, 6)
        assert neighbour in {each for each, _ in ways[:place]}
    if periodic:
        assert max(min((number - start) % 7, (start - number) % 7) for number, _ in ways) == 3


def test_a_frame_that_jumps_keeps_its_own_motion():
    jumped = [frame(PERSON, SHAPE, 1e-5 * number) for number in range(9)]
    jumped[4] = sitk.Resample(jumped[4], sitk.TranslationTransform(2, (6.0, 0.0)), sitk.sitkLinear, 0.1)
    result = register_sequence(jumped, **QUICK | {"periodic": False})
    # How many of the others are smoothed turns on the last digits of their noise, which the number of threads changes.
    assert 4 not in result.report["smoothed"] and len(result.report["smoothed"]) > 3
    assert "too quick" in result.report["notes"][0]
    middle = result.track([[96.0, 96.0]])[:, 0]
    assert np.linalg.norm(middle[4] - middle[0] - [-6, 0]) < 1.5
    for number in (1, 3, 5, 7):  # its neighbours are not drawn along
        assert distances(result.registration(number).transform(), PERSON, SHAPE, 0.0).mean() < 0.8


def test_frames_that_are_all_the_same_do_not_move(beat):
    result = register_sequence([beat[0]] * 5, **QUICK)
    assert all(not result.fields[number].any() for number in range(5))
    for moved in result.moved():
        np.testing.assert_allclose(sitk.GetArrayFromImage(moved), sitk.GetArrayFromImage(beat[0]), atol=1e-5)


def test_arrays_and_slices_of_volumes_give_what_images_give(beat):
    few = beat[:3]
    array = np.stack([sitk.GetArrayFromImage(image) for image in few])
    of_array = register_sequence(array, **QUICK)
    slices = register_sequence([sitk.JoinSeries([image]) for image in few], **QUICK)
    images = register_sequence(few, **QUICK)
    assert slices.registration(1).fixed.GetDimension() == 3
    torch.testing.assert_close(slices.fields[2], images.fields[2], atol=1e-4, rtol=0)
    assert of_array.reference.GetSpacing() == (1.0, 1.0) and of_array.fields[2].abs().max() > 0.2
    point = np.array([[90.0, 90.0]])
    three = slices.track(np.c_[point, [0.0]])[2, 0]
    np.testing.assert_allclose(three[:2], images.track(point)[2, 0], atol=1e-3)


def test_frames_whose_contrast_changes_are_registered(beat):
    changed = [image if number % 2 == 0 else 1.0 - image for number, image in enumerate(beat)]
    result = register_sequence(changed, modality="different", **QUICK)
    still = np.mean([distances(sitk.Transform(2, 0), PERSON, SHAPE, time).mean() for time in TIMES[1:]])
    assert error(result) < 0.6 * still


def test_progress_is_told_and_cancels(beat):
    told = []
    register_sequence(beat[:4], progress=lambda stage, fraction: told.append((stage, fraction)), **QUICK)
    stages = list(dict.fromkeys(stage for stage, _ in told))
    assert stages == ["prepare", "frames", "smooth", "deliver"]
    for stage in stages:
        fractions = [fraction for name, fraction in told if name == stage]
        assert fractions == sorted(fractions) and fractions[-1] <= 1
    with pytest.raises(Cancelled):
        register_sequence(beat[:4], progress=lambda stage, fraction: stage != "smooth", **QUICK)


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda frames: frames[:1], {}, "has 1 frame"),
        (lambda frames: [], {}, "has 0 frame"),
        (lambda frames: frames[:2] + [frames[0][:40]], {}, "frame 2 of the sequence lies on another grid"),
        (lambda frames: frames[:2] + [frames[0] * 0], {}, "frame 2 of the sequence is constant"),
        (lambda frames: frames[:3], {"reference": 3}, "give a number from 0 to 2"),
        (lambda frames: frames[:3], {"reference": "middle"}, "must be 'first', 'mean' or the number of a frame"),
        (lambda frames: frames[:3], {"reference": -1}, "must be 'first', 'mean' or the number of a frame"),
        (lambda frames: frames[:3], {"smooth": 2}, "did you mean smoothing"),
        (lambda frames: frames[0], {}, "has no axis of time"),
        (lambda frames: 7, {}, "are of the type int"),
        (lambda frames: "nowhere.nii.gz", {}, "no file or folder 'nowhere.nii.gz'"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(beat, change, options, said):
    with pytest.raises(DiffuseMorphError) as caught:
        register_sequence(change(beat), **QUICK | options)
    assert said in str(caught.value) and str(caught.value).count("\n") == 0


def test_labels_and_frames_that_are_not_there_are_refused(found, pair_3d):
    with pytest.raises(DiffuseMorphError, match="There is no frame 10"):
        found.registration(10)
    with pytest.raises(DiffuseMorphError, match="is 3-D"):
        list(found.carry_labels(pair_3d[0] > 60, 0))
