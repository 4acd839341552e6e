"""What every reader of points gives: their positions, their names, and the way to write them again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid

RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
"""Factors of x, y, z from one space to the other, either way."""
SPACES = ("LPS", "RAS")


@dataclass(frozen=True)
class MovablePoints:
    """The points of a file.

    points : (N, 3), or (N, 2) from a table of x and y; mm, LPS. names : of the points, where the file has them; else
    empty. write : called with a path, points in place of these, and the grid of the image that they lie on now (None
    where that is unknown), writes the file that was read with those positions.
    """

    points: np.ndarray
    names: tuple[str, ...]
    write: Callable[[Path, np.ndarray, Grid | None], None]


def factors(space: str, ndim: int = 3) -> np.ndarray:
    """What coordinates of a space are multiplied with to be LPS, and back."""
    return (RAS_TO_LPS if space == "RAS" else np.ones(3))[:ndim]


def landmarks(
    fixed: MovablePoints, moving: MovablePoints, names: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Points of two files that belong together, (N, ndim) each, and what they are called.

    They are paired by name where both files name every point, no name stands twice, and some name is in both; else by
    order. ``names`` are what messages call the files.

    Raises
    ------
    DiffuseMorphError : no points, different dimensions, or pairing by order of files with different numbers of points.
    """
    for points, name in ((fixed, names[0]), (moving, names[1])):
        if not len(points.points):
            raise DiffuseMorphError(f"The {name} hold no point: place some, or leave them out.")
    if fixed.points.shape[1] != moving.points.shape[1]:
        raise DiffuseMorphError(
            f"The {names[0]} are {fixed.points.shape[1]}-D and the {names[1]} {moving.points.shape[1]}-D: "
            "give points of the same dimension."
        )
    common = [name for name in fixed.names if name in set(moving.names)]
    if common and all(_names_each(each) for each in (fixed, moving)):
        chosen = [each.points[[each.names.index(name) for name in common]] for each in (fixed, moving)]
        return chosen[0], chosen[1], tuple(common)
    if len(fixed.points) != len(moving.points):
        raise DiffuseMorphError(
            f"The {names[0]} are {len(fixed.points)} and the {names[1]} {len(moving.points)}, and their names do not "
            "pair them: give both files the same points in the same order, or the same names."
        )
    count = len(fixed.points)
    shown = fixed.names if _names_each(fixed) else tuple(str(number) for number in range(1, count + 1))
    return fixed.points, moving.points, shown


def _names_each(points: MovablePoints) -> bool:
    return len(points.names) == len(points.points) and all(points.names) and len(set(points.names)) == len(points.names)
