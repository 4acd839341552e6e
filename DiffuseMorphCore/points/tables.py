"""Tables of points: CSV with the columns x, y and z."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import printable
from DiffuseMorphCore.points.movable import MovablePoints, factors

_NAME_COLUMNS = ("name", "label", "id", "point")


def read_csv(path: Path, space: str) -> MovablePoints:
    """Points of a table in ``space``, in mm: with a first line that names the columns x, y and z (or x and y alone, for
    2-D images), or without one two or three numbers a line. Further columns stay as they are.

    Raises DiffuseMorphError naming the line that holds no point.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DiffuseMorphError(f"The file '{printable(path)}' is not text: give a table with x, y, z.") from error
    delimiter = next((each for each in (",", ";", "\t") if each in text), ",")
    rows = [row for row in csv.reader(text.splitlines(), delimiter=delimiter)]
    filled = [number for number, row in enumerate(rows) if any(cell.strip() for cell in row)]
    if not filled:
        raise DiffuseMorphError(f"The file '{printable(path)}' is empty: give a table with x, y, z.")
    header = [cell.strip().lower() for cell in rows[filled[0]]]
    named = {"x", "y"} <= set(header)
    places = [header.index(name) for name in "xyz" if name in header] if named else list(range(len(header[:3])))
    lines = filled[1:] if named else filled
    label = next((header.index(name) for name in _NAME_COLUMNS if named and name in header), None)
    points = [_numbers(path, number, rows[number], places) for number in lines]
    if not points:
        raise DiffuseMorphError(
            f"The file '{printable(path)}' names columns, but holds no point: give one with x, y, z."
        )
    array = np.array(points, dtype=float).reshape(-1, len(places))
    names = () if label is None else tuple(rows[number][label].strip() for number in lines)

    def write(target: Path, moved: np.ndarray, _: Any) -> None:
        changed = [list(row) for row in rows]
        for number, point in zip(lines, moved * factors(space, len(places))):
            for place, value in zip(places, point.tolist()):
                changed[number][place] = repr(value)
        with open(target, "w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows(changed)

    return MovablePoints(array * factors(space, len(places)), names, write)


def _numbers(path: Path, line: int, row: list[str], places: list[int]) -> list[float]:
    try:
        values = [float(row[place]) for place in places]
    except (ValueError, IndexError):
        values = []
    if len(values) < 2 or not np.isfinite(values).all():
        raise DiffuseMorphError(
            f"Line {line + 1} of '{printable(path)}' does not hold the numbers x, y, z of a point: correct it, or name "
            "the columns x, y and z in the first line."
        )
    return values
