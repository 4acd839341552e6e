"""Local correlation with an image that stays: the same as the function that training uses, also in parts."""

from __future__ import annotations

import pytest
import torch

from DiffuseMorphCore.registration.descent import diffuse_log_jacobian
from DiffuseMorphCore.similarity import local_correlation
from DiffuseMorphCore.similarity.correlation_slope import StillImage
from DiffuseMorphCore.similarity.term import chain, spatial_gradient
from DiffuseMorphCore.warp import jacobian_determinant, smooth


@pytest.mark.parametrize("shape, batch", [((40, 36), 3), ((62, 70, 75), 1), ((500, 700), 2)])
@pytest.mark.parametrize("window", [5, 7])
def test_value_and_slope_are_those_of_autograd(shape, batch, window):
    torch.manual_seed(0)
    still = smooth(torch.rand(1, 1, *shape), 1.5)
    moved = smooth(torch.rand(batch, 1, *shape), 1.5)
    moved[..., :9, :9] = still[..., :9, :9] = 0.3
    leaf = moved.clone().requires_grad_()
    expected = local_correlation(leaf, still.expand_as(moved), window, each=True)
    (slope,) = torch.autograd.grad(expected.sum(), leaf)
    value, found = StillImage(still, window).compare(moved)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found, slope, rtol=1e-3, atol=1e-3 * float(slope.abs().amax()))


def test_parts_of_a_volume_meet_without_a_seam():
    torch.manual_seed(0)
    shape = (62, 70, 75)
    image, slopes = smooth(torch.rand(1, 1, *shape), 1.5), torch.rand(1, 1, *shape)
    torch.testing.assert_close(chain(slopes, image), slopes * spatial_gradient(image))
    displacement = 4 * smooth(torch.randn(1, 3, *shape), 3.0)
    volume = jacobian_determinant(displacement).clamp(0.05, 20)
    level = torch.where(volume < 1, 2 * (volume.sqrt() - 1), volume.log())
    whole = displacement + 0.25 * spatial_gradient(level)
    torch.testing.assert_close(diffuse_log_jacobian(displacement, 0.25), whole, atol=1e-5, rtol=1e-5)
