"""Frames of a head that moves: aligned one by one, whole ways, labels and sizes through alignment and deformation."""

from __future__ import annotations

import json
from types import SimpleNamespace

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

MOTIONS = [((0, 0, 0), 0), ((3, 1, 0), 2), ((20, -6, 4), 10)]  # mm along x, y, z, and degrees
QUICK = {"threads": 1, "device": "cpu", "quality": "fast", "align": "rigid"}


def moving(head):
    """A head in motion: its frames, the true way of points to each, and points inside."""
    ndim = head.GetDimension()
    middle = head.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in head.GetSize()])
    truths = []
    for shift, turn in MOTIONS:
        angles = [float(np.deg2rad(turn))] if ndim == 2 else [float(np.deg2rad(turn)), 0.0, 0.0]
        kind = sitk.Euler2DTransform if ndim == 2 else sitk.Euler3DTransform
        truths.append(kind(middle, *angles, [float(length) for length in shift[:ndim]]))
    frames = [sitk.Resample(head, head, truth.GetInverse(), sitk.sitkLinear, 0.0) for truth in truths]
    inside = np.argwhere(sitk.GetArrayFromImage(head) > 60)[::40, ::-1].tolist()
    points = np.array([head.TransformIndexToPhysicalPoint(index) for index in inside])
    return SimpleNamespace(head=head, frames=frames, truths=truths, points=points)


@pytest.fixture(scope="module")
def brain():
    return sitk.DICOMOrient(sitk.ReadImage(str(sample_pair()[0]), sitk.sitkFloat32), "LPS")


@pytest.fixture(scope="module")
def slices(brain):
    """An axial slice of a brain in motion, with room around it."""
    return moving(sitk.ConstantPad(brain[:, :, 45], (15, 15), (15, 15)))


@pytest.fixture(scope="module")
def still(slices):
    return register_sequence(slices.frames, refine=0, **QUICK)


def error(result, truth):
    """The largest mean distance in mm of a frame's points from where they truly are."""
    return max(
        float(np.linalg.norm(transform_points(way, truth.points) - transform_points(true, truth.points), axis=1).mean())
        for way, true in zip((result.registration(number).transform() for number in range(len(result))), truth.truths)
    )


def test_frames_of_volumes_that_lie_elsewhere_are_aligned(brain):
    head = moving(sitk.ConstantPad(sitk.BinShrink(brain, (2, 2, 2)), (6, 6, 6), (6, 6, 6)))
    result = register_sequence(head.frames, refine=0, **QUICK)
    assert error(result, head) < 1.0  # mm, a quarter of a voxel
    similarity = result.report["similarity"]
    assert all(a > b + 0.02 for a, b in zip(similarity["aligned"][1:], similarity["before"][1:]))
    assert result.report["settings"]["align"] == "rigid" and result.report["seconds"]["align"] > 0


def test_points_labels_and_sizes_go_the_whole_way(still, slices):
    assert error(still, slices) < 0.5
    tracks = still.track(slices.points[:5])
    np.testing.assert_allclose(tracks[2], transform_points(slices.truths[2], slices.points[:5]), atol=1.0)
    labels = sitk.Cast(slices.head > 90, sitk.sitkUInt8)
    carried = list(still.carry_labels(labels))
    expected = sitk.Resample(labels, slices.head, slices.truths[2].GetInverse(), sitk.sitkNearestNeighbor, 0)
    assert dice(carried[2], expected)["mean"] > 0.95
    sizes = label_sizes(still, labels)[1]
    np.testing.assert_allclose(sizes, sizes[0], rtol=1e-4)  # what is only moved keeps its size
    rows = motion_rows(still)
    assert rows[0]["mean_displacement_mm"] == 0 and 15 < rows[2]["mean_displacement_mm"] < 30


def test_what_grows_is_measured_by_an_affine_alignment(slices):
    head = slices.head
    grown = sitk.AffineTransform(2)
    grown.SetCenter(head.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in head.GetSize()]))
    grown.Scale(1.12)
    frames = [head, sitk.Resample(head, head, grown.GetInverse(), sitk.sitkLinear, 0.0)]
    result = register_sequence(frames, refine=0, **QUICK | {"align": "affine"})
    first, second = label_sizes(result, sitk.Cast(head > 90, sitk.sitkUInt8))[1]
    assert second / first == pytest.approx(1.12**2, rel=0.03)


@pytest.mark.parametrize("reference", ["mean", 2])
def test_about_the_mean_and_another_frame(slices, reference):
    result = register_sequence(slices.frames, reference=reference, refine=0, **QUICK)
    back = transform_points(result.registration(0).inverse_transform(), slices.points)
    for number, truth in enumerate(slices.truths):
        way = transform_points(result.registration(number).transform(), back)
        assert np.linalg.norm(way - transform_points(truth, slices.points), axis=1).mean() < 0.5
    if reference == "mean":  # nothing bends, so the mean lies where the first frame does
        one, mean = (sitk.GetArrayFromImage(image).ravel() for image in (slices.head, result.reference))
        assert np.corrcoef(one, mean)[0, 1] > 0.98


def test_alignment_and_deformation_are_one_way(slices):
    head = slices.head
    rows, columns = np.indices(head.GetSize()[::-1])
    waves = np.stack([4 * np.sin(rows / 12), 4 * np.cos(columns / 14)], axis=-1)  # mm
    field = sitk.GetImageFromArray(waves, isVector=True)
    field.CopyInformation(head)
    unbent = sitk.CompositeTransform([sitk.DisplacementFieldTransform(field), slices.truths[2].GetInverse()])
    frames = [head, sitk.Resample(head, head, unbent, sitk.sitkLinear, 0.0)]
    ends = {}
    for steps in (0, 12):
        result = register_sequence(frames, refine=steps, **QUICK)
        way = result.registration(1).transform()
        there = transform_points(way, slices.points)
        ends[steps] = np.linalg.norm(transform_points(unbent, there) - slices.points, axis=1).mean()
    assert ends[12] < 0.5 * ends[0]
    np.testing.assert_allclose(transform_points(result.whole(1).transform(), slices.points), there, atol=0.1)
    back = transform_points(result.registration(1).inverse_transform(), there)
    assert np.linalg.norm(back - slices.points, axis=1).mean() < 0.1


def test_in_the_shell(slices, tmp_path):
    """Slices that lie in space, as one file."""
    frames = [sitk.JoinSeries([frame], 10.0, 3.0) for frame in slices.frames]
    sitk.WriteImage(sitk.JoinSeries(frames, 0.0, 1.0), str(tmp_path / "head.nii.gz"))
    out = tmp_path / "out"
    command = ["sequence", str(tmp_path / "head.nii.gz"), "--output", str(out), "--align", "rigid", "--refine", "0"]
    assert main([*command, "--quality", "fast", "--threads", "1"]) == 0
    registered = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "registered.nii.gz")))
    before = sitk.GetArrayFromImage(frames[2])
    assert np.abs(registered[2] - registered[0]).mean() < 0.4 * np.abs(before - registered[0]).mean()
    points = np.concatenate([slices.points, np.full((len(slices.points), 1), 10.0)], axis=1)
    ends = [transform_points(truth, slices.points) for truth in slices.truths]
    for folder, moved, expected in (("frames/002", frames[2], ends[2]), ("mean_motion", frames[0], sum(ends) / 3)):
        way = load_result(out / folder, frames[0], moved).transform()
        assert np.abs(transform_points(way, points)[:, :2] - expected).mean() < 1.0
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["settings"]["align"] == "rigid"
