"""What one image's intensities mean in another: closed forms, weights, and images without anything to learn from."""

from __future__ import annotations

import pytest
import torch

from DiffuseMorphCore.similarity import intensity_map, map_intensities


@pytest.mark.parametrize("shape", [(1, 1, 90, 110), (1, 1, 24, 28, 30)])
@pytest.mark.parametrize(
    "change", [lambda x: 1 - x, lambda x: (1 - x) ** 0.6, lambda x: 4 * (x - 0.5) ** 2, lambda x: 3 + 100 * x]
)
def test_a_function_of_the_intensity_is_found(shape, change):
    torch.manual_seed(0)
    image = torch.rand(shape)
    mapped = map_intensities(image, intensity_map(image, change(image)))
    wanted = change(image)
    assert float((mapped - wanted).abs().mean()) < 0.01 * float(wanted.amax() - wanted.amin())


def test_it_is_the_mean_where_one_intensity_has_several_meanings():
    image = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0, 1.0]).repeat(100)
    target = torch.tensor([1.0, 1.0, 1.0, 5.0, -2.0, -4.0]).repeat(100)
    mapped = map_intensities(image, intensity_map(image, target))
    torch.testing.assert_close(mapped[:6], torch.tensor([2.0] * 4 + [-3.0] * 2), rtol=1e-3, atol=1e-3)


def test_voxels_without_weight_do_not_count():
    torch.manual_seed(1)
    image = torch.rand(1, 1, 60, 60)
    target, weight = 1 - image, torch.ones_like(image)
    target[..., 30:] = 1e3
    weight[..., 30:] = 0
    table = intensity_map(image, target, weight)
    torch.testing.assert_close(table, intensity_map(image[..., :30], 1 - image[..., :30]), rtol=1e-4, atol=1e-4)
    assert float(intensity_map(image, target, torch.zeros_like(image)).abs().max()) == 0


def test_intensities_that_do_not_occur_are_harmless():
    image = torch.full((1, 1, 20, 20), 0.4)
    table = intensity_map(image, image * 2)
    assert bool(table.isfinite().all())
    torch.testing.assert_close(map_intensities(image, table), image * 2)
    outside = map_intensities(torch.tensor([-3.0, 7.0]), table)
    torch.testing.assert_close(outside, table[[0, -1]])


def test_many_voxels_give_the_same_map_as_few():
    torch.manual_seed(2)
    image = torch.rand(1, 1, 120, 110, 100)
    few = image[..., :40, :40, :40]
    torch.testing.assert_close(
        intensity_map(image, image.square()), intensity_map(few, few.square()), atol=2e-3, rtol=0
    )
