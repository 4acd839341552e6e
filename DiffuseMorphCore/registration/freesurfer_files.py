"""Transforms as FreeSurfer keeps them: a linear one in a .lta file, a deformation as a warp in an .mgz file."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import completed
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import write_complete
from DiffuseMorphCore.linear import linear_map

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_WARP_VERSION = 3 << 8 | 1
"""Of an .mgz file that holds a warp: the intent above the version of the format."""
_GEOMETRIES, _META = 10, 13  # tags after the voxels
_DISPLACEMENTS_RAS = 3  # of the four ways to write a warp: mm along the axes of the scanner
_NAME_LENGTH = 512


def write_lta(alignment: sitk.Transform, fixed: Grid, moving: Grid, path: Path) -> None:
    """A linear transform (fixed points to moving points, mm, LPS) the way round that FreeSurfer has it: from the RAS of
    the moving image, the source, to that of the fixed one.
    """
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear_map(alignment)
    lines = [
        "type      = 1 # LINEAR_RAS_TO_RAS",
        "nxforms   = 1",
        "mean      = 0.0 0.0 0.0",
        "sigma     = 1.0",
        "1 4 4",
    ]
    lines += [" ".join(f"{value:.15e}" for value in row) for row in LPS_TO_RAS @ np.linalg.inv(matrix) @ LPS_TO_RAS]
    for title, grid in (("src", moving), ("dst", fixed)):
        rotation, centre = _geometry(grid)
        lines += [f"{title} volume info", "valid = 1  # volume info valid", "filename = none"]
        lines += ["volume = " + " ".join(map(str, grid.size)), "voxelsize = " + _numbers(grid.spacing)]
        lines += [f"{axis}ras   = " + _numbers(rotation[:, number]) for number, axis in enumerate("xyz")]
        lines.append("cras   = " + _numbers(centre))
    with completed(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="ascii")


def write_warp(shifts: np.ndarray, reference: Grid, source: Grid, path: Path) -> None:
    """Displacements (*reference.shape, 3) in mm, LPS, from points of the reference to points of the source.

    Raises DiffuseMorphError without nibabel.
    """
    try:
        import nibabel
    except ImportError as error:
        raise DiffuseMorphError(
            "The format freesurfer needs the package nibabel: pip install 'diffusemorph[apply]'."
        ) from error
    values = (shifts * [-1.0, -1.0, 1.0]).transpose(2, 1, 0, 3).astype(np.float32)
    plain = nibabel.MGHImage(np.ascontiguousarray(values), voxel_affine(reference)).to_bytes()
    tail = _GEOMETRIES.to_bytes(4, "big") + _packed(source) + _packed(reference)
    tail += _META.to_bytes(4, "big") + (12).to_bytes(8, "big")
    tail += _DISPLACEMENTS_RAS.to_bytes(4, "big") + bytes(8)
    warp = _WARP_VERSION.to_bytes(4, "big") + plain[4:] + tail

    def write(part: Path) -> None:
        with gzip.open(part, "wb", compresslevel=6) as file:
            file.write(warp)

    write_complete(path, write, len(warp))


def voxel_affine(grid: Grid) -> np.ndarray:
    """Voxel indices to mm in RAS, (4, 4)."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(grid.direction).reshape(3, 3) * np.array(grid.spacing)
    matrix[:3, 3] = grid.origin
    return LPS_TO_RAS @ matrix


def _geometry(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Directions of the axes in RAS as columns, and the point in RAS that FreeSurfer takes for the middle: voxel
    size / 2, counted from 0.
    """
    matrix = voxel_affine(grid)
    middle = matrix @ [*(np.array(grid.size) / 2), 1.0]
    return matrix[:3, :3] / np.array(grid.spacing), middle[:3]


def _packed(grid: Grid) -> bytes:
    """A volume's geometry as the tag has it, without a file name."""
    rotation, centre = _geometry(grid)
    numbers = np.concatenate([grid.spacing, rotation.ravel(order="F"), centre]).astype(">f4")
    return np.array([1, *grid.size], ">i4").tobytes() + numbers.tobytes() + bytes(_NAME_LENGTH)


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:.15e}" for value in values)
