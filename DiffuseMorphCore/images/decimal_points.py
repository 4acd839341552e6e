"""Numbers in files have decimal points, whatever the locale of the program says."""

from __future__ import annotations

import locale
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0
_before: str | None = None


@contextmanager
def decimal_points() -> Iterator[None]:
    """Let C and C++ libraries read and write numbers with decimal points inside the block.

    ITK reads the text "2.9" as 2 in a program that has set a locale with decimal commas. The locale belongs to the
    whole process: it is changed only where it has another sign, and given back when the last thread leaves its block.
    """
    global _inside, _before
    with _lock:
        if _inside == 0 and locale.localeconv()["decimal_point"] != ".":
            _before = locale.setlocale(locale.LC_NUMERIC)
            locale.setlocale(locale.LC_NUMERIC, "C")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _before is not None:
                locale.setlocale(locale.LC_NUMERIC, _before)
                _before = None
