"""Linear transforms as matrices: p -> matrix · p + offset."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk


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
