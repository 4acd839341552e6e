"""Writing frames in time, one after another, into one NIfTI file."""

from __future__ import annotations

import gzip
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import completed, printable, system_reason

_FIRST = 352  # bytes before the voxels
_MOST = 32767  # frames that the header can count


class TimeSeries:
    """A file in the making: :meth:`add` takes a frame after the other, all of one type and grid."""

    def __init__(self, file, count: int, step: float) -> None:
        self._file, self._count, self._step, self._started = file, count, step, False

    def add(self, frame: sitk.Image) -> None:
        """Write the next frame; a 2-D one as a volume of one slice."""
        if frame.GetDimension() == 2:
            frame = sitk.JoinSeries([frame])
        with tempfile.TemporaryDirectory(prefix="diffusemorph-") as folder:
            name = Path(folder) / "frame.nii"
            sitk.WriteImage(sitk.JoinSeries([frame]), str(name))
            content = name.read_bytes()
        if not self._started:
            header = bytearray(content[:_FIRST])
            struct.pack_into("<h", header, 40, 4)
            struct.pack_into("<h", header, 48, self._count)
            struct.pack_into("<f", header, 92, self._step)
            self._file.write(bytes(header))
            self._started = True
        self._file.write(content[_FIRST:])


@contextmanager
def time_series(path: Path, count: int, step: float = 1.0) -> Iterator[TimeSeries]:
    """A NIfTI file (.nii.gz) of so many frames, whole or not at all when the block ends; one frame is held at a time.

    Raises DiffuseMorphError where it cannot be written.
    """
    if count > _MOST:
        raise DiffuseMorphError(f"A NIfTI file holds {_MOST} frames at most, not {count}.")
    try:
        with completed(path) as part, open(part, "wb") as file, gzip.GzipFile("", "wb", 5, file, 0) as packed:
            yield TimeSeries(packed, count, step)
    except OSError as error:
        raise DiffuseMorphError(f"The file '{printable(path)}' cannot be written: {system_reason(error)}.") from error
