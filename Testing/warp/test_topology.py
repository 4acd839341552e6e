"""Exponential, inverse, Jacobian, folding and repair: closed forms, a library oracle, and fields made to fold."""

import math
import sys

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore.warp import (
    compose,
    determinant_minimum,
    exponential,
    folding,
    invert,
    invert_evenly,
    jacobian_determinant,
    resize_displacement,
    smooth,
    warp_points,
)


def random_field(shape, sigma, strength, seed):
    generator = torch.Generator().manual_seed(seed)
    field = smooth(torch.randn(1, len(shape), *shape, generator=generator), sigma)
    return field * (strength / field.std())


def coordinates(shape):
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


def test_exponential_of_a_rotation_is_the_rotation():
    shape, angle = (41, 41), 0.5
    x = coordinates(shape)
    velocity = angle * torch.stack([-x[:, 1], x[:, 0]], dim=1)
    cos, sin = math.cos(angle), math.sin(angle)
    expected = torch.stack([cos * x[:, 0] - sin * x[:, 1], sin * x[:, 0] + cos * x[:, 1]], dim=1) - x
    inside = (x.norm(dim=1) < 14)[:, None].expand_as(expected)
    assert (exponential(velocity) - expected)[inside].abs().max() < 0.08  # base steps of half a voxel


def test_exponential_of_a_scaling_is_the_exponential_of_its_rate():
    shape = (31, 31, 31)
    x = coordinates(shape)
    displacement = exponential(-0.3 * x)
    expected = (math.exp(-0.3) - 1) * x
    assert (displacement - expected).abs().max() < 0.05
    assert jacobian_determinant(displacement)[0, 0, 15, 15, 15] == pytest.approx(math.exp(-0.9), rel=0.02)


@pytest.mark.parametrize("shape", [(48, 40), (26, 30, 28)])
def test_forward_then_backward_is_the_identity(shape):
    displacement = exponential(random_field(shape, 4, 1.5, 0))
    inside = (slice(None), slice(None), *[slice(6, -6)] * len(shape))
    assert compose(displacement, invert(displacement))[inside].norm(dim=1).mean() < 0.01
    backward = exponential(-random_field(shape, 4, 1.5, 0))
    assert compose(displacement, backward)[inside].norm(dim=1).mean() < 0.1


def test_inverse_of_a_steep_field_where_a_plain_fixed_point_diverges():
    x = torch.linspace(-1, 1, 81)
    steep = (6 * torch.tanh(4 * x))[:, None].expand(81, 20)
    field = torch.stack([steep * 1.6, torch.zeros(81, 20)])[None]
    assert float(field[0, 0].diff(dim=0).max()) > 0.9 and folding(field).share == 0
    error = compose(field, invert(field))[:, :, 15:-15, 3:-3]
    assert error.abs().max() < 0.02


@pytest.mark.parametrize("shape", [(40, 33), (18, 22, 20)])
def test_an_inverse_on_a_finer_grid_is_the_same_where_the_grids_meet_and_better_between(shape):
    displacement = exponential(random_field(shape, 2, 1.0, 0))
    finer = [2 * size - 1 for size in shape]
    own, fine = invert(displacement), invert(displacement, finer)
    assert list(fine.shape[2:]) == finer
    inner = (slice(None), slice(None), *[slice(4, -4)] * len(shape))
    every_other = (slice(None), slice(None), *[slice(None, None, 2)] * len(shape))
    assert float((fine[every_other] / 2 - own)[inner].abs().max()) < 0.05
    points = 5 + torch.rand(20_000, len(shape), generator=torch.Generator().manual_seed(1)) * (torch.tensor(shape) - 11)
    forward = warp_points(points, displacement)
    coarse_error = (warp_points(forward, own) - points).norm(dim=1).mean()
    assert (warp_points(2 * forward, fine) / 2 - points).norm(dim=1).mean() < 0.5 * coarse_error


@pytest.mark.parametrize("shape", [(60, 64), (30, 34, 32)])
def test_an_even_inverse_is_better_between_the_voxels(shape):
    displacement = exponential(random_field(shape, 2, 1.0, 0))
    points = 5 + torch.rand(20_000, len(shape), generator=torch.Generator().manual_seed(1)) * (torch.tensor(shape) - 11)
    forward = warp_points(points, displacement)
    errors = [
        float((warp_points(forward, inverse) - points).norm(dim=1).mean())
        for inverse in (invert(displacement), invert_evenly(displacement))
    ]
    assert errors[1] < 0.8 * errors[0]


