"""How long a file must be for the image that its header promises.

Several readers of ITK take what a cut file lacks for zeros, or for what was in memory, without a word. Formats that are
not listed here are refused by their own readers when they are cut short.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import printable
from DiffuseMorphCore.images.names import image_suffix
from DiffuseMorphCore.images.nifti import SUFFIXES, Header, files_of, unpacked_length
from DiffuseMorphCore.images.pictures import jpeg_is_complete, tiff_length

_AGAIN = "copy or export it again"


def check_length(path: Path, notes: list[str] | None = None) -> None:
    """Refuse an image file that ends before its last voxel; `notes` gathers what is odd but no fault.

    Raises DiffuseMorphError.
    """
    suffix = image_suffix(path)
    try:
        if suffix in SUFFIXES:
            _check_nifti(path, notes)
            return
        reader = sitk.ImageFileReader.GetImageIOFromFileName(str(path))
        if reader == "JPEGImageIO" and not jpeg_is_complete(path.read_bytes()):
            raise DiffuseMorphError(f"The image '{printable(path)}' is incomplete: {_AGAIN}.")
        if reader in _LENGTHS:
            needed, length = _LENGTHS[reader](path)
            if length < needed:
                raise _incomplete(path, length, needed)
    except (EOFError, zlib.error, struct.error, ValueError, IndexError) as error:
        raise DiffuseMorphError(f"The image '{printable(path)}' is damaged or incomplete: {_AGAIN}.") from error


def _check_nifti(path: Path, notes: list[str] | None) -> None:
    header_file, voxel_file = files_of(path)
    length, first, tail = unpacked_length(header_file)
    header = Header.of(first)
    if header is None:
        return
    if header_file != voxel_file:
        length, _, tail = unpacked_length(voxel_file)
    if length < header.offset + header.voxels:
        raise _incomplete(voxel_file, length, header.offset + header.voxels)
    if tail and notes is not None:
        notes.append(
            f"The file '{printable(path)}' has foreign bytes behind the end of the image, which were passed over."
        )


def _incomplete(path: Path, length: int, needed: int) -> DiffuseMorphError:
    return DiffuseMorphError(f"The image '{printable(path)}' is incomplete ({length:,} of {needed:,} bytes): {_AGAIN}.")


def _voxel_bytes(path: Path) -> int:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    kind = sitk.Image([1] * reader.GetDimension(), reader.GetPixelIDValue(), reader.GetNumberOfComponents())
    total = kind.GetSizeOfPixelComponent() * reader.GetNumberOfComponents()
    for side in reader.GetSize():
        total *= side
    return total


def _gipl(path: Path) -> tuple[int, int]:
    return 256 + _voxel_bytes(path), unpacked_length(path)[0]


def _mrc(path: Path) -> tuple[int, int]:
    length, first, _ = unpacked_length(path)
    order = ">" if first[212:213] == b"\x11" else "<"
    return 1024 + struct.unpack_from(order + "i", first, 92)[0] + _voxel_bytes(path), length


def _vtk(path: Path) -> tuple[int, int]:
    """Of a text file, the numbers there must be and are, in place of bytes."""
    with open(path, "rb") as file:
        file.readline()
        file.readline()
        text = file.readline().strip().upper() == b"ASCII"
        values = False
        while line := file.readline():
            word = line.split()[0].upper() if line.split() else b""
            if word == b"SCALARS":
                # The table's line follows in files of ITK and VTK, but the format lets it be left out.
                start, following = file.tell(), file.readline()
                if not following.upper().startswith(b"LOOKUP_TABLE"):
                    file.seek(start)
            values = word in (b"SCALARS", b"COLOR_SCALARS", b"VECTORS", b"TENSORS", b"NORMALS")
            if values:
                break
        start = file.tell()
        content = file.read() if text else b""
    if not values:
        raise EOFError
    if text:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        numbers = reader.GetNumberOfComponents()
        for side in reader.GetSize():
            numbers *= side
        return numbers, len(content.split())
    return start + _voxel_bytes(path), path.stat().st_size


def _bmp(path: Path) -> tuple[int, int]:
    with open(path, "rb") as file:
        first = file.read(54)
    offset, _, width, height, _, bits, packed, size = struct.unpack_from("<IIiiHHII", first, 10)
    needed = size if packed in (1, 2) else (width * bits + 31) // 32 * 4 * abs(height)
    return offset + needed, path.stat().st_size


def _tiff(path: Path) -> tuple[int, int]:
    return tiff_length(path), path.stat().st_size


_LENGTHS = {
    "GiplImageIO": _gipl,
    "MRCImageIO": _mrc,
    "VTKImageIO": _vtk,
    "BMPImageIO": _bmp,
    "TIFFImageIO": _tiff,
    "LSMImageIO": _tiff,
}
"""By the reader that SimpleITK takes for a file: the length it must have, and the length it has."""
