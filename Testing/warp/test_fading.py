"""A displacement beyond its grid: continuous, nothing at the end, and free of folds."""

from __future__ import annotations

import pytest
import torch

from DiffuseMorphCore.warp import determinant_minimum, fade, fading_widths, invert, sample_axes, smooth, warp_points


def bent(shape, length):
    """A smooth fold-free displacement that is as long at the border as inside, and longer along the first axis."""
    torch.manual_seed(len(shape))
    found = smooth(torch.randn(2, len(shape), *shape), 6.0)
    found = found * (length / found.abs().amax())
    found[:, 0] += length
    return found


@pytest.mark.parametrize("shape", [(40, 32), (24, 20, 28), (3, 24, 20)])
def test_it_fades_to_nothing_without_a_step_or_a_fold(shape):
    displacement = bent(shape, 3.0)
    widths = fading_widths(displacement)
    assert min(widths) >= 4 and max(widths) > float(displacement.abs().amax())
    wide = fade(displacement, widths)
    inside = tuple(slice(width, width + size) for width, size in zip(widths, shape))
    assert torch.equal(wide[(..., *inside)], displacement)
    for axis in range(2, wide.dim()):
        assert not wide.select(axis, 0).any() and not wide.select(axis, -1).any()
        assert float(wide.diff(dim=axis).abs().max()) < 1.5, "a step"
    assert float(determinant_minimum(displacement).min()) > 0.1
    assert float(determinant_minimum(wide).min()) > 0


def test_the_inverse_undoes_it_everywhere():
    displacement = bent((40, 32), 3.0)[:1]
    wide = fade(displacement, fading_widths(displacement))
    inverse = invert(wide)
    points = torch.rand(2000, 2) * (torch.tensor(wide.shape[2:]) - 1)
    there_and_back = warp_points(warp_points(points, inverse), wide)
    apart = (there_and_back - points).norm(dim=1)
    assert float(apart.max()) < 0.4 and float(apart.mean()) < 0.02


@pytest.mark.parametrize("shape", [(9, 7), (5, 8, 6)])
def test_sampling_on_another_grid_is_exact_for_linear_images(shape):
    axes = torch.meshgrid(*[torch.arange(size, dtype=torch.float32) for size in shape], indexing="ij")
    image = sum((k + 1) * axis for k, axis in enumerate(axes))[None, None]
    starts, steps, target = [1.5, -1.0, 0.25][: len(shape)], [0.5, 1.0, 2.0][: len(shape)], (4, 3, 2)[: len(shape)]
    found = sample_axes(image, starts, steps, target, outside=-7.0)
    for index in torch.cartesian_prod(*[torch.arange(size) for size in target]).tolist():
        place = [start + step * i for start, step, i in zip(starts, steps, index)]
        inside = all(0 <= value <= size - 1 for value, size in zip(place, shape))
        expected = sum((k + 1) * value for k, value in enumerate(place)) if inside else -7.0
        assert float(found[(0, 0, *index)]) == pytest.approx(expected)
    continued = sample_axes(image, [-3.0] * len(shape), [1.0] * len(shape), (2,) * len(shape))
    assert torch.equal(continued, torch.full_like(continued, float(image[(0, 0, *[0] * len(shape))])))
    assert sample_axes(image, [1e-7] * len(shape), [1 + 1e-9] * len(shape), shape) is image
