"""Squared local normalised cross-correlation (LNCC), the similarity of the paper's registration loss (equation 9): the
function that the training and others call, with its gradient. :mod:`.correlation` makes a similarity term of it.

In a window around every voxel the two images are compared by the square of their correlation coefficient:
1 where one is a linear function of the other, 0 where nothing is shared. The mean over all voxels is returned.

The gradient is written in closed form, because plain autograd keeps more than twenty volumes for it; this keeps
five and needs three more box filters. Windows reaching over the border count only the voxels inside, so the border
is as good as the interior. Everything runs in 32 bits or better: in 16 bits the variances are not inaccurate but wrong.
"""

from __future__ import annotations

import torch
from torch import Tensor

from DiffuseMorphCore.warp.filters import box_sum

RELATIVE_FLOOR = 1e-5  # local variance, as a share of the whole image's, below which a window counts as constant


def local_correlation(a: Tensor, b: Tensor, window: int = 9, mask: Tensor | None = None, each: bool = False) -> Tensor:
    """Mean squared local correlation of two images.

    Parameters
    ----------
    a, b : (B, C, *spatial) tensors, two or three spatial axes, any intensity scale. Gradients flow to both.
    window : odd side length of the window in voxels.
    mask : (B, 1, *spatial) or None. Weights from 0 (ignored) to 1. Voxels outside count neither in the mean
        nor in the windows of their neighbours, whatever values they hold (they must be finite).
    each : a mean for each pair of the batch instead of one over all.

    Returns
    -------
    Scalar, or with ``each`` (B,), in [0, 1]; 1 means locally linearly related everywhere. Windows in which either image
    is constant score 0 and have zero gradient. A mask without any voxel gives 0.

    Raises
    ------
    ValueError : shapes differ, or the window is even or not positive.
    """
    if a.shape != b.shape:
        raise ValueError(f"Images to compare have different shapes, {tuple(a.shape)} and {tuple(b.shape)}.")
    if window < 1 or window % 2 == 0:
        raise ValueError(f"The window of the local correlation must be an odd number of voxels, not {window}.")
    with torch.autocast(a.device.type, enabled=False):
        precision = torch.float64 if torch.float64 in (a.dtype, b.dtype) else torch.float32
        a, b = a.to(precision), b.to(precision)
        weight = None if mask is None else mask.to(precision).expand(a.shape[0], 1, *a.shape[2:])
        a, floor_a = centred(a, weight)
        b, floor_b = centred(b, weight)
        if each and a.shape[0] > 1:
            rows = zip(
                a.split(1),
                b.split(1),
                [None] * len(a) if weight is None else weight.split(1),
                floor_a.split(1),
                floor_b.split(1),
            )
            return torch.stack([_LocalCorrelation.apply(x, y, part, window, *floors) for x, y, part, *floors in rows])
        score = _LocalCorrelation.apply(a, b, weight, window, floor_a, floor_b)
        return score[None] if each else score


def centred(image: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Image minus its mean, and the variance floor of its windows. Centring loses nothing (the correlation does not
    see a constant) and saves the digits that a variance as a difference of large numbers would cost.
    """
    axes = tuple(range(2, image.ndim))
    with torch.no_grad():
        share = torch.ones_like(image) if weight is None else weight
        share = share / share.sum(axes, keepdim=True).clamp_min(torch.finfo(image.dtype).tiny)
        mean = (share * image).sum(axes, keepdim=True)
        variance = (share * (image - mean).square()).sum(axes, keepdim=True)
        # A wholly constant image still has rounding noise of the size of its mean.
        noise = (mean * torch.finfo(image.dtype).eps * 16).square()
        floor = RELATIVE_FLOOR * variance + noise + torch.finfo(image.dtype).tiny ** 0.5
    return image - mean, floor


def window_sizes(image: Tensor, weight: Tensor | None, window: int) -> Tensor:
    """Voxels (or the sum of their weights) in the window around every voxel; quick enough not to be kept."""
    if weight is not None:
        return box_sum(weight, window).clamp_min(torch.finfo(image.dtype).tiny)
    sizes = image.new_ones(())
    for axis, length in enumerate(image.shape[2:]):
        index = torch.arange(length, device=image.device)
        inside = (index + window // 2).clamp_max(length - 1) - (index - window // 2).clamp_min(0) + 1
        sizes = sizes * inside.to(image.dtype).view([-1 if other == axis else 1 for other in range(image.ndim - 2)])
    return sizes


class _LocalCorrelation(torch.autograd.Function):
    """Forward and closed-form backward.

    With W the mean over a window, A = var(a) + floor, B = var(b) + floor, c = cov(a, b): the score is c² / (A B), and
    with p = 2 c / (A B) times the weight of the voxel in the mean and q = p c / A the gradient with respect to a is
    W*(p) b - W*(q) a - W*(p mean(b) - q mean(a)), where W* is the adjoint of W.
    """

    @staticmethod
    def forward(ctx, a, b, weight, window, floor_a, floor_b):
        size = window_sizes(a, weight, window)

        def window_mean(image):
            return box_sum(image if weight is None else image * weight, window).div_(size)

        mean_a, mean_b = window_mean(a), window_mean(b)
        variance_a = window_mean(a * a).addcmul_(mean_a, mean_a, value=-1)
        variance_b = window_mean(b * b).addcmul_(mean_b, mean_b, value=-1)
        covariance = window_mean(a * b).addcmul_(mean_a, mean_b, value=-1)
        share = ((variance_a > floor_a) & (variance_b > floor_b)).to(a.dtype)
        if weight is not None:
            share = share * weight
        total = a.numel() if weight is None else weight.sum().clamp_min(torch.finfo(a.dtype).tiny) * a.shape[1]
        variance_a, variance_b = variance_a + floor_a, variance_b + floor_b
        p = (covariance / (variance_a * variance_b)).mul_(share).div_(total)
        score = (p * covariance).sum()
        p.mul_(2)
        p_over = p * covariance
        ctx.window = window
        needs_a, needs_b = ctx.needs_input_grad[:2]
        if needs_a and needs_b:
            kept = (a, b, p, p_over / variance_a, p_over / variance_b)
        elif needs_a:
            q = p_over / variance_a
            kept = (a, b, p, q, p * mean_b - q * mean_a)
        else:
            q = p_over / variance_b
            kept = (a, b, p, q, p * mean_a - q * mean_b)
        ctx.save_for_backward(*kept, weight)
        return score

    @staticmethod
    def backward(ctx, gradient):
        a, b, p, fourth, fifth, weight = ctx.saved_tensors
        size = window_sizes(a, weight, ctx.window)
        needs_a, needs_b = ctx.needs_input_grad[:2]

        def adjoint(image):
            image = box_sum(image / size, ctx.window)
            return image if weight is None else image * weight

        with torch.autocast(a.device.type, enabled=False):
            spread_p = adjoint(p)
            if needs_a and needs_b:
                means = [box_sum(x if weight is None else x * weight, ctx.window) / size for x in (a, b)]
                rest_a, rest_b = p * means[1] - fourth * means[0], p * means[0] - fifth * means[1]
            else:
                rest_a = rest_b = fifth
            q_a, q_b = fourth, fifth if needs_a else fourth
            gradient_a = gradient_b = None
            if needs_a:
                gradient_a = gradient * (spread_p * b - adjoint(q_a) * a - adjoint(rest_a))
            if needs_b:
                gradient_b = gradient * (spread_p * a - adjoint(q_b) * b - adjoint(rest_b))
        return gradient_a, gradient_b, None, None, None, None