def test_an_even_inverse_of_a_linear_map_is_the_inverse():
    x = coordinates((25, 27, 23))
    displacement = torch.cat([0.1 * x[:, :1], -0.1 * x[:, :1] - 0.05 * x[:, 1:2], torch.zeros_like(x[:, :1])], dim=1)
    inside = (slice(None), slice(None), *[slice(4, -4)] * 3)
    torch.testing.assert_close(invert_evenly(displacement)[inside], invert(displacement)[inside], atol=5e-3, rtol=0)


def test_jacobian_equals_itk_for_central_differences():
    field = random_field((14, 16, 15), 2, 0.6, 1)
    vectors = np.ascontiguousarray(np.moveaxis(field[0].numpy()[::-1], 0, -1)).astype(np.float64)
    oracle = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(sitk.GetImageFromArray(vectors, True)))
    ours = jacobian_determinant(field)[0, 0].numpy()
    np.testing.assert_allclose(ours[1:-1, 1:-1, 1:-1], oracle[1:-1, 1:-1, 1:-1], atol=1e-4)


@pytest.mark.parametrize("shape", [(9, 8), (7, 9, 8)])
def test_determinants_of_affine_maps_are_their_determinant(shape):
    x = coordinates(shape)
    matrix = torch.tensor([[1.2, 0.1, 0.0], [-0.2, 0.9, 0.1], [0.05, 0.0, 1.1]])[: len(shape), : len(shape)]
    displacement = torch.einsum("ij,bj...->bi...", matrix - torch.eye(len(shape)), x)
    expected = float(torch.linalg.det(matrix))
    torch.testing.assert_close(
        determinant_minimum(displacement), torch.full((1, 1, *shape), expected), atol=1e-4, rtol=0
    )
    result = folding(displacement)
    assert result.share == 0 and result.volume == 0 and result.minimum == pytest.approx(expected, abs=1e-4)


def test_a_reflection_is_folded_everywhere_with_its_whole_volume():
    shape = (8, 8, 8)
    x = coordinates(shape)
    displacement = torch.zeros(1, 3, *shape)
    displacement[:, 0] = -2 * x[:, 0]
    result = folding(displacement)
    assert result.share == 1.0
    assert result.minimum == pytest.approx(-1, abs=1e-5)
    assert result.volume == pytest.approx(7**3 / 8**3, rel=1e-4)  # every cell, inside out


def test_ten_determinants_see_what_central_differences_overlook():
    displacement = torch.zeros(1, 3, 9, 9, 9)
    displacement[0, 0, 4, 4, 4] = 1.5  # one voxel jumps over its neighbour
    assert float(jacobian_determinant(displacement).min()) > 0
    found = folding(displacement)
    assert found.share > 0 and found.minimum < 0
    elsewhere = torch.zeros(1, 1, 9, 9, 9)
    elsewhere[..., :2] = 1
    assert folding(displacement, elsewhere).share == 0


def test_slabs_change_nothing():
    field = random_field((60, 90, 90), 2, 1.2, 2)
    whole = folding(field)  # several slabs
    minimum = determinant_minimum(field)
    assert whole.share == pytest.approx(float((minimum <= 0).float().mean()), rel=1e-6)
    assert whole.minimum == pytest.approx(float(minimum.min()), rel=1e-5)


@pytest.mark.parametrize(
    "shape, fine", [((30, 34), (61, 50)), ((20, 24, 22), (47, 30, 31)), ((20, 24, 22), (20, 24, 43))]
)
def test_folds_on_a_finer_grid_are_those_of_the_resized_field(monkeypatch, shape, fine):
    monkeypatch.setattr(sys.modules["DiffuseMorphCore.warp.folding"], "_SLAB", {"cpu": 3000})
    field = random_field(shape, 2, 1.2, 6)
    expected, found = folding(resize_displacement(field, fine)), folding(field, shape=fine)
    assert found.share == pytest.approx(expected.share, abs=2e-5) and found.share > 0
    assert found.minimum == pytest.approx(expected.minimum, abs=1e-4)
    assert found.volume == pytest.approx(expected.volume, rel=1e-3)
