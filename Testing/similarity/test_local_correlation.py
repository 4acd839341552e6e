"""Squared local correlation against a dense float64 reference, MONAI, and what it promises for awkward images."""

from __future__ import annotations

import itertools

import pytest
import torch

from DiffuseMorphCore.similarity import local_correlation


def dense(a, b, window, mask=None):
    """Straight from the definition: one window after the other, in float64, borders cut off, differentiable."""
    a, b = a.double(), b.double()
    half, shape = window // 2, a.shape[2:]
    weight = torch.ones_like(a[:, :1]) if mask is None else mask.double().expand_as(a[:, :1])
    total, norm = a.new_zeros(()), a.new_zeros(())
    for centre in itertools.product(*map(range, shape)):
        box = (slice(None), slice(None)) + tuple(slice(max(0, c - half), c + half + 1) for c in centre)
        axes = tuple(range(2, a.ndim))
        w = weight[box]
        size = w.sum(axes, keepdim=True).clamp_min(1e-30)
        x = a[box] - (w * a[box]).sum(axes, keepdim=True) / size
        y = b[box] - (w * b[box]).sum(axes, keepdim=True) / size
        covariance = (w * x * y).sum(axes)
        variances = (w * x * x).sum(axes) * (w * y * y).sum(axes)
        score = torch.where(variances > 1e-20, covariance**2 / variances.clamp_min(1e-20), 0.0)
        here = weight[(slice(None), slice(None)) + centre]
        total, norm = total + (here * score).sum(), norm + here.sum() * a.shape[1]
    return total / norm


SHAPES = [((1, 1, 9, 11), 5), ((2, 2, 6, 7), 5), ((1, 1, 6, 7, 5), 3)]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("shape", "window"), SHAPES)
def test_value_and_gradients_are_those_of_the_definition(shape, window, masked):
    torch.manual_seed(0)
    a = torch.randn(shape).mul(3).add(5).requires_grad_()
    b = torch.randn(shape).requires_grad_()
    mask = (torch.rand(shape[0], 1, *shape[2:]) > 0.3).float() if masked else None
    expected = dense(a, b, window, mask)
    wanted = torch.autograd.grad(expected, (a, b))
    found = local_correlation(a, b, window, mask)
    gradients = torch.autograd.grad(found, (a, b))
    # The floor of the variances is 1e-5 of the image's, so that much is the difference allowed.
    assert found.item() == pytest.approx(expected.item(), rel=1e-3)
    for gradient, want in zip(gradients, wanted):
        torch.testing.assert_close(gradient, want, rtol=2e-3, atol=2e-3 * float(want.abs().max()))


