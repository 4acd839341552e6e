"""What a NIfTI or Analyze header says, and what the NIfTI reader of ITK gets wrong about the files it belongs to.

That reader takes what a cut file lacks for zeros, goes by the extension where the content says otherwise, and takes the
voxels of `scan.nii` for `scan.nii.gz` where both lie in a folder.
"""

from __future__ import annotations

import gzip
import math
import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import printable
from DiffuseMorphCore.images.names import image_suffix

SUFFIXES = (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz")
_HEADER = 540  # bytes that hold a header of any version
_FIRST = 4096  # bytes from the start of a file that tell about the rest
_UNITS = {1: 1000.0, 2: 1.0, 3: 0.001}  # metres, millimetres, micrometres


@dataclass(frozen=True)
class Header:
    """offset : bytes before the voxels; voxels : bytes of the voxels; single : both in one file; sform : the matrix (3,
    4) from indices to mm in RAS, or None.
    """

    offset: int
    voxels: int
    single: bool
    sform: np.ndarray | None

    @classmethod
    def of(cls, data: bytes) -> Header | None:
        """The header at the start of `data`; None where there is none."""
        if len(data) < 348:
            return None
        for order in "<>":
            kind = struct.unpack_from(order + "i", data)[0]
            if kind == 348:  # NIfTI-1, or Analyze, which has no magic word
                magic, sizes = data[344:347], struct.unpack_from(order + "8h", data, 40)
                bits = struct.unpack_from(order + "h", data, 72)[0]
                offset = struct.unpack_from(order + "f", data, 108)[0]
                code, rows, unit = struct.unpack_from(order + "h", data, 254)[0], (280, "12f"), data[123]
            elif kind == 540 and len(data) >= _HEADER:
                magic, sizes = data[4:7], struct.unpack_from(order + "8q", data, 16)
                bits = struct.unpack_from(order + "h", data, 14)[0]
                offset = struct.unpack_from(order + "q", data, 168)[0]
                code, rows, unit = struct.unpack_from(order + "i", data, 348)[0], (400, "12d"), data[500]
            else:
                continue
            if not 1 <= sizes[0] <= 7 or not math.isfinite(offset):
                return None
            voxels = math.prod(max(1, length) for length in sizes[1 : 1 + sizes[0]]) * bits // 8
            sform = None
            if magic in (b"n+1", b"ni1", b"n+2", b"ni2") and code > 0:
                sform = np.array(struct.unpack_from(order + rows[1], data, rows[0])).reshape(3, 4)
                sform = sform * _UNITS.get(unit & 7, 1.0)
            return cls(int(offset), voxels, magic[:2] == b"n+", sform)
        return None

    def place(self, image: sitk.Image, largest_shear: float) -> bool:
        """Give the image the header's axes where they are off right angles by no more than `largest_shear`.

        ITK takes the nearest right angles instead. Where it has placed the image elsewhere (by the header's other
        matrix, which a large shear makes it do), it stays there. Returns whether the image lies as the sform says.
        """
        if self.sform is None or image.GetDimension() != 3:
            return False
        matrix = np.diag([-1.0, -1.0, 1.0]) @ self.sform
        spacing = np.linalg.norm(matrix[:, :3], axis=0)
        if not np.isfinite(matrix).all() or spacing.min() <= 0:
            return False
        axes = matrix[:, :3] / spacing
        shear = np.abs(axes.T @ axes - np.eye(3)).max()
        given = np.array(image.GetDirection()).reshape(3, 3)
        near = np.abs(axes - given).max() < 2 * largest_shear and np.allclose(
            matrix[:, 3], image.GetOrigin(), rtol=1e-5, atol=1e-2 * spacing.min()
        )
        if shear > largest_shear or not near:
            return False
        if shear > 1e-5:  # less is the rounding of a header
            image.SetSpacing(spacing.tolist())
            image.SetDirection(axes.ravel().tolist())
        return True


def files_of(path: Path) -> tuple[Path, Path]:
    """The files of header and voxels of an image under the name of either; both are `path` in a single file."""
    suffix = image_suffix(path)
    if suffix in (".nii", ".nii.gz"):
        return path, path
    stem = path.name[: len(path.name) - len(suffix)]
    endings = (".gz", "") if suffix.endswith(".gz") else ("", ".gz")

    def other(kind: str) -> Path:
        names = [f".{kind}{ending}" for ending in endings]
        beside = [path.with_name(stem + each) for name in names for each in (name, name.upper())]
        found = [each for each in beside if each.is_file()]
        if not found:
            raise DiffuseMorphError(
                f"The file '{printable(path.with_name(stem + '.' + kind))}' is missing, which belongs to "
                f"'{printable(path)}': put the two side by side."
            )
        return found[0]

    return (path, other("img")) if suffix.startswith(".hdr") else (other("hdr"), path)


def is_packed(path: Path) -> bool:
    """Whether the content of a file is compressed by gzip, whatever its name."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def unpacked_length(path: Path) -> tuple[int, bytes, bool]:
    """Bytes of a file's content, unpacked where it is compressed; its first bytes; whether foreign bytes follow its
    end.

    What is not compressed is not read. Raises EOFError or zlib.error for what is cut short or damaged within.
    """
    with open(path, "rb") as file:
        if not is_packed(path):
            return os.fstat(file.fileno()).st_size, file.read(_FIRST), False
        return _unpacked(file)


def _unpacked(file: BinaryIO) -> tuple[int, bytes, bool]:
    length, first = 0, b""
    try:
        with gzip.GzipFile(fileobj=file) as content:
            # One piece of the stream at a time: a fault behind its end must not take what came before along.
            while block := content.read1(1 << 22):
                if len(first) < _FIRST:
                    first += block[: _FIRST - len(first)]
                length += len(block)
    except gzip.BadGzipFile as error:
        # Bytes after the end of the compressed stream, which the readers pass over; a wrong checksum is damage.
        if length and "Not a gzipped file" in str(error):
            return length, first, True
        raise zlib.error(str(error)) from error
    return length, first, False


@contextmanager
def under_plain_name(header: Path, voxels: Path) -> Iterator[Path]:
    """The name under which ITK reads these very files: their own where it would, else that of a link or a copy."""
    suffix = image_suffix(header)
    packed = is_packed(voxels)
    plain = header.name.endswith((suffix, suffix.upper())) and packed == suffix.endswith(".gz")
    stem = header.name[: len(header.name) - len(suffix)]
    beside = [header.with_name(stem + each) for suffix in SUFFIXES for each in (suffix, suffix.upper())]
    rivals = [each for each in beside if each.exists() and not each.samefile(header) and not each.samefile(voxels)]
    if plain and not rivals and image_suffix(voxels).endswith(".gz") == packed:
        yield header
        return
    with tempfile.TemporaryDirectory() as folder:
        ending = ".gz" if packed else ""
        if header == voxels:
            name = _link(header, Path(folder) / f"image.nii{ending}")
        else:
            _link(voxels, Path(folder) / f"image.img{ending}")
            name = _link(header, Path(folder) / f"image.hdr{'.gz' if is_packed(header) else ''}")
        yield name


def _link(source: Path, target: Path) -> Path:
    try:
        target.symlink_to(source.absolute())
    except OSError:  # Windows lets not everybody make links
        shutil.copyfile(source, target)
    return target
