"""Beyond the fixed image's box: transform and inverse are continuous there, undo each other, and fold nowhere."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore import register
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.warp import determinant_minimum, folding


@pytest.fixture(scope="module")
def cut(textured_pair_3d):
    """A fixed image that was cut through the tissue on all sides, on an oblique grid, and the whole moving one."""
    fixed, moving = textured_pair_3d
    return register(fixed[9:31, 8:28, 7:24], moving, model=None, align="rigid")


def points_of(image, number=600):
    index = np.random.default_rng(0).uniform(-0.5, np.array(image.GetSize()) - 0.5, (number, image.GetDimension()))
    return Grid.of(image).points(index)


def carried(transform, points):
    return np.array([transform.TransformPoint(point) for point in points.tolist()])


def test_inverse_and_transform_undo_each_other_all_over_the_moving_image(cut):
    points = points_of(cut.moving)
    for eta in (0.5, 1.0):
        there = carried(cut.inverse_transform(eta), points)
        index = Grid.of(cut.fixed).indices(there)
        outside = ((index < 0) | (index > np.array(cut.fixed.GetSize()) - 1)).any(axis=1)
        assert 0.5 < outside.mean() < 1
        apart = np.linalg.norm(carried(cut.transform(eta), there) - points, axis=1)
        assert apart.max() < 0.5 and apart.mean() < 0.1, "millimetres"


def test_there_is_no_step_at_the_border(cut):
    grid, step = Grid.of(cut.fixed), 0.05
    for transform in (cut.transform(), cut.inverse_transform()):
        for axis in range(3):
            index = np.random.default_rng(axis).uniform(0, np.array(grid.size) - 1, (200, 3))
            index[:, axis] = np.where(np.arange(200) % 2, -step, grid.size[axis] - 1)
            beyond = index.copy()
            beyond[:, axis] += step
            moved = [carried(transform, grid.points(place)) for place in (index, beyond)]
            assert np.linalg.norm(moved[1] - moved[0], axis=1).max() < 5 * step * grid.spacing[axis]


def test_nothing_folds_within_or_beyond_the_box(cut):
    size = tuple(reversed(cut.fixed.GetSize()))
    for eta in (0.1, 0.5, 1.0):
        assert folding(cut.path.at(eta).on(cut.region).values, shape=size).share == 0
        assert float(determinant_minimum(cut.path.at(eta).values).min()) > 0
    assert cut.region.shape == size


def test_far_away_only_the_alignment_is_left(cut):
    far = points_of(cut.fixed) + np.array([400.0, -300.0, 200.0])
    np.testing.assert_allclose(carried(cut.transform(), far), carried(cut.alignment, far), atol=1e-9)
    assert len(cut.report["grids"]["fading_mm"]) == 3 and min(cut.report["grids"]["fading_mm"]) > 0


def test_maps_lie_on_the_fixed_grid_with_the_values_of_their_places(cut):
    jacobian = cut.jacobian()
    assert jacobian.GetSize() == cut.fixed.GetSize()
    place = (11, 10, 8)
    point = np.array(cut.fixed.TransformIndexToPhysicalPoint(place))
    corners = [
        carried(sitk.Transform(cut.alignment.GetInverse()), carried(cut.transform(), point + shift))[0]
        for shift in np.concatenate([np.eye(3), -np.eye(3)])[:, None]
    ]
    slopes = np.array([(corners[k] - corners[k + 3]) / 2 for k in range(3)])
    assert jacobian[place] == pytest.approx(np.linalg.det(slopes), abs=0.15)


def test_a_slice_has_it_too(pair_2d):
    fixed, moving = (sitk.JoinSeries(image, 40.0, 5.0) for image in pair_2d)
    result = register(fixed[14:50, 12:44, :], moving, model=None, align="none")
    points = np.column_stack([points_of(pair_2d[1]), np.full(600, 40.0)])
    there = carried(result.inverse_transform(), points)
    assert np.linalg.norm(carried(result.transform(), there) - points, axis=1).max() < 0.5
