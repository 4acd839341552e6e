"""Linear transforms as matrices: p -> matrix · p + offset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
import torch

_ROOTS = 30  # more than any transform between two images needs until it is near the identity


def linear_map(transform: sitk.Transform) -> tuple[np.ndarray, np.ndarray]:
    """The (ndim, ndim) matrix and (ndim,) offset of a linear transform of any kind, also of a composite of such."""
    ndim = transform.GetDimension()
    offset = np.array(transform.TransformPoint([0.0] * ndim))
    matrix = np.array([transform.TransformPoint(row) for row in np.eye(ndim).tolist()]).T - offset[:, None]
    return matrix, offset


def affine_transform(matrix: np.ndarray, offset: np.ndarray) -> sitk.AffineTransform:
    """The transform with this matrix and offset, centred at the origin."""
    return sitk.AffineTransform(
        np.asarray(matrix, dtype=float).ravel().tolist(), np.asarray(offset, dtype=float).tolist()
    )


def mean_transform(transforms: Sequence[sitk.Transform]) -> sitk.AffineTransform:
    """The mean of linear transforms, in which sizes are averaged as ratios and turns as angles.

    It is the map M for which the logarithms of M^-1 T have the mean 0 (the Karcher mean of the group), so it does not
    depend on where the common space of the transforms lies.

    Raises ValueError where they are too far apart for a mean (turned by half a turn against one another).
    """
    matrices = [_homogeneous(transform) for transform in transforms]
    mean = matrices[0]
    for _ in range(50):
        step = sum(_logarithm(np.linalg.solve(mean, each)) for each in matrices) / len(matrices)
        mean = mean @ torch.linalg.matrix_exp(torch.from_numpy(step)).numpy()
        if np.abs(step).max() < 1e-10 * max(1.0, np.abs(mean).max()):
            break
    return affine_transform(mean[:-1, :-1], mean[:-1, -1])


def _homogeneous(transform: sitk.Transform) -> np.ndarray:
    matrix, offset = linear_map(transform)
    result = np.eye(len(offset) + 1)
    result[:-1, :-1], result[:-1, -1] = matrix, offset
    return result


def _logarithm(matrix: np.ndarray) -> np.ndarray:
    """The logarithm of a matrix without eigenvalues on the negative axis, by square roots and a series."""
    identity, halvings = np.eye(len(matrix)), 0
    linear = slice(0, -1)
    while np.abs((matrix - identity)[linear, linear]).max() > 1e-3:
        halvings += 1
        if halvings > _ROOTS or not np.isfinite(matrix).all():
            raise ValueError("these transforms have no mean")
        matrix = _root(matrix)
    rest = matrix - identity  # nilpotent but for its small linear part
    power, result = identity, np.zeros_like(matrix)
    for order in range(1, 12):
        power = power @ rest
        result += (-1) ** (order + 1) * power / order
    return 2**halvings * result


def _root(matrix: np.ndarray) -> np.ndarray:
    """The square root, by the iteration of Denman and Beavers."""
    root, inverse = matrix, np.eye(len(matrix))
    for _ in range(_ROOTS):
        root, inverse = (root + np.linalg.inv(inverse)) / 2, (inverse + np.linalg.inv(root)) / 2
    return root
