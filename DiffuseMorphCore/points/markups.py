"""Markups of 3D Slicer: .mrk.json and .fcsv."""

from __future__ import annotations

import copy
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import printable
from DiffuseMorphCore.points.movable import MovablePoints, factors

_BENDABLE = ("Fiducial", "Line", "Angle", "Curve", "ClosedCurve")
"""Markups that are their control points; a box or a plane would have to stay one."""
_FCSV_SPACES = {"0": "RAS", "1": "LPS", "RAS": "RAS", "LPS": "LPS"}


def read_mrk_json(path: Path, space: str) -> MovablePoints:
    """Control points of all markups in the file, which says itself in which space they are.

    Raises DiffuseMorphError for what is no such file, and for boxes and planes, which do not bend.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        markups = content["markups"]
        # Points that are not placed yet stand in the file without a place.
        placed = [
            (markup.get("coordinateSystem", "LPS"), point)
            for markup in markups
            for point in markup.get("controlPoints", [])
            if point.get("positionStatus", "defined") == "defined"
        ]
        points = [np.array(point["position"], dtype=float) * factors(_space(where)) for where, point in placed]
        names = tuple(str(point.get("label", "")) for _, point in placed)
        array = np.array(points, dtype=float).reshape(-1, 3)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DiffuseMorphError(
            f"The file '{printable(path)}' is not a markups file of 3D Slicer: save the markups again as .mrk.json."
        ) from error
    for markup in markups:
        if (kind := markup.get("type", "Fiducial")) not in _BENDABLE:
            raise DiffuseMorphError(
                f"The file '{printable(path)}' holds a markup of the kind {kind}, which does not stay one when it is "
                "deformed: give points, lines or curves, or make a model or a segmentation of it."
            )

    def write(target: Path, moved: np.ndarray, _: Any) -> None:
        changed = copy.deepcopy(content)
        rows = iter(moved.tolist())
        for markup in changed["markups"]:
            markup.pop("measurements", None)  # of the points as they were; Slicer measures anew
            for point in markup.get("controlPoints", []):
                if point.get("positionStatus", "defined") == "defined":
                    where = factors(_space(markup.get("coordinateSystem", "LPS")))
                    point["position"] = (np.array(next(rows)) * where).tolist()
        target.write_text(json.dumps(changed, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")

    return MovablePoints(array, names, write)


def read_fcsv(path: Path, space: str) -> MovablePoints:
    """Points of the older table of Slicer; ``space`` where its header does not say one (RAS before Slicer 4.11).

    Raises DiffuseMorphError for what is no such table.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        header = {
            key.strip(): value.strip()
            for key, _, value in (line[1:].partition("=") for line in lines if line.startswith("#"))
        }
        columns = [name.strip() for name in header.get("columns", "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label").split(",")]
        where = _FCSV_SPACES[header["CoordinateSystem"]] if "CoordinateSystem" in header else space
        places = [columns.index(name) for name in "xyz"]
        label = columns.index("label") if "label" in columns else None
        rows = [(number, next(csv.reader([line]))) for number, line in enumerate(lines) if line.strip()[:1] not in "#"]
        array = np.array([[float(row[place]) for place in places] for _, row in rows]).reshape(-1, 3)
        names = () if label is None else tuple(row[label] if label < len(row) else "" for _, row in rows)
    except (ValueError, KeyError, IndexError) as error:
        raise DiffuseMorphError(
            f"The file '{printable(path)}' is not a table of points of 3D Slicer: save the points again as .mrk.json."
        ) from error

    def write(target: Path, moved: np.ndarray, _: Any) -> None:
        text = list(lines)
        for (number, row), point in zip(rows, moved * factors(where)):
            changed = list(row)
            for place, value in zip(places, point.tolist()):
                changed[place] = repr(value)
            line = io.StringIO()
            csv.writer(line, lineterminator="").writerow(changed)
            text[number] = line.getvalue()
        target.write_text("\n".join(text) + "\n", encoding="utf-8")

    return MovablePoints(array * factors(where), names, write)


def _space(name: str) -> str:
    if name not in ("LPS", "RAS"):
        raise ValueError(f"the coordinates are in {name}")
    return name
