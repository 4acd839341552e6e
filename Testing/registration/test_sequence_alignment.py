"""Frames of a head that moves: aligned one by one, whole ways, labels and sizes through alignment and deformation."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.command_line import main
from DiffuseMorphCore.images import dice
from DiffuseMorphCore.registration.saved import load_result
from DiffuseMorphCore.registration.sequence import register_sequence
from DiffuseMorphCore.registration.sequence.curves import label_sizes, motion_rows
from DiffuseMorphCore.sample_pair import sample_pair
from DiffuseMorphCore.transforms import transform_points

MOTIONS = [(0, 0, 0, 0), (3, 1, 0, 2), (20, -6, 4, 10)]  # mm along x, y, z, degrees about x
QUICK = {"threads": 1, "device": "cpu", "quality": "fast"}


@pytest.fixture(scope="module")
def head():
    """A brain on voxels of 4 mm with room around it."""
    brain = sitk.BinShrink(sitk.ReadImage(str(sample_pair()[0]), sitk.sitkFloat32), (2, 2, 2))
    return sitk.ConstantPad(brain, (6, 6, 6), (6, 6, 6))


@pytest.fixture(scope="module")
def truths(head):
    middle = head.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in head.GetSize()])
    return [
        sitk.Euler3DTransform(middle, float(np.deg2rad(turn)), 0.0, 0.0, [float(x) for x in shift])
        for *shift, turn in MOTIONS
    ]


@pytest.fixture(scope="module")
def frames(head, truths):
    return [sitk.Resample(head, head, truth.GetInverse(), sitk.sitkLinear, 0.0) for truth in truths]


@pytest.fixture(scope="module")
def points(head):
    inside = np.argwhere(sitk.GetArrayFromImage(head) > 60)[::40, ::-1].tolist()
    return np.array([head.TransformIndexToPhysicalPoint(index) for index in inside])


@pytest.fixture(scope="module")
def still(frames):
    return register_sequence(frames, align="rigid", refine=0, **QUICK)


def errors(result, truths, points):
    """Mean distance in mm of each frame's points from where they truly are."""
    ways = zip((result.registration(number).transform() for number in range(len(result))), truths)
    return [
        float(np.linalg.norm(transform_points(way, points) - transform_points(truth, points), axis=1).mean())
        for way, truth in ways
    ]


def test_frames_that_lie_elsewhere_are_aligned(still, truths, points):
    assert max(errors(still, truths, points)) < 1.0  # mm, a quarter of a voxel
    similarity = still.report["similarity"]
    assert all(a > b + 0.02 for a, b in zip(similarity["aligned"][1:], similarity["before"][1:]))
    assert still.report["settings"]["align"] == "rigid" and still.report["seconds"]["align"] > 0
    tracks = still.track(points[:5])
    np.testing.assert_allclose(tracks[2], transform_points(truths[2], points[:5]), atol=2.0)


def test_labels_and_sizes_go_the_whole_way(still, head, truths):
    labels = sitk.Cast(head > 90, sitk.sitkUInt8)
    carried = list(still.carry_labels(labels))
    expected = sitk.Resample(labels, head, truths[2].GetInverse(), sitk.sitkNearestNeighbor, 0)
    assert dice(carried[2], expected)["mean"] > 0.93
    sizes = label_sizes(still, labels)[1]
    np.testing.assert_allclose(sizes, sizes[0], rtol=1e-4)  # what is only moved keeps its size
    rows = motion_rows(still)
    assert rows[0]["mean_displacement_mm"] == 0 and 15 < rows[2]["mean_displacement_mm"] < 30


def test_what_grows_is_measured_by_an_affine_alignment(head):
    middle = head.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in head.GetSize()])
    grown = sitk.AffineTransform(3)
    grown.SetCenter(middle)
    grown.Scale(1.12)
    frames = [head, sitk.Resample(head, head, grown.GetInverse(), sitk.sitkLinear, 0.0)]
    result = register_sequence(frames, align="affine", refine=0, **QUICK)
    first, second = label_sizes(result, sitk.Cast(head > 90, sitk.sitkUInt8))[1]
    assert second / first == pytest.approx(1.12**3, rel=0.04)


def test_about_the_mean_of_aligned_frames(frames, truths, points):
    result = register_sequence(frames, align="rigid", reference="mean", refine=0, **QUICK)
    assert max(errors(result, truths, points)) < 1.0  # nothing bends, so the mean lies where the first frame does
    one, mean = (sitk.GetArrayFromImage(image) for image in (frames[0], result.reference))
    assert np.corrcoef(one.ravel(), mean.ravel())[0, 1] > 0.98


def test_alignment_and_deformation_are_one_way(frames, points):
    result = register_sequence(frames, align="rigid", refine=3, **QUICK)
    assert result.fields[2].abs().max() > 0.2  # voxels
    there = transform_points(result.registration(2).transform(), points)
    np.testing.assert_allclose(transform_points(result.whole(2).transform(), points), there, atol=0.3)
    back = transform_points(result.registration(2).inverse_transform(), there)
    assert np.linalg.norm(back - points, axis=1).mean() < 0.3


def test_in_the_shell(frames, points, truths, tmp_path, capsys):
    frames, truths = frames[::2], truths[::2]
    sitk.WriteImage(sitk.JoinSeries(frames, 0.0, 1.0), str(tmp_path / "head.nii.gz"))
    out = tmp_path / "out"
    command = ["sequence", str(tmp_path / "head.nii.gz"), "--output", str(out), "--align", "rigid", "--refine", "0"]
    assert main([*command, "--quality", "fast", "--threads", "1"]) == 0
    registered = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "registered.nii.gz")))
    before = sitk.GetArrayFromImage(frames[1])
    assert np.abs(registered[1] - registered[0]).mean() < 0.4 * np.abs(before - registered[0]).mean()
    frame = load_result(out / "frames" / "001", frames[0], frames[1]).transform()
    assert np.abs(transform_points(frame, points) - transform_points(truths[1], points)).mean() < 1.0
    assert json.loads((out / "report.json").read_text())["settings"]["align"] == "rigid"
    mean = load_result(out / "mean_motion", frames[0], frames[0]).transform()
    shift = transform_points(mean, points) - points
    true = sum(transform_points(truth, points) for truth in truths) / 2 - points
    assert np.abs(shift - true).mean() < 1.0
