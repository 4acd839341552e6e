"""A displacement with its grid: closed forms, ITK as oracle, and grids that differ."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.warp import smooth

GRIDS = {
    2: Grid((30, 26), (1.5, 0.8), (3.0, -7.0), (0.0, -1.0, 1.0, 0.0)),
    3: Grid((22, 20, 18), (1.0, 1.4, 2.0), (5.0, -3.0, 9.0), (0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0)),
}

both_dimensions = pytest.mark.parametrize("ndim", [2, 3])


def waves(ndim, seed=0, length=1.0):
    """A smooth displacement of at most ``length`` voxels that vanishes at the border."""
    torch.manual_seed(seed)
    grid = GRIDS[ndim]
    field = smooth(torch.randn(1, ndim, *grid.shape), 3.0)
    for axis, size in enumerate(grid.shape, start=2):
        field = field * torch.sin(torch.linspace(0, torch.pi, size)).view(
            [-1 if a == axis else 1 for a in range(field.dim())]
        )
    return Displacement(field * (length / field.norm(dim=1).amax()), grid)


def points(ndim, count=50):
    """Random points of the middle of the grid, in mm."""
    grid, random = GRIDS[ndim], np.random.default_rng(0)
    index = random.uniform(0.2, 0.8, (count, ndim)) * (np.array(grid.size) - 1)
    image = grid.image(np.zeros(grid.shape, np.float32))
    return [image.TransformContinuousIndexToPhysicalPoint(place.tolist()) for place in index]


@both_dimensions
def test_as_a_transform_it_moves_points_as_its_vectors_say(ndim):
    displacement = waves(ndim)
    vectors, transform = displacement.vectors(), displacement.transform()
    image = displacement.grid.image(np.zeros(displacement.grid.shape, np.float32))
    place = tuple(size // 2 for size in displacement.grid.shape)
    point = image.TransformIndexToPhysicalPoint(place[::-1])
    moved = np.array(transform.TransformPoint(point)) - np.array(point)
    assert moved == pytest.approx(vectors[place], abs=1e-5)
    # One voxel along an axis is that axis' direction, as long as its spacing.
    one = Displacement(torch.zeros_like(displacement.values), displacement.grid)
    one.values[:, 0] = 1
    direction = np.reshape(displacement.grid.direction, (ndim, ndim))[:, -1] * displacement.grid.spacing[-1]
    assert one.vectors()[place] == pytest.approx(direction, abs=1e-6)


@both_dimensions
def test_vectors_go_there_and_back(ndim):
    displacement = waves(ndim)
    torch.testing.assert_close(
        Displacement.from_vectors(displacement.vectors(), displacement.grid).values,
        displacement.values,
        atol=1e-5,
        rtol=0,
    )


@both_dimensions
def test_composition_is_that_of_itk(ndim):
    outer, inner = waves(ndim, 1), waves(ndim, 2)
    both, composed = outer.compose(inner).transform(), sitk.CompositeTransform([outer.transform(), inner.transform()])
    for point in points(ndim):
        # Linear interpolation of the composition is not the composition of linear interpolations: hence a tenth.
        assert both.TransformPoint(point) == pytest.approx(composed.TransformPoint(point), abs=0.1)


@both_dimensions
def test_forth_and_back_is_where_one_began(ndim):
    displacement = waves(ndim)
    forth, back = displacement.transform(), displacement.inverse().transform()
    finer = displacement.inverse(tuple(2 * size - 1 for size in displacement.grid.shape))
    assert finer.grid.shape == tuple(2 * size - 1 for size in displacement.grid.shape)
    for point in points(ndim):
        assert back.TransformPoint(forth.TransformPoint(point)) == pytest.approx(point, abs=0.1)
        assert finer.transform().TransformPoint(forth.TransformPoint(point)) == pytest.approx(point, abs=0.05)


@both_dimensions
def test_the_mean_of_displacements_lies_between_them(ndim):
    one, other = waves(ndim, 1), waves(ndim, 2)
    mean = Displacement.mean([one, other])
    torch.testing.assert_close(mean.values, (one.values + other.values) / 2)
    coarser = other.at(tuple((size + 1) // 2 for size in other.grid.shape))
    assert Displacement.mean([one, coarser]).grid is one.grid
    assert Displacement.mean([coarser, one]).grid is coarser.grid


@both_dimensions
def test_identity_moves_nothing_and_changes_no_volume(ndim):
    zero, some = Displacement.zero(GRIDS[ndim]), waves(ndim)
    assert not zero.values.any() and torch.equal(zero.jacobian(), torch.ones_like(zero.jacobian()))
    torch.testing.assert_close(some.compose(zero).values, some.values, atol=1e-5, rtol=0)
    torch.testing.assert_close(zero.compose(some).values, some.values)