@pytest.mark.parametrize("wanting", [(True, True), (True, False), (False, True)])
def test_gradients_agree_with_finite_differences(wanting):
    torch.manual_seed(1)
    a, b = (torch.randn(1, 1, 5, 4, 4, dtype=torch.float64, requires_grad=want) for want in wanting)
    mask = (torch.rand(1, 1, 5, 4, 4) > 0.2).double()
    # The floors follow the images' variance but carry no gradient: hence the tolerance of their relative size.
    for weights in (None, mask):
        assert torch.autograd.gradcheck(lambda x, y: local_correlation(x, y, 3, weights), (a, b), atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("shape", [(2, 1, 24, 28), (1, 1, 12, 13, 15)])
def test_agrees_with_monai_up_to_its_clamp(shape):
    losses = pytest.importorskip("monai.losses")
    torch.manual_seed(2)
    # MONAI adds zeros around the images; zeros inside their border make that the same for both. What is left of the
    # difference is MONAI's floor under each variance.
    a, b = (torch.nn.functional.pad(torch.rand(shape), (8, 8) * (len(shape) - 2)) for _ in range(2))
    oracle = losses.LocalNormalizedCrossCorrelationLoss(
        spatial_dims=len(shape) - 2, kernel_size=5, kernel_type="rectangular", smooth_nr=0, smooth_dr=1e-5
    )
    x, y = a.clone().requires_grad_(), a.clone().requires_grad_()
    found, wanted = local_correlation(x, b, 5), -oracle(y, b)
    assert found.item() == pytest.approx(wanted.item(), rel=5e-3)
    gradients = [torch.autograd.grad(score, image)[0].flatten() for score, image in ((found, x), (wanted, y))]
    assert float(torch.corrcoef(torch.stack(gradients))[0, 1]) > 0.999


@pytest.mark.parametrize("shape", [(1, 1, 20, 22), (1, 1, 12, 14, 13)])
def test_linear_images_score_one_and_constant_ones_nothing(shape):
    torch.manual_seed(3)
    image = torch.rand(shape)
    assert float(local_correlation(image, 100 - 7 * image)) == pytest.approx(1, abs=1e-3)
    for constant in (0.0, 0.3, -1000.0):
        flat = torch.full(shape, constant, requires_grad=True)
        score = local_correlation(flat, image)
        score.backward()
        assert float(score) == 0
        assert float(flat.grad.abs().max()) == 0


def test_constant_background_neither_scores_nor_pulls():
    torch.manual_seed(4)
    a, b = (torch.full((1, 1, 30, 30), 0.7) for _ in range(2))
    a[..., :12, :] = torch.rand(12, 30)
    b[..., :12, :] = a[..., :12, :]
    a.requires_grad_()
    score = local_correlation(a, b, 5)
    score.backward()
    assert float(score) == pytest.approx(14 / 30, abs=1e-3)  # rows 12 and 13 still see the textured part
    assert float(a.grad[..., 16:, :].abs().max()) == 0


def test_windows_at_the_border_count_the_voxels_inside_only():
    torch.manual_seed(5)
    a, b = torch.rand(1, 1, 3, 3), torch.rand(1, 1, 3, 3)
    correlation = torch.corrcoef(torch.stack((a.flatten(), b.flatten())))[0, 1]
    # A window wider than the image is the whole image everywhere.
    assert float(local_correlation(a, b, 9)) == pytest.approx(float(correlation**2), rel=1e-3)


def test_what_the_mask_leaves_out_does_not_matter():
    torch.manual_seed(6)
    a, b, mask = torch.rand(1, 1, 12, 12), torch.rand(1, 1, 12, 12), torch.ones(1, 1, 12, 12)
    mask[..., 6:] = 0
    polluted = a.clone()
    polluted[..., 6:] = 1e4
    polluted.requires_grad_()
    score = local_correlation(polluted, b, 5, mask)
    score.backward()
    assert float(score) == pytest.approx(float(local_correlation(a[..., :6], b[..., :6], 5)), rel=1e-3)
    assert float(polluted.grad[..., 6:].abs().max()) == 0
    assert float(local_correlation(a, b, 5, torch.zeros_like(mask))) == 0


def test_stays_in_32_bits_under_autocast():
    image = torch.linspace(0, 1, 20).view(1, 1, 20, 1, 1).expand(1, 1, 20, 20, 20) + 0.01 * torch.rand(1, 1, 20, 20, 20)
    other = image.square()
    exact, halved = image.clone().requires_grad_(), image.clone().requires_grad_()
    wanted = local_correlation(exact, other)
    wanted.backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        score = local_correlation(halved, other)
        score.backward()
    assert score.dtype == torch.float32
    assert float(score) == float(wanted)
    torch.testing.assert_close(halved.grad, exact.grad, rtol=0, atol=0)


def test_keeps_five_volumes_for_the_gradient():
    kept = []

    def pack(tensor):
        if tensor.numel() >= 1000:
            kept.append(tensor.data_ptr())
        return tensor

    image = torch.rand(1, 1, 10, 10, 10, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        local_correlation(image, torch.rand(1, 1, 10, 10, 10))
    assert 0 < len(set(kept)) <= 5


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="odd"):
        local_correlation(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8), 4)
    with pytest.raises(ValueError, match="shapes"):
        local_correlation(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 9))
