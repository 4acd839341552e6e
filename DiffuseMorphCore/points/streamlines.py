"""Streamlines of diffusion MR, by nibabel: .trk and .tck."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import printable
from DiffuseMorphCore.points.movable import RAS_TO_LPS, MovablePoints

STREAMLINE_SUFFIXES = (".trk", ".tck")


def read_streamlines(path: Path, space: str) -> MovablePoints:
    """Points of all streamlines, one after the other; both formats say themselves where they lie.

    A .trk that is written belongs to the grid that its points lie on now; without one to the one it had.

    Raises DiffuseMorphError where the package nibabel is missing, and for a file that holds no streamlines.
    """
    try:
        from nibabel import streamlines
        from nibabel.streamlines.array_sequence import ArraySequence
    except ImportError as error:
        raise DiffuseMorphError(
            f"The streamlines '{printable(path)}' need the package nibabel: pip install nibabel."
        ) from error
    try:
        file = streamlines.load(str(path))
        tractogram = file.tractogram.to_world()
        data = tractogram.streamlines.get_data()
    except Exception as error:  # nibabel and struct have many
        raise DiffuseMorphError(
            f"The file '{printable(path)}' holds no streamlines that could be read: export it again."
        ) from error

    def write(target: Path, moved: np.ndarray, grid: Grid | None) -> None:
        lines = ArraySequence()
        start = 0
        rows = (moved * RAS_TO_LPS).astype(np.float32)
        for length in (len(line) for line in tractogram.streamlines):
            lines.append(rows[start : start + length])
            start += length
        changed = streamlines.Tractogram(
            lines, tractogram.data_per_streamline, tractogram.data_per_point, affine_to_rasmm=np.eye(4)
        )
        header = dict(file.header)
        if grid is not None and path.suffix.lower() == ".trk":
            header |= _header(grid)
        streamlines.save(changed, str(target), header=header)

    return MovablePoints(np.asarray(data, dtype=float).reshape(-1, 3) * RAS_TO_LPS, (), write)


def _header(grid: Grid) -> dict:
    """What a .trk says of the image that its streamlines lie on."""
    from nibabel.orientations import aff2axcodes

    affine = np.eye(4)
    affine[:3, :3] = RAS_TO_LPS[:, None] * np.array(grid.direction).reshape(3, 3) * np.array(grid.spacing)
    affine[:3, 3] = RAS_TO_LPS * np.array(grid.origin)
    return {
        "dimensions": np.array(grid.size, dtype=np.int16),
        "voxel_sizes": np.array(grid.spacing, dtype=np.float32),
        "voxel_to_rasmm": affine.astype(np.float32),
        "voxel_order": "".join(aff2axcodes(affine)).encode(),
    }
