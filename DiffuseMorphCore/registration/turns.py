"""Turns by right angles: where images lie whose headers have lost or mistaken their orientation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import SimpleITK as sitk


def right_angles(ndim: int) -> list[np.ndarray]:
    """All rotations by multiples of 90 degrees but none, as (ndim, ndim) matrices: 3 in 2-D, 23 in 3-D."""
    found = []
    for order in itertools.permutations(range(ndim)):
        for signs in itertools.product((1.0, -1.0), repeat=ndim):
            matrix = np.zeros((ndim, ndim))
            matrix[range(ndim), order] = signs
            if np.linalg.det(matrix) > 0 and not np.array_equal(matrix, np.eye(ndim)):
                found.append(matrix)
    return found


def turned(matrix: np.ndarray, center: np.ndarray, target: np.ndarray) -> sitk.Transform:
    """The rigid transform that turns about ``center`` and takes that to ``target`` (mm), for a search to begin with."""
    result = sitk.Euler2DTransform() if len(center) == 2 else sitk.VersorRigid3DTransform()
    result.SetCenter(center.tolist())
    result.SetMatrix(matrix.ravel().tolist())
    result.SetTranslation((target - center).tolist())
    return result


def angle(matrix: np.ndarray) -> float:
    """Degrees of the rotation nearest to a matrix."""
    left, _, right = np.linalg.svd(matrix)
    rotation = left @ right
    cosine = (np.trace(rotation) - 1) / 2 if len(rotation) == 3 else rotation[0, 0]
    return math.degrees(math.acos(float(np.clip(cosine, -1, 1))))
