"""How far the data of a TIFF or JPEG file reach; their readers do not say when a file ends before."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_OFFSETS, _COUNTS = (273, 324), (279, 325)  # of strips and of tiles


def tiff_length(path: Path) -> int:
    """Bytes that a TIFF (or BigTIFF) file must have for all strips and tiles of all of its pages.

    Raises struct.error or ValueError where the file ends within its tables or they make no sense.
    """
    with open(path, "rb") as file:
        first = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(first[:2])
        if order is None:
            return 0  # no TIFF: its reader will say so
        large = struct.unpack_from(order + "H", first, 2)[0] == 43
        page = struct.unpack_from(order + ("Q" if large else "I"), first, 8 if large else 4)[0]
        end, seen = 0, set()
        while page and page not in seen:
            seen.add(page)
            page, reach = _page(file, page, order, large)
            end = max(end, reach)
    return end


def _page(file: BinaryIO, at: int, order: str, large: bool) -> tuple[int, int]:
    """Where the next page starts (0: nowhere), and where the data of this one end."""
    count_kind, entry_kind, pointer = ("Q", "HHQ", "Q") if large else ("H", "HHI", "I")
    inline = 8 if large else 4
    file.seek(at)
    count = _unpack(file, order + count_kind)[0]
    tables: dict[int, tuple[int, ...]] = {}
    for number in range(count):
        file.seek(at + struct.calcsize(order + count_kind) + number * (struct.calcsize(order + entry_kind) + inline))
        tag, kind, values = _unpack(file, order + entry_kind)
        if tag in (*_OFFSETS, *_COUNTS) and kind in _NUMBERS:
            if values * _SIZES[kind] > inline:
                file.seek(_unpack(file, order + pointer)[0])
            tables[tag] = _unpack(file, f"{order}{values}{_NUMBERS[kind]}")
    file.seek(at + struct.calcsize(order + count_kind) + count * (struct.calcsize(order + entry_kind) + inline))
    following = file.read(inline)
    # Readers take a missing pointer behind the last page for its end, but a page that is not there is a cut.
    next_page = struct.unpack(order + pointer, following)[0] if len(following) == inline else 0
    reach = 0
    for offsets, counts in zip(_OFFSETS, _COUNTS):
        reach = max(
            [reach, *(start + length for start, length in zip(tables.get(offsets, ()), tables.get(counts, ())))]
        )
    return next_page, reach


def _unpack(file: BinaryIO, kinds: str) -> tuple[int, ...]:
    return struct.unpack(kinds, file.read(struct.calcsize(kinds)))


def jpeg_is_complete(data: bytes) -> bool:
    """Whether a JPEG stream comes to its end marker, that of the picture and not that of a thumbnail inside it."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return False
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
            continue
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
        if marker != 0xDA:
            continue
        # A scan: its end is the first marker that neither stuffs a byte nor restarts the decoder.
        at = data.find(b"\xff", at)
        while at >= 0 and (
            data[at + 1 : at + 2] in (b"\x00", b"\xff") or 0xD0 <= (data[at + 1 : at + 2] or b"\0")[0] <= 0xD7
        ):
            at = data.find(b"\xff", at + (1 if data[at + 1 : at + 2] == b"\xff" else 2))
        if at < 0:
            return False
        if data[at + 1 : at + 2] == b"\xd9":
            return True
    return False
