"""The metrics against closed forms (balls, shifts, scalings) and library oracles."""

import math

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.evaluation import metrics


def ball(shape, centre, radius, value=1):
    grid = np.indices(shape)
    distance = sum((axis - middle) ** 2 for axis, middle in zip(grid, centre))
    return (distance <= radius**2).astype(np.int16) * value


def test_dice_of_shifted_balls_is_the_lens_formula():
    radius, shift = 14.0, 8.0
    first = ball((48, 48, 48), (23, 23, 20), radius)
    second = ball((48, 48, 48), (23, 23, 20 + shift), radius)
    lens = math.pi * (4 * radius + shift) * (2 * radius - shift) ** 2 / 12
    expected = lens / (4 / 3 * math.pi * radius**3)
    assert metrics.dice(first, second, [1])[1] == pytest.approx(expected, abs=0.01)


def test_dice_agrees_with_simpleitk_on_random_label_maps():
    generator = np.random.default_rng(3)
    first, second = (generator.integers(0, 6, (9, 10, 11)).astype(np.int16) for _ in range(2))
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(sitk.GetImageFromArray(first), sitk.GetImageFromArray(second))
    scores = metrics.dice(first, second, range(1, 6))
    for label, score in scores.items():
        assert score == pytest.approx(measures.GetDiceCoefficient(label), abs=1e-12)


def test_dice_of_a_label_nobody_has_is_nan_and_of_a_vanished_one_is_zero():
    fixed, warped = np.array([[1, 1, 0]]), np.array([[0, 0, 0]])
    scores = metrics.dice(fixed, warped, [1, 7])
    assert scores[1] == 0 and math.isnan(scores[7])
    with pytest.raises(ValueError):
        metrics.dice(fixed, np.zeros((2, 2), int), [1])


def test_shared_labels_are_those_of_both_people():
    assert metrics.shared_labels(np.array([1, 2, 4]), np.array([2, 4, 9]), [1, 2, 4, 5]) == [2, 4]


def test_the_papers_five_structures_overlap():
    fixed = np.array([3, 3, 2, 2, 1, 1, 0, 0])
    moved = np.array([3, 2, 2, 0, 1, 1, 1, 0])
    scores = metrics.dice_of_groups(fixed, moved)
    assert scores == pytest.approx(
        {
            "left blood pool": 2 / 3,
            "myocardium": 1 / 2,
            "left ventricle": 6 / 7,
            "right ventricle": 4 / 5,
            "total": 10 / 12,
        }
    )


def test_surface_distance_of_a_shifted_cube_is_the_shift_in_millimetres():
    first = np.zeros((24, 24, 24), np.int16)
    first[6:14, 6:14, 6:14] = 5
    second = np.roll(first, 4, axis=2)
    assert metrics.surface_distance_95(first, second, 5, (1.0, 1.0, 2.5)) == pytest.approx(10.0)
    assert metrics.surface_distance_95(first, first, 5, (1, 1, 1)) == 0
    assert math.isnan(metrics.surface_distance_95(first, second, 9, (1, 1, 1)))


def test_image_distances_have_their_closed_forms():
    reference = np.random.default_rng(0).uniform(0.2, 0.8, (32, 33))
    shifted = reference + 0.1
    assert metrics.nmse(shifted, reference) == pytest.approx(0.01 * reference.size / (reference**2).sum())
    assert metrics.psnr(shifted, reference) == pytest.approx(20.0)
    assert metrics.psnr(reference, reference) == float("inf")
    assert metrics.ssim(reference, reference) == pytest.approx(1.0)
    assert metrics.ssim(np.flip(reference, 0), reference) < 0.3


def test_spread_of_the_log_determinant():
    determinant = np.concatenate([np.full(50, 0.5), np.full(50, 2.0)])
    assert metrics.sd_log_jacobian(determinant) == pytest.approx(math.log(2))
    assert metrics.sd_log_jacobian(determinant, determinant > 1) == pytest.approx(0)


def test_landmarks_go_from_fixed_to_moving():
    transform = sitk.TranslationTransform(3, (1.0, 2.0, 3.0))
    fixed = np.array([[0.0, 0, 0], [5, 5, 5]])
    assert metrics.landmark_errors(transform, fixed, fixed + (1, 2, 3)) == pytest.approx([0, 0])
    assert metrics.landmark_errors(transform, fixed, fixed - (0, 0, 1)) == pytest.approx([np.sqrt(1 + 4 + 16)] * 2)


def test_points_inside_use_the_whole_border_voxel():
    image = sitk.Image([10, 10], sitk.sitkUInt8)
    image.SetSpacing((2.0, 1.0))
    image.SetOrigin((100.0, 0.0))
    points = np.array([[99.2, 0], [98.9, 0], [118.9, 9.4], [119.1, 9.4]])
    assert metrics.points_inside(image, points).tolist() == [True, False, True, False]


def test_inverse_error_counts_voxels():
    image = sitk.Image([6, 6, 6], sitk.sitkUInt8)
    image.SetSpacing((2.0, 2.0, 2.0))
    mask = np.ones((6, 6, 6), bool)
    forward = sitk.TranslationTransform(3, (1.0, 0.0, 0.0))
    assert metrics.inverse_error(forward, forward.GetInverse(), image, mask) == pytest.approx(0)
    assert metrics.inverse_error(forward, sitk.Transform(3, sitk.sitkIdentity), image, mask) == pytest.approx(0.5)


def test_voxel_displacement_follows_spacing_direction_and_axis_order():
    grid = sitk.Image([5, 6, 7], sitk.sitkUInt8)
    grid.SetSpacing((2.0, 1.0, 0.5))
    grid.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    field = metrics.voxel_displacement(metrics.displacement_field(sitk.TranslationTransform(3, (3.0, 4.0, 5.0)), grid))
    assert field.shape == (3, 7, 6, 5)
    index = grid.TransformPhysicalPointToContinuousIndex(
        np.add(grid.TransformIndexToPhysicalPoint((1, 1, 1)), (3, 4, 5)).tolist()
    )
    assert field[:, 1, 1, 1] == pytest.approx((np.array(index) - 1)[::-1])
