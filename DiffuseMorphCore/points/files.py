"""Which reader a file of points takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import system_reason
from DiffuseMorphCore.images import printable
from DiffuseMorphCore.points.markups import read_fcsv, read_mrk_json
from DiffuseMorphCore.points.movable import SPACES, MovablePoints
from DiffuseMorphCore.points.streamlines import STREAMLINE_SUFFIXES, read_streamlines
from DiffuseMorphCore.points.surfaces import SURFACE_SUFFIXES, is_image_vtk, read_surface
from DiffuseMorphCore.points.tables import read_csv

_READERS = (
    {".mrk.json": read_mrk_json, ".fcsv": read_fcsv, ".csv": read_csv}
    | dict.fromkeys(SURFACE_SUFFIXES, read_surface)
    | dict.fromkeys(STREAMLINE_SUFFIXES, read_streamlines)
)
POINT_SUFFIXES = tuple(_READERS)


def point_suffix(path: str | Path) -> str:
    """The extension of a file of points, in lower case; empty where it is none."""
    name = Path(path).name.lower()
    return next((suffix for suffix in POINT_SUFFIXES if name.endswith(suffix)), "")


def is_point_file(path: str | Path) -> bool:
    """Whether a file holds points, by its extension, and a .vtk file by what it holds."""
    path, suffix = Path(path), point_suffix(path)
    return bool(suffix) and not path.is_dir() and not (suffix == ".vtk" and path.is_file() and is_image_vtk(path))


def read_points(path: str | Path, space: str = "LPS") -> MovablePoints:
    """The points of a markups file (.mrk.json, .fcsv), a table (.csv), a surface (.vtk, .vtp, .vtu, .ply, .stl, .obj)
    or streamlines (.trk, .tck).

    Parameters
    ----------
    path : the file. space : ``"LPS"`` or ``"RAS"``, the space of the coordinates in files that do not say it.

    Raises
    ------
    DiffuseMorphError : there is no such file, it is no file of points, or damaged.
    """
    path = Path(path)
    if space not in SPACES:
        raise DiffuseMorphError(f"The space of points is '{space}', but must be one of {', '.join(SPACES)}.")
    if not point_suffix(path):
        raise DiffuseMorphError(
            f"The file '{printable(path)}' is no file of points: give one of {', '.join(POINT_SUFFIXES)}."
        )
    if not path.is_file():
        raise DiffuseMorphError(f"There is no file '{printable(path)}': check the name of the points.")
    try:
        found = _READERS[point_suffix(path)](path, space)
    except OSError as error:
        raise DiffuseMorphError(f"The file '{printable(path)}' cannot be read: {system_reason(error)}.") from error
    if not np.isfinite(found.points).all():
        raise DiffuseMorphError(f"Some points of '{printable(path)}' have coordinates that are not finite: mend them.")
    return found
