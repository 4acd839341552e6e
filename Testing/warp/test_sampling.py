"""Sampling against closed forms and SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore.warp import compose, downsample, resize, resize_displacement, sample_points, warp, warp_points
from DiffuseMorphCore.warp.filters import box_mean, box_sum, smooth

SHAPES = [(11, 14), (9, 12, 10)]


def ramp(shape, axis):
    """The voxel index along an axis, (1, 1, *shape)."""
    index = torch.arange(shape[axis], dtype=torch.float32)
    return index.view([-1 if k == axis else 1 for k in range(len(shape))]).expand(shape)[None, None].clone()


@pytest.mark.parametrize("shape", SHAPES)
def test_component_order_is_axis_order_and_warp_pulls(shape):
    for axis in range(len(shape)):
        shift = torch.zeros(1, len(shape), *shape)
        shift[:, axis] = 1.5
        warped = warp(ramp(shape, axis), shift)
        expected = (ramp(shape, axis) + 1.5).clamp(max=shape[axis] - 1)  # the border value continues
        torch.testing.assert_close(warped, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_zero_displacement_is_the_identity_and_nearest_keeps_labels(shape):
    torch.manual_seed(0)
    image = torch.rand(2, 3, *shape)
    zero = torch.zeros(2, len(shape), *shape)
    torch.testing.assert_close(warp(image, zero), image, atol=1e-5, rtol=0)
    labels = torch.randint(0, 200, (1, 1, *shape)).float()
    moved = warp(labels, torch.randn(1, len(shape), *shape), mode="nearest")
    assert set(moved.unique().tolist()) <= set(labels.unique().tolist())


def test_warp_equals_simpleitk():
    torch.manual_seed(1)
    image = torch.rand(1, 1, 9, 11, 10)
    field = smooth(torch.randn(1, 3, 9, 11, 10), 1.5) * 3
    vectors = np.moveaxis(field[0].numpy()[::-1], 0, -1).astype(np.float64)
    transform = sitk.DisplacementFieldTransform(sitk.GetImageFromArray(np.ascontiguousarray(vectors), isVector=True))
    picture = sitk.GetImageFromArray(image[0, 0].numpy())
    expected = sitk.GetArrayFromImage(sitk.Resample(picture, picture, transform, sitk.sitkLinear, -9.0))
    ours = warp(image, field)[0, 0].numpy()
    inside = expected != -9.0
    assert inside.mean() > 0.5
    np.testing.assert_allclose(ours[inside], expected[inside], atol=2e-5)


def test_composition_is_warping_twice():
    torch.manual_seed(2)
    shape = (40, 44)
    image = smooth(torch.rand(1, 1, *shape), 3)
    outer, inner = (smooth(torch.randn(1, 2, *shape), 5) * 8 for _ in range(2))
    twice = warp(warp(image, outer), inner)
    once = warp(image, compose(outer, inner))
    assert (twice - once)[..., 5:-5, 5:-5].abs().max() < 2e-3


@pytest.mark.parametrize("shape", SHAPES)
def test_a_displacement_on_another_grid_moves_by_the_same_share_of_the_image(shape):
    field = torch.ones(1, len(shape), *shape)
    target = tuple(2 * size - 1 for size in shape)
    torch.testing.assert_close(resize_displacement(field, target), torch.full((1, len(shape), *target), 2.0))
    assert resize(field, shape) is field


def test_points_follow_the_inverse_of_what_images_do():
    shape = (30, 32, 28)
    shift = torch.zeros(1, 3, *shape)
    shift[:, 1] = 4.0
    image = torch.zeros(1, 1, *shape)
    image[0, 0, 10, 15, 12] = 1
    moved = warp(image, shift)
    assert moved[0, 0, 10, 11, 12] == pytest.approx(1, abs=1e-4)
    # The displacement takes the fixed point (10, 11, 12) to the moving one.
    point = torch.tensor([[10.0, 11.0, 12.0]])
    torch.testing.assert_close(warp_points(point, shift), torch.tensor([[10.0, 15.0, 12.0]]), atol=1e-4, rtol=0)
    torch.testing.assert_close(sample_points(ramp(shape, 2), point + 0.25), torch.tensor([[12.25]]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(13, 14), (7, 9, 5)])
@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_threads_divide_the_points_and_change_nothing(shape, mode):
    torch.manual_seed(5)
    image, field = torch.rand(1, 2, *shape), torch.randn(1, len(shape), *shape)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            slopes = torch.autograd.grad(warp(image.requires_grad_(), field, mode).square().sum(), image)[0]
            found.append((warp(image.detach(), field, mode), slopes))
    finally:
        torch.set_num_threads(before)
    for values, slopes in found[1:]:
        assert torch.equal(values, found[0][0])
        torch.testing.assert_close(slopes, found[0][1])


def test_unknown_interpolation_is_refused():
    with pytest.raises(ValueError, match="linear"):
        warp(torch.zeros(1, 1, 4, 4), torch.zeros(1, 2, 4, 4), mode="cubic")


@pytest.mark.parametrize("shape", SHAPES)
def test_filters_keep_constants_up_to_the_border(shape):
    constant = torch.full((1, 2, *shape), 3.0)
    for filtered in (
        smooth(constant, 2.0),
        box_mean(constant, 5),
        downsample(constant, [max(2, n // 3) for n in shape]),
    ):
        torch.testing.assert_close(filtered, torch.full_like(filtered, 3.0), atol=1e-5, rtol=0)


def test_gaussian_and_box_equal_direct_sums():
    torch.manual_seed(3)
    image = torch.rand(1, 1, 15, 17)
    inside = torch.nn.functional.avg_pool2d(image, 5, 1, 2, count_include_pad=False)
    torch.testing.assert_close(box_mean(image, 5), inside)
    torch.testing.assert_close(box_sum(image, 5), torch.nn.functional.avg_pool2d(image, 5, 1, 2, divisor_override=1))
    impulse = torch.zeros(1, 1, 31, 31)
    impulse[..., 15, 15] = 1
    spread = smooth(impulse, 2.0)[0, 0]
    index = torch.arange(31) - 15.0
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    assert float((spread.sum(0) * index.square()).sum()) == pytest.approx(4.0, rel=0.04)  # cut at 3 sigma


def test_matrices_for_gpus_and_shifted_sums_for_cpus_agree():
    from DiffuseMorphCore.warp.filters import _apply_matrix, _filter, _filter_matrix, gaussian_weights

    torch.manual_seed(4)
    image = torch.rand(2, 1, 9, 21, 10)
    weights = gaussian_weights(1.7)
    for axis in (2, 3, 4):
        for normalise in (True, False):
            by_matrix = _apply_matrix(image, _filter_matrix(image.shape[axis], weights, normalise, image.device), axis)
            torch.testing.assert_close(_filter(image, weights, axis, normalise), by_matrix)


def test_downsampling_suppresses_what_the_coarse_grid_cannot_show():
    stripes = (torch.arange(64) % 2).float().expand(1, 1, 64, 64)
    coarse = downsample(stripes, (16, 16))
    assert (coarse - 0.5).abs().max() < 0.1
