"""The pictures: orientation, planes, windows, the grid, and that what they show is what was registered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.figure import Figure
from PIL import Image

from DiffuseMorphCore.previews import TrajectoryPicture, save_preview
from DiffuseMorphCore.registration import register
from DiffuseMorphCore.view_planes import choose_planes, grid_steps, orient, planes_of, window


@pytest.fixture(scope="module")
def result_3d(pair_3d):
    return register(*pair_3d, model=None, device="cpu", align="none", refine=20)


@pytest.fixture(scope="module")
def result_2d(pair_2d):
    return register(*pair_2d, model=None, device="cpu", align="none", refine=20)


def test_volumes_are_shown_with_the_patients_right_on_the_left_and_the_face_up():
    image = sitk.Image([4, 5, 6], sitk.sitkUInt8)
    image.SetDirection((0, 0, 1, 1, 0, 0, 0, 1, 0))  # index axes: posterior, superior, left
    shown = orient(image)
    assert shown.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1) and shown.GetSize() == (6, 4, 5)


def test_a_single_slice_is_shown_as_the_picture_it_is():
    image = sitk.GetImageFromArray(np.arange(60, dtype=np.float32).reshape(6, 1, 10))
    image.SetSpacing((1.0, 9.0, 2.0))
    shown = orient(image)
    assert shown.GetDimension() == 2 and sorted(shown.GetSize()) == [6, 10]
    assert len(choose_planes(image)) == 1


@pytest.mark.parametrize(
    ("direction", "axis", "up", "mirrored"),
    [
        ((1, 0, 0, 0, 1, 0, 0, 0, 1), 2, False, False),  # axial, as a scanner stores it
        ((-1, 0, 0, 0, -1, 0, 0, 0, 1), 2, True, True),  # axial, as NIfTI files often are
        ((1, 0, 0, 0, 1, 0, 0, 0, 1), 1, True, False),  # coronal cut of a volume that grows upwards
        ((1, 0, 0, 0, 0, 1, 0, -1, 0), 2, False, False),  # coronal, rows from the head downwards
    ],
)
def test_slices_are_shown_upright_too(direction, axis, up, mirrored):
    volume = sitk.GetImageFromArray(np.random.default_rng(0).random((12, 12, 12)).astype(np.float32))
    volume.SetDirection(direction)
    size, index = [12, 12, 12], [0, 0, 0]
    size[axis], index[axis] = 1, 5
    (plane,) = choose_planes(sitk.RegionOfInterest(volume, size, index))
    assert (plane.up, plane.mirrored) == (up, mirrored)


def test_planes_pass_through_the_middle_of_the_contents():
    values = np.zeros((20, 30, 40), np.float32)
    values[4:7, 20:25, 10:13] = 1
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((1.0, 2.0, 3.0))
    planes = choose_planes(image)
    assert [(plane.axis, plane.index) for plane in planes] == [(0, 5), (1, 22), (2, 11)]
    assert [plane.spacing for plane in planes] == [(2.0, 1.0), (3.0, 1.0), (3.0, 2.0)]
    assert [plane.of(values).shape for plane in planes] == [(30, 40), (20, 40), (20, 30)]
    assert all(plane.of(values).max() == 1 for plane in planes)


def test_the_window_leaves_out_the_background_and_outliers():
    values = np.zeros(10_000, np.float32)
    values[:5000] = np.linspace(100, 200, 5000)
    values[0] = 1e6
    low, high = window(sitk.GetImageFromArray(values.reshape(100, 100)))
    assert 100 <= low < 105 and 195 < high <= 200
    flat = window(sitk.Image([4, 4], sitk.sitkUInt8))
    assert flat[1] > flat[0]


def test_grid_steps_are_the_displacement_in_voxels_of_the_shown_image(result_3d):
    fixed = orient(result_3d.fixed)
    planes = choose_planes(result_3d.fixed)
    for plane, steps in zip(planes, grid_steps(result_3d, planes, 1.0)):
        assert steps.shape == (*plane.of(np.empty(fixed.GetSize()[::-1])).shape, 3)
        place = (14, 12)
        index = list(place)
        index.insert(plane.axis, plane.index)
        index = tuple(index[::-1])  # x, y, z order is the reverse of the array's
        start = fixed.TransformIndexToPhysicalPoint(index)
        target = fixed.TransformPhysicalPointToContinuousIndex(result_3d.transform(1.0).TransformPoint(start))
        np.testing.assert_allclose(steps[place][::-1], np.array(target) - index, atol=0.05)
        assert np.abs(steps).max() > 0.3
    for steps in grid_steps(result_3d, planes, 0.0):
        np.testing.assert_allclose(steps, 0.0, atol=1e-6)


def test_a_plane_samples_what_lies_in_it(result_3d):
    values = sitk.GetArrayFromImage(orient(result_3d.fixed))
    for plane in choose_planes(result_3d.fixed):
        found = plane.sample(result_3d.fixed, sitk.Transform(3, sitk.sitkIdentity))
        np.testing.assert_allclose(found, plane.of(values), atol=1e-3)


def panel(picture: Image.Image, column: int, columns: int) -> np.ndarray:
    values = np.asarray(picture.convert("L")).astype(float)
    width = values.shape[1] / columns
    return values[45:, int(column * width) : int((column + 1) * width)]


@pytest.mark.parametrize("name", ["result_3d", "result_2d"])
def test_the_preview_shows_a_smaller_difference_after_than_before(request, tmp_path, name):
    result = request.getfixturevalue(name)
    save_preview(result, tmp_path / "preview.png")
    with Image.open(tmp_path / "preview.png") as picture:
        fixed, moving, moved, before, after, grid = (panel(picture, column, 6) for column in range(6))
    assert after.mean() < 0.75 * before.mean()
    assert np.abs(moved - fixed).mean() < np.abs(moving - fixed).mean()


def test_the_grid_is_drawn_where_the_registration_puts_it(result_2d, tmp_path, monkeypatch):
    figures = []
    savefig = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *to, **how: figures.append(self) or savefig(self, *to, **how))
    save_preview(result_2d, tmp_path / "preview.png")
    axes = figures[-1].axes[5]
    assert "grid" in axes.get_title()
    (steps,) = grid_steps(result_2d, choose_planes(result_2d.fixed), 1.0)
    rows, columns = np.indices(steps.shape[:2])
    bent = np.stack([columns + steps[..., 1], rows + steps[..., 0]], axis=-1)
    every = [*bent, *bent.swapaxes(0, 1)]  # the rows and columns of pixels, as they are moved
    assert len(axes.lines) > 20 and np.abs(steps).max() > 0.5
    for line in axes.lines:
        points = line.get_xydata()
        assert any(len(points) == len(each) and np.allclose(points, each, atol=1e-4) for each in every)


def test_different_modalities_are_compared_on_a_checkerboard(result_3d, tmp_path):
    save_preview(result_3d, tmp_path / "same.png")
    save_preview(result_3d, tmp_path / "different.png", modality="different")
    with Image.open(tmp_path / "same.png") as same, Image.open(tmp_path / "different.png") as different:
        # A checkerboard shows the images' own brightness, a difference of similar images is dark.
        assert panel(different, 4, 6).mean() > 3 * panel(same, 4, 6).mean()


def test_the_animation_goes_forth_and_back(result_2d, tmp_path):
    picture = TrajectoryPicture(result_2d)
    for eta in (0.0, 0.5, 1.0):
        picture.add(eta, result_2d.warp(eta=eta))
    picture.save(tmp_path / "trajectory.gif")
    frames = []
    with Image.open(tmp_path / "trajectory.gif") as animation:
        assert animation.info["loop"] == 0
        for number in range(animation.n_frames):
            animation.seek(number)
            frames.append(np.asarray(animation.convert("L")).astype(float))
    assert len(frames) == 4
    np.testing.assert_array_equal(frames[1], frames[3])
    assert np.abs(frames[0] - frames[1]).mean() > 0.1 and np.abs(frames[1] - frames[2]).mean() > 0.1


@pytest.mark.parametrize("kind", [np.float32, np.int16])
def test_bright_fat_around_a_head_does_not_leave_its_brain_dark(kind):
    z, y, x = np.indices((60, 64, 58)) - np.array([30, 34, 28])[:, None, None, None]
    distance = np.sqrt(z**2 + y**2 + x**2)
    head = np.where(distance < 18, 200 + 50 * np.sin(x / 2), 0) + np.where((distance > 20) & (distance < 24), 1000, 0)
    low, high = window(sitk.GetImageFromArray(head.astype(kind)))
    assert 140 < low < 170 and 230 < high < 260


def test_a_flat_picture_and_a_thin_slab_are_shown_by_all_that_is_in_them():
    values = np.random.default_rng(0).uniform(1, 100, (200, 200))
    values[:100] *= 10
    for image in (values, np.stack([values] * 3)):
        assert 900 < window(sitk.GetImageFromArray(image))[1] < 1000


def test_planes_pass_through_the_middle_of_what_both_images_show():
    values = np.zeros((40, 30, 20), np.float32)
    values[4:36, 8:22, 5:15] = 1
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((2.0, 1.0, 3.0))
    image.SetDirection((0, 1, 0, -1, 0, 0, 0, 0, 1))
    assert choose_planes(image)[0].index in (19, 20)
    above, identity = image[:, :, 24:], sitk.Transform(3, sitk.sitkIdentity)
    planes = choose_planes(image, above, identity)
    assert planes[0].index in (29, 30) and planes[0].axis == 0
    assert [plane.index for plane in planes[1:]] == [plane.index for plane in choose_planes(image)[1:]]
    shift = sitk.TranslationTransform(3, (0.0, 0.0, 24.0))  # it then shows 8 slices less far up
    assert choose_planes(image, above, shift)[0].index in (23, 24)
    elsewhere = sitk.TranslationTransform(3, (1e4, 0.0, 0.0))  # nothing of it: all counts again
    assert [p.index for p in choose_planes(image, above, elsewhere)] == [p.index for p in choose_planes(image)]


def test_the_planes_of_a_result_follow_the_alignment_also_where_eta_scales_it(result_3d):
    values = np.zeros((40, 30, 20), np.float32)
    values[4:36, 8:22, 5:15] = 1
    fixed = sitk.GetImageFromArray(values)
    moving = fixed[:, :, 24:]
    moving.SetOrigin((500.0, 0.0, 0.0))
    options = replace(result_3d.options, alignment_follows_eta=True)
    alignment = sitk.AffineTransform(3)
    alignment.SetTranslation((500.0, 0.0, -24.0))
    shown = replace(result_3d, fixed=fixed, moving=moving, alignment=alignment, options=options)
    assert planes_of(shown)[0].index in (29, 30)
