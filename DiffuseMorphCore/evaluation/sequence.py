"""Sequences of made hearts with known motion, beside as many registrations of pairs: error and time."""

from __future__ import annotations

import numpy as np

from DiffuseMorphCore.evaluation.datasets.heart_motion import HeartMotion
from DiffuseMorphCore.evaluation.datasets.phantom import grid_points, spacing
from DiffuseMorphCore.registration import Registration
from DiffuseMorphCore.transforms import transform_points

_POINTS = 4000  # of a heart, at which errors are measured


def distances(registration: Registration, person: int, shape: tuple[int, ...], time: float) -> np.ndarray:
    """(N,) mm by which points of the heart end beside where they truly are at a time.

    registration : fixed is the image at time 0. The points are drawn from the voxels of both chambers and the muscle.
    """
    heart = HeartMotion(person, in_plane=len(shape) == 2)
    there = grid_points(shape).reshape(-1, 3)
    before = heart.to_reference(there, time)
    inside = np.flatnonzero(heart.structures(before) > 0)
    chosen = np.random.default_rng(0).choice(inside, min(_POINTS, len(inside)), replace=False)
    # The phantom's points count from the middle of the field of view, its images from the first voxel.
    step = spacing(shape)
    middle = ((np.array(shape) - 1) / 2 * step)[::-1]
    start, end = (points[chosen][:, : len(shape)] + middle for points in (before, there))
    return np.linalg.norm(transform_points(registration.transform(), start) - end, axis=1)
