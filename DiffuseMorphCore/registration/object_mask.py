"""Where on its grid an image shows anything; needs no SimpleITK."""

from __future__ import annotations

import numpy as np

OBJECT = 0.1
"""Share of the range of intensities off the background from which on there is something in a voxel of usual size."""


def object_of(values: np.ndarray, background: float, least: float = OBJECT) -> np.ndarray:
    """Where there is something but background, (*spatial) bool; everywhere where there is nothing else.

    values : intensities from 0 to 1. least : how far off the background something is.
    """
    inside = np.abs(values - background) > least
    return inside if inside.any() else np.ones_like(inside)
