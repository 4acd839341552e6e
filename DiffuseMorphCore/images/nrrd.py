"""NRRD files with an axis of time, frame by frame: those of 3D Slicer's sequences have it first, others last."""

from __future__ import annotations

import gzip
import math
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import printable

_TYPES = {
    "int8": ("signed char", "int8", "int8_t"),
    "uint8": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "int16": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "uint16": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "int32": ("int", "signed int", "int32", "int32_t"),
    "uint32": ("uint", "unsigned int", "uint32", "uint32_t"),
    "int64": ("longlong", "long long", "int64", "int64_t"),
    "uint64": ("ulonglong", "unsigned long long", "uint64", "uint64_t"),
    "float32": ("float",),
    "float64": ("double",),
}
_BLOCK = 1 << 24  # bytes that are turned round at once


@dataclass(frozen=True)
class Nrrd:
    """What the header of a NRRD file with three axes of space and one of time says; file : with both in it.

    first : whether time is the axis that changes fastest. packed : by gzip.
    """

    file: Path
    offset: int
    kind: np.dtype
    size: tuple[int, ...]
    count: int
    first: bool
    packed: bool
    place: sitk.Image
    times: tuple[float, ...] | None

    @classmethod
    def of(cls, path: Path) -> Nrrd | None:
        """The header of a file; None where it has another form than this one reads."""
        with open(path, "rb") as file:
            if not file.readline().startswith(b"NRRD"):
                return None
            fields: dict[str, str] = {}
            for line in iter(file.readline, b""):
                text = line.decode("utf-8", "replace").strip()
                if not text:
                    break
                if match := re.match(r"([^#:]+):=?\s*(.*)", text):
                    fields[match[1].strip().lower()] = match[2]
            offset = file.tell()
        names = [name for name, spellings in _TYPES.items() if fields.get("type", "").lower() in spellings]
        sizes = [int(each) for each in fields.get("sizes", "").split() if each.isdigit()]
        kinds = fields.get("kinds", "").lower().split()
        directions = re.findall(r"none|\([^)]*\)", fields.get("space directions", ""))
        encoding = fields.get("encoding", "").lower()
        apart = [axis for axis, each in enumerate(directions) if each == "none"]
        if len(sizes) != 4 or "data file" in fields or not names or encoding not in ("raw", "gzip", "gz"):
            return None
        if len(directions) != 4 or apart not in ([0], [3]) or (kinds and kinds[apart[0]] not in ("list", "time")):
            return None
        order = ">" if fields.get("endian", "little").lower() == "big" else "<"
        try:
            place = _place(directions, fields, sizes, apart[0])
        except (ValueError, RuntimeError, KeyError):
            return None
        return cls(
            path,
            offset,
            np.dtype(names[0]).newbyteorder(order),
            place.GetSize(),
            sizes[apart[0]],
            apart == [0],
            encoding != "raw",
            place,
            _index_values(fields, sizes[apart[0]]),
        )

    def frames(self) -> tuple[Any, Callable[[int], sitk.Image]]:
        """What keeps the frames on disk, each in one piece, and a function that reads one.

        Raises DiffuseMorphError for a file that is shorter than its header says.
        """
        scratch = tempfile.TemporaryFile(prefix="diffusemorph-")
        voxels = math.prod(self.size)
        bytes_of_one = voxels * self.kind.itemsize
        scratch.truncate(bytes_of_one * self.count)
        with open(self.file, "rb") as file:
            file.seek(self.offset)
            source = gzip.GzipFile(fileobj=file) if self.packed else file
            # Frame after frame, or voxel after voxel with all of its frames: then a few voxels at a time.
            width = max(1, _BLOCK // (self.kind.itemsize * self.count)) if self.first else 0
            try:
                if not self.first:
                    for number in range(self.count):
                        scratch.seek(number * bytes_of_one)
                        scratch.write(self._piece(source, bytes_of_one))
                for start in range(0, voxels, width) if self.first else ():
                    part = min(width, voxels - start)
                    block = np.frombuffer(self._piece(source, part * self.count * self.kind.itemsize), self.kind)
                    for number, values in enumerate(block.reshape(part, self.count).T):
                        scratch.seek(number * bytes_of_one + start * self.kind.itemsize)
                        scratch.write(np.ascontiguousarray(values).data)
            except (OSError, EOFError) as error:
                raise self._damaged() from error
        scratch.flush()

        def read(number: int) -> sitk.Image:
            scratch.seek(number * bytes_of_one)
            values = np.frombuffer(scratch.read(bytes_of_one), self.kind).reshape(tuple(reversed(self.size)))
            image = sitk.GetImageFromArray(values.astype(self.kind.newbyteorder("=")))
            image.CopyInformation(self.place)
            return image

        return scratch, read

    def _piece(self, source: Any, length: int) -> bytes:
        found = source.read(length)
        if len(found) < length:
            raise self._damaged()
        return found

    def _damaged(self) -> DiffuseMorphError:
        return DiffuseMorphError(
            f"The sequence '{printable(self.file)}' is damaged or cut short: copy or export it again."
        )


def _place(directions: list[str], fields: dict[str, str], sizes: list[int], apart: int) -> sitk.Image:
    """An image of the size of a frame that lies where the header says (in LPS), one byte a voxel."""
    axes = np.array([[float(x) for x in each.strip("()").split(",")] for each in directions if each != "none"])
    space = fields["space"].lower()
    turn = {
        "left-posterior-superior": (1, 1, 1),
        "lps": (1, 1, 1),
        "right-anterior-superior": (-1, -1, 1),
        "ras": (-1, -1, 1),
        "left-anterior-superior": (1, -1, 1),
        "las": (1, -1, 1),
    }[space]
    axes = axes * np.array(turn)
    origin = np.array([float(x) for x in fields["space origin"].strip("() ").split(",")]) * np.array(turn)
    spacing = np.linalg.norm(axes, axis=1)
    image = sitk.Image([size for axis, size in enumerate(sizes) if axis != apart], sitk.sitkUInt8)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((axes / spacing[:, None]).T.ravel().tolist())
    image.SetOrigin(origin.tolist())
    return image


def _index_values(fields: dict[str, str], count: int) -> tuple[float, ...] | None:
    """The index of each frame, as 3D Slicer writes it, where it is a number and ascends."""
    text = fields.get("axis 0 index values", "")
    try:
        values = [float(each) for each in text.split()]
    except ValueError:
        return None
    return tuple(values) if len(values) == count and np.all(np.diff(values) > 0) else None
