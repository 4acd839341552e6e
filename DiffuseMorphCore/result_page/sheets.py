"""Volumes as pictures that a browser can decode: their slices side by side in one JPEG or PNG, as a data URI."""

from __future__ import annotations

import base64
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

_QUALITY = 93  # of JPEG, 0 to 100: errors of one or two grey values


@dataclass(frozen=True)
class Sheet:
    """A volume in one picture.

    uri : the picture. shape : of the volume, (slices, rows, columns). columns : slices in a row of the picture.
    decoded : what comes out of the picture again, (slices, rows, columns[, 3]) of 0 to 255.
    """

    uri: str
    shape: tuple[int, int, int]
    columns: int
    decoded: np.ndarray

    def entry(self) -> dict[str, object]:
        """For the page's data."""
        return {"uri": self.uri, "shape": list(self.shape), "columns": self.columns}


def sheet(values: np.ndarray, exact: bool = False) -> Sheet:
    """A volume (slices, rows, columns[, 3]) of whole numbers from 0 to 255 in one picture, PNG where ``exact``."""
    depth, rows, width = values.shape[:3]
    columns = max(1, math.ceil(math.sqrt(depth * rows / width)))
    lines = math.ceil(depth / columns)
    tiles = np.zeros((lines * columns, *values.shape[1:]), np.uint8)
    tiles[:depth] = values
    picture = _side_by_side(tiles, lines, columns)
    uri, back = _encoded(picture, ".png" if exact else ".jpg")
    split = back.reshape(lines, rows, columns, width, -1).swapaxes(1, 2)
    decoded = split.reshape(lines * columns, *values.shape[1:])[:depth]
    return Sheet(uri, (depth, rows, width), columns, decoded)


def picture_uri(values: np.ndarray) -> str:
    """A picture (rows, columns[, 3]) of whole numbers from 0 to 255 as a data URI."""
    return _encoded(values.astype(np.uint8), ".jpg")[0]


def _side_by_side(tiles: np.ndarray, lines: int, columns: int) -> np.ndarray:
    _, rows, width, *colours = tiles.shape
    return (
        tiles.reshape(lines, columns, rows, width, -1).swapaxes(1, 2).reshape(lines * rows, columns * width, *colours)
    )


def _encoded(picture: np.ndarray, suffix: str) -> tuple[str, np.ndarray]:
    """The data URI, and the picture as it is when decoded. SimpleITK writes both formats wherever this package runs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"picture{suffix}"
        image = sitk.GetImageFromArray(np.ascontiguousarray(picture), isVector=picture.ndim == 3)
        sitk.WriteImage(image, str(path), True, 9 if suffix == ".png" else _QUALITY)
        kind = "png" if suffix == ".png" else "jpeg"
        text = base64.b64encode(path.read_bytes()).decode("ascii")
        return f"data:image/{kind};base64,{text}", sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
