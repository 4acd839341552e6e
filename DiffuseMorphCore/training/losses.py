"""The terms of the joint objective (paper, equations 7 to 9), with means where the paper writes sums of squares.

Means make the weights independent of the image size, and the paper's lambdas only make sense with them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from DiffuseMorphCore.warp import warp


def noise_loss(latent: Tensor, noise: Tensor) -> Tensor:
    """Mean squared error of the noise estimate (equation 8). Both (B, 1, *spatial)."""
    return (latent - noise).square().mean()


def smoothness(field: Tensor) -> Tensor:
    """Squared forward differences of a field, mean per axis, then over the axes (second term of equation 9).

    field : (B, ndim, *spatial) displacement or velocity in voxels. Returns a scalar in voxels² per voxel².
    """
    axes = range(2, field.ndim)
    return torch.stack([field.diff(dim=axis).square().mean() for axis in axes if field.shape[axis] > 1]).mean()


def soft_dice(moving_labels: Tensor, fixed_labels: Tensor, displacement: Tensor, labels: Tensor) -> Tensor:
    """1 - mean soft Dice of some labels after the warp.

    moving_labels, fixed_labels : (B, 1, *spatial) of whole numbers. displacement : (B, ndim, *spatial) in voxels.
    labels : (K,) the values to compare; one that neither image shows counts as perfectly matched.
    Each label of the moving image is warped as a soft mask, linearly, so the gradient reaches the displacement.
    """
    axes = tuple(range(2, displacement.ndim))
    wanted = labels.view(1, -1, *[1] * len(axes))
    moved = warp((moving_labels == wanted).float(), displacement)
    target = (fixed_labels == wanted).float()
    overlap = (moved * target).sum(axes)
    return 1 - ((2 * overlap + 1e-3) / (moved.sum(axes) + target.sum(axes) + 1e-3)).mean()


def folding_penalty(displacement: Tensor) -> Tensor:
    """Mean of how far the forward-difference Jacobian determinant of the map p + u(p) falls below 0.1.

    displacement : (B, ndim, *spatial) in voxels. Zero for maps that are clearly fold-free; a scalar.
    """
    ndim = displacement.shape[1]
    inner = (slice(None), slice(None)) + (slice(0, -1),) * ndim
    columns = []
    for axis in range(ndim):
        step = displacement.diff(dim=2 + axis)
        region = list(inner)
        region[2 + axis] = slice(None)
        column = step[tuple(region)].clone()
        column[:, axis] += 1
        columns.append(column)
    if ndim == 2:
        (a, c), (b, d) = (column.unbind(1) for column in columns)
        determinant = a * d - b * c
    else:
        determinant = (columns[0] * torch.linalg.cross(columns[1], columns[2], dim=1)).sum(1)
    return (0.1 - determinant).clamp_min(0).mean()


def known_field_loss(displacement: Tensor, known: Tensor) -> Tensor:
    """Mean squared distance in voxels² to the true displacement, where it is known; 0 if it is known nowhere.

    Both (B, ndim, *spatial) in voxels, `known` NaN where unknown.
    """
    difference = torch.where(known.isnan(), 0.0, displacement - known.nan_to_num())
    return difference.square().sum() / (~known[:, :1].isnan()).sum().clamp_min(1)
