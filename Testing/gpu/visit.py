"""What all visits to a GPU share: a time limit, parts that fail alone, a short table last, and everything as JSON."""

from __future__ import annotations

import json
import platform
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from DiffuseMorphCore.devices import describe_device
from DiffuseMorphCore.files import completed


class Visit:
    """One visit: `minutes` in all, results into the file `out`."""

    def __init__(self, name: str, device: torch.device, minutes: float, out: Path) -> None:
        self.device, self.out, self.start = device, out, time.monotonic()
        self.end = self.start + 60 * minutes
        self.table: list[tuple[str, str, str]] = []
        self.content: dict[str, Any] = {
            "visit": name,
            "device": describe_device(device),
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "cuda": torch.version.cuda,
                "numpy": np.__version__,
            },
            "parts": {},
        }

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.end - time.monotonic()

    def part(self, name: str, work: Callable[[], dict[str, Any]], needs: float = 0.0) -> dict[str, Any] | None:
        """Do one part, unless fewer seconds are left than it needs; what goes wrong in it does not end the visit.

        Its result goes into the file at once, so that a visit that is cut off has brought home what it knew.
        """
        if self.left < needs:
            self.content["parts"][name] = {"skipped": f"{self.left:.0f} s were left, it needs {needs:.0f}"}
            self.row(name, "skipped", "no time left")
            return None
        begin = time.monotonic()
        try:
            found = work()
        except Exception as error:
            found = {"failed": f"{type(error).__name__}: {error}", "where": traceback.format_exc()}
            self.row(name, "FAILED", str(error).splitlines()[0][:90] if str(error) else type(error).__name__)
        found["seconds_of_the_part"] = round(time.monotonic() - begin, 2)
        self.content["parts"][name] = found
        self.write()
        return None if "failed" in found else found

    def row(self, what: str, value: str, note: str = "") -> None:
        """A row of the table that is printed last."""
        self.table.append((what, value, note))

    def write(self) -> None:
        """The file as far as it goes."""
        with completed(self.out, make_folder=True) as part:
            part.write_text(json.dumps(self.content, indent=1, default=str), encoding="utf-8")

    def finish(self) -> int:
        """Write the file, print the table; the exit status: 1 where a part failed."""
        self.content["seconds"] = round(time.monotonic() - self.start, 1)
        self.content["table"] = self.table
        self.write()
        widths = [max(len(row[column]) for row in self.table) for column in range(2)]
        print(f"\n{self.content['visit']} on {self.content['device']}, {self.content['seconds']:.0f} s")
        for what, value, note in self.table:
            print(f"{what:<{widths[0]}}  {value:>{widths[1]}}  {note}".rstrip())
        sys.stdout.flush()
        return int(any("failed" in part for part in self.content["parts"].values()))
