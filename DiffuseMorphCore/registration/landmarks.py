"""Landmarks: read, brought onto a grid, where the alignment starts, and how far they end from their targets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import printable
from DiffuseMorphCore.points import MovablePoints, landmarks, read_points
from DiffuseMorphCore.registration.carried import points_to_warp
from DiffuseMorphCore.similarity.landmarks import LandmarkPull
from DiffuseMorphCore.transforms import transform_points

_FAR = 100  # extents of an image beyond which a point has no part in it
_FLAT = 1e-3  # share of the largest extent below which points count as being on a line


@dataclass(frozen=True)
class Landmarks:
    """Points (N, ndim) of the fixed and of the moving image that belong together, mm, LPS, and their names."""

    fixed: np.ndarray
    moving: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def load(cls, fixed: Any, moving: Any, grids: tuple[Grid, Grid], notes: list[str]) -> Landmarks:
        """From files of points or arrays (mm, LPS), paired by name, else by order.

        Raises
        ------
        DiffuseMorphError : one side is missing, they cannot be paired, or none lies on its image.
        """
        if fixed is None or moving is None:
            missing = "fixed" if fixed is None else "moving"
            raise DiffuseMorphError(f"The {missing} landmarks are missing: landmarks guide when both images have them.")
        read, names = [], []
        for source, role, grid in ((fixed, "fixed", grids[0]), (moving, "moving", grids[1])):
            if isinstance(source, (str, os.PathLike)):
                read.append(read_points(source))
                names.append(f"{role} landmarks '{printable(os.fspath(source))}'")
            else:
                points = points_to_warp(source, grid.ndim).reshape(-1, grid.ndim)
                read.append(MovablePoints(points, (), lambda *_: None))
                names.append(f"{role} landmarks")
            if read[-1].points.shape[1] != grid.ndim:
                raise DiffuseMorphError(
                    f"The {names[-1]} are {read[-1].points.shape[1]}-D, but the images are {grid.ndim}-D."
                )
        found = cls(*landmarks(*read, (names[0], names[1])))
        for source, name in zip(read, names):
            left = len(source.points) - len(found.names)
            if left:
                notes.append(f"Of the {name} {left} have no partner of their name and were left out.")
        for points, grid, name in ((found.fixed, grids[0], names[0]), (found.moving, grids[1], names[1])):
            indices = grid.indices(points)
            size = np.array(grid.size)
            if (np.abs(indices - size / 2) > _FAR * size.max()).any():
                raise DiffuseMorphError(
                    f"Some of the {name} lie more than {_FAR} times the image's size away from it: "
                    "check whether they belong to it and are in mm in LPS."
                )
            inside = ((indices >= -0.5) & (indices <= size - 0.5)).all(axis=1)
            if not inside.any():
                raise DiffuseMorphError(
                    f"None of the {name} lies in its image: check whether they belong to it and are in mm in LPS."
                )
            if not inside.all():
                notes.append(f"Of the {name} {int((~inside).sum())} lie outside the image.")
        return found

    def start(self) -> sitk.AffineTransform:
        """The rigid transform that fits best, fixed points to moving points; a shift where they are too few, or on a
        line, to say how to turn.
        """
        centres = self.fixed.mean(axis=0), self.moving.mean(axis=0)
        ndim = self.fixed.shape[1]
        fixed, moving = self.fixed - centres[0], self.moving - centres[1]
        turn = np.eye(ndim)
        extents = [np.linalg.svd(points, compute_uv=False) for points in (fixed, moving)]
        if len(fixed) >= ndim and all(each[ndim - 2] > _FLAT * max(each[0], 1e-9) for each in extents):
            left, _, right = np.linalg.svd(moving.T @ fixed)
            mirror = np.diag([*[1.0] * (ndim - 1), np.sign(np.linalg.det(left @ right))])
            turn = left @ mirror @ right
        return sitk.AffineTransform(turn.ravel().tolist(), (centres[1] - turn @ centres[0]).tolist())

    def pull(self, grid: Grid, alignment: sitk.AffineTransform) -> LandmarkPull:
        """The guide on a working grid, the alignment undone."""
        targets = transform_points(alignment.GetInverse(), self.moving)
        points, targets = (
            torch.tensor(grid.indices(each)[:, ::-1].copy(), dtype=torch.float32) for each in (self.fixed, targets)
        )
        return LandmarkPull(points, targets, grid.shape)

    def distances(self, transform: sitk.Transform) -> np.ndarray:
        """(N,) mm between where a transform takes the fixed landmarks and the moving ones."""
        return np.linalg.norm(transform_points(transform, self.fixed) - self.moving, axis=1)


def told(distances: np.ndarray) -> dict[str, float]:
    """Distances in mm for a report."""
    return {"mean": round(float(distances.mean()), 3), "max": round(float(distances.max()), 3)}
