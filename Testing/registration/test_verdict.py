"""The verdict, turned starts and identical images: what a registration says of itself, and what it leaves."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore import register, register_tensors
from DiffuseMorphCore.errors import OptionError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.explained import explained
from DiffuseMorphCore.registration.turns import angle, right_angles, turned
from DiffuseMorphCore.registration.verdict import NO_GAIN, Verdict, odd_units
from DiffuseMorphCore.transforms import transform_points
from DiffuseMorphCore.warp import smooth


@pytest.fixture(scope="module")
def slices(sample_pair):
    """Axial slices through two real brains (fixed, moving), 2 mm, as pictures."""
    found = []
    for path in sample_pair:
        volume = sitk.ReadImage(str(path), sitk.sitkFloat32)
        found.append(sitk.GetImageFromArray(sitk.GetArrayFromImage(volume)[volume.GetDepth() // 2 + 3]))
        found[-1].SetSpacing((2.0, 2.0))
    return tuple(found)


def array(image):
    return sitk.GetArrayFromImage(image)


def about(image, degrees):
    middle = image.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in image.GetSize()])
    turn = sitk.Euler2DTransform(middle, np.radians(degrees))
    return sitk.Resample(image, image, turn, sitk.sitkLinear, 0.0)


def test_two_people_are_a_good_fit(slices):
    verdict = register(*slices, model=None).report["verdict"]
    assert verdict["word"] == "good" and verdict["reason"].endswith(".")
    assert verdict["explained"] > verdict["explained_when_aligned"] > 0.2
    assert verdict["volume_change"] < 0.5


@pytest.mark.parametrize("degrees", [90, 180])
def test_a_picture_that_was_turned_is_found_and_told(slices, degrees):
    fixed, moving = slices
    straight = register(fixed, moving, model=None)
    result = register(fixed, about(moving, degrees), model=None)
    assert result.report["verdict"]["word"] == "good"
    assert any(
        f"turned by about {min(degrees, 360 - degrees)}"
        in note.replace("89", "90").replace("91", "90").replace("179", "180")
        for note in result.report["notes"]
    ), result.report["notes"]
    assert not any("turned" in note for note in straight.report["notes"])
    error, usual = (np.abs(array(each.warp()) - array(fixed)).mean() for each in (result, straight))
    assert error < 1.4 * usual


def test_images_of_different_things_are_no_good_fit(slices, pair_2d):
    fixed = slices[0]
    other = sitk.Resample(
        pair_2d[0],
        fixed.GetSize(),
        sitk.Transform(2, sitk.sitkIdentity),
        sitk.sitkLinear,
        pair_2d[0].GetOrigin(),
        [63 / 90, 55 / 108],
        (1, 0, 0, 1),
        0.0,
    )
    random = np.random.default_rng(0).normal(size=array(fixed).shape).astype(np.float32)
    noise = sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(random), 2.0)
    noise.CopyInformation(fixed)
    for moving in (other, noise):
        report = register(fixed, moving, model=None).report
        assert report["verdict"]["word"] in ("doubtful", "failed"), report["verdict"]


@pytest.mark.parametrize("factor", [1 / 11.8, 1000.0, 0.001])
def test_units_that_differ_by_orders_of_magnitude_are_told(slices, factor):
    fixed, moving = slices
    moving = sitk.Image(moving)
    moving.SetSpacing([factor * step for step in moving.GetSpacing()])
    report = register(fixed, moving, model=None, refine=2).report
    assert report["verdict"]["word"] != "good" and "By the headers" in report["verdict"]["reason"]
    assert any("check the units" in note for note in report["notes"])


def test_what_counts_as_odd_units():
    def grid(spacing, size):
        return Grid((size, size), (spacing, spacing), (0.0, 0.0), (1.0, 0.0, 0.0, 1.0))

    assert odd_units(grid(1, 100), grid(1.5, 100)) is None
    assert odd_units(grid(1, 400), grid(1, 30)) is None, "a small region of the same resolution"
    assert odd_units(grid(1, 100), grid(0.01, 10_000)) is None, "a microscope's picture of the same thing"
    assert "moving image" in odd_units(grid(1, 100), grid(10, 100)) and "10 times" in odd_units(
        grid(1, 100), grid(10, 100)
    )
    assert "fixed image" in odd_units(grid(1, 100), grid(0.1, 100))


@pytest.mark.parametrize(
    "ndim, options",
    [
        (2, {"model": None}),
        (3, {"model": "small"}),
        (2, {"model": "small", "modality": "different"}),
        (3, {"model": None, "align": "rigid", "refine": 40}),
    ],
)
def test_identical_images_are_left_alone(slices, textured_pair_3d, small_model, ndim, options):
    image = slices[0] if ndim == 2 else textured_pair_3d[0]
    if options["model"] == "small":
        options = {**options, "model": small_model(ndim)}
    twice = sitk.Cast(image, sitk.sitkFloat64) * 2 + 100
    for moving in (image, sitk.Image(image), twice):
        result = register(image, moving, **options)
        points = Grid.of(image).points(np.random.default_rng(0).uniform(0, np.array(image.GetSize()) - 1, (200, ndim)))
        moved = np.array([result.transform().TransformPoint(point) for point in points.tolist()])
        assert np.linalg.norm(moved - points, axis=1).max() < 0.05, "millimetres"
        assert result.report["verdict"]["word"] == "good"
        assert result.report["similarity"]["registered"] >= result.report["similarity"]["initial"]


def test_no_result_is_worse_than_its_start(slices, monkeypatch):
    import sys

    import torch

    def astray(pair, start, **_):
        return start + 6 * torch.randn(start.shape, generator=torch.Generator().manual_seed(0))

    monkeypatch.setattr(sys.modules["DiffuseMorphCore.registration.deform"], "refine", astray)
    result = register(*slices, model=None)
    assert not result.displacement().any()
    assert result.report["similarity"]["registered"] == result.report["similarity"]["aligned"]
    assert any("alignment alone" in note for note in result.report["notes"])


def test_how_much_one_image_explains_of_another():
    random = np.random.default_rng(0)
    image = random.uniform(0.2, 1.0, (60, 60))
    everywhere = np.ones(image.shape, bool)
    assert explained(image, image, everywhere) > 0.9
    assert explained(image, 1.2 - image, everywhere) > 0.9, "of any contrast"
    assert explained(image, (image - 0.6) ** 2 * 4 + 0.1, everywhere) > 0.9
    assert abs(explained(image, random.uniform(0.2, 1.0, image.shape), everywhere)) < 0.1
    assert abs(explained(image, np.roll(image, 3, 0), everywhere)) < 0.1
    half = everywhere.copy()
    half[30:] = False
    spoiled = np.where(half, image, random.uniform(0.2, 1.0, image.shape))
    assert explained(image, spoiled, half) > 0.9 > explained(image, spoiled, everywhere)
    disc = (np.hypot(*np.mgrid[-30:30, -30:30]) < 18).astype(float)
    assert explained(disc, disc, everywhere) > 0.3, "an object of one intensity has an outline only"
    assert explained(disc, np.roll(disc, 25, 0), everywhere) < 0.1


@pytest.mark.parametrize("ndim, count", [(2, 3), (3, 23)])
def test_turns_by_right_angles(ndim, count):
    matrices = right_angles(ndim)
    assert len(matrices) == len({matrix.tobytes() for matrix in matrices}) == count
    for matrix in matrices:
        assert np.linalg.det(matrix) == pytest.approx(1) and round(angle(matrix)) in (90, 120, 180)
        center, target = np.arange(1.0, ndim + 1), np.arange(5.0, ndim + 5)
        transform = turned(matrix, center, target)
        np.testing.assert_allclose(transform.TransformPoint(center.tolist()), target, atol=1e-9)
        step = np.eye(ndim)[0]
        np.testing.assert_allclose(
            np.subtract(transform.TransformPoint((center + step).tolist()), target), matrix @ step, atol=1e-6
        )


def test_other_contrasts_that_are_aligned_already_are_left_alone(slices):
    """One anatomy in two contrasts, each with its own noise: whatever bends it makes it worse."""
    fixed, other = slices
    noise = np.random.default_rng(0)

    def inverted(image):
        values = array(image)
        seen = np.where(values > 0, 1.2 * values.max() - values, 0) + noise.normal(0, 0.06 * values.max(), values.shape)
        result = sitk.GetImageFromArray(np.where(values > 0, seen, 0).astype(np.float32))
        result.CopyInformation(image)
        return result

    same_anatomy = register(fixed, inverted(fixed), model=None, modality="different")
    assert not same_anatomy.displacement().any()
    assert any("hardly better after the deformation" in note for note in same_anatomy.report["notes"])
    similarity = same_anatomy.report["similarity"]
    assert similarity["registered"] == similarity["aligned"]
    two_people = register(fixed, inverted(other), model=None, modality="different")
    assert two_people.displacement().any(), two_people.report["notes"]


@pytest.mark.parametrize(
    "aligned, registered, side, kept",
    [
        (0.55, 0.57, 64, {"same": True, "different": False}),  # one person's two contrasts
        (0.55, 0.8, 64, {"same": True, "different": True}),  # two people's
        (0.55, 0.54, 64, {"same": True, "different": False}),  # within what the figure varies by
        (0.55, 0.5, 64, {"same": False, "different": False}),
        (0.23, 0.26, 64, {"same": True, "different": True}),  # an alignment so poor that a small gain says nothing
        (0.23, 0.1, 64, {"same": False, "different": False}),
        (0.23, 0.26, 8, {"same": False, "different": False}),
        (0.23, 0.5, 8, {"same": True, "different": True}),
    ],
)
def test_what_a_deformation_must_gain_to_be_kept(aligned, registered, side, kept):
    verdict = Verdict("good", "", registered, aligned, 0.2)
    for ndim in (2, 3):
        assert {modality: verdict.gained(modality, (side,) * ndim) for modality in kept} == kept


def test_a_few_voxels_are_not_bent_by_more_than_they_show(sample_pair):
    """A brain at some 20 mm, bent by a fifth of a voxel, which no correlation of so few voxels can tell."""
    brain = sitk.ReadImage(str(sample_pair[0]), sitk.sitkFloat32)
    extent = [size * spacing for size, spacing in zip(brain.GetSize(), brain.GetSpacing())]
    errors = []
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(size=(*brain.GetSize()[::-1], 3))
        bend = sitk.GetImageFromArray(noise, isVector=True)
        bend.CopyInformation(brain)
        bend = sitk.SmoothingRecursiveGaussian(bend, 25.0)
        vectors = array(bend) * (5.0 / np.linalg.norm(array(bend), axis=-1).mean())
        scaled = sitk.GetImageFromArray(vectors.astype(np.float64), isVector=True)
        scaled.CopyInformation(brain)
        true = sitk.DisplacementFieldTransform(scaled)
        small = []
        for image in (sitk.Resample(brain, brain, true, sitk.sitkLinear, 0.0), brain):
            grid = sitk.Image([9] * 3, sitk.sitkFloat32)
            grid.SetDirection(brain.GetDirection())
            grid.SetSpacing([side / 9 for side in extent])
            middle = [(size / 9 - 1) / 2 for size in brain.GetSize()]
            grid.SetOrigin(brain.TransformContinuousIndexToPhysicalPoint(middle))
            small.append(sitk.Resample(sitk.SmoothingRecursiveGaussian(image, 10.0), grid))
        found = register(*small, align="none").transform()
        for index in np.argwhere(array(small[0]) > 0.1 * array(small[0]).max())[:, ::-1]:
            point = small[0].TransformIndexToPhysicalPoint(index.tolist())
            target = true.TransformPoint(point)
            errors.append(
                [np.linalg.norm(np.subtract(target, place)) for place in (point, found.TransformPoint(point))]
            )
    before, after = np.mean(errors, axis=0)
    assert after < 1.05 * before, (before, after)


@pytest.mark.parametrize("tensors", [True, False])
def test_a_deformation_without_gain_is_kept_only_where_it_is_asked_for(tensors):
    torch.manual_seed(3)
    fixed = smooth(torch.rand(1, 1, 12, 13, 14), 1.0)
    moving = fixed + 0.03 * torch.randn_like(fixed)
    fixed, moving = ((image - image.amin()) / (image.amax() - image.amin()) for image in (fixed, moving))
    ends = []
    for keep in ("auto", "always"):
        if tensors:
            found = register_tensors(fixed, moving, model=None, device="cpu", modality="same", keep=keep)
            notes, end = found.notes, found.displacement(1.0)
        else:
            images = [sitk.GetImageFromArray(255 * image[0, 0].numpy()) for image in (fixed, moving)]
            found = register(*images, model=None, device="cpu", modality="same", keep=keep, align="none")
            notes, end = found.report["notes"], found.path.finest.values
        ends.append(float(end.abs().amax()))
        assert (NO_GAIN in notes) == (keep == "auto")
    assert ends[0] == 0 < ends[1]
    with pytest.raises(OptionError, match="keep"):
        register_tensors(fixed, moving, model=None, keep="never")


def test_air_and_its_noise_have_no_part_in_the_displacement(slices):
    """Brains in wide air whose noise differs, as in two scans: what moves there is no anatomy."""
    draw = np.random.default_rng(0)
    brain = np.pad(array(slices[0]) > 0, 24)
    noisy = []
    for image in slices:
        values = np.pad(array(image), 24)
        values = np.hypot(values, draw.normal(0, 0.03 * values.max(), values.shape)).astype(np.float32)
        noisy.append(sitk.GetImageFromArray(values))
        noisy[-1].SetSpacing((2.0, 2.0))
    result = register(*noisy, model="none", device="cpu", align="none", modality="same", keep="always")
    places = np.stack(np.indices(brain.shape)[::-1], axis=-1).reshape(-1, 2) * 2.0
    lengths = np.linalg.norm(transform_points(result.transform(), places) - places, axis=1).reshape(brain.shape)
    found = result.report["displacement_mm"]
    near = sitk.BinaryDilate(sitk.GetImageFromArray(brain.astype(np.uint8)), (4, 4))
    assert (1 - 1e-6) * lengths[brain].max() <= found["max"] <= lengths[array(near) > 0].max() * 1.01
    assert found["mean"] == pytest.approx(lengths[brain].mean(), rel=0.1)
    assert found["border_max"] == 0 and lengths[:, [0, -1]].max() > 0, "the brain does not reach the border"
