"""Time and peak memory of registrations of large images by preset, each measured in a process of its own."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.phantom import frame
from DiffuseMorphCore.evaluation.machine import machine, peak_memory, reset_peak_memory, set_threads
from DiffuseMorphCore.evaluation.records import write_text
from DiffuseMorphCore.evaluation.report import facts, markdown_table


@dataclass(frozen=True)
class Kind:
    """A kind of images that users have: what it is called in the table, and its shape in array order."""

    title: str
    shape: tuple[int, ...]


KINDS = {
    "brain": Kind("brain, 1 mm", (160, 192, 224)),
    "head": Kind("head, 0.6 mm", (300, 400, 400)),
    "ct": Kind("CT of a trunk, 0.7 mm", (450, 512, 512)),
    "slide": Kind("slide, 8 megapixels", (2448, 3264)),
}


def register_once(shape: tuple[int, ...], quality: str, model: str | None, device: str) -> dict:
    """Register the ends of a synthetic phantom beat on a grid of `shape` (array order): seconds, peak memory in GiB,
    and grids in array order.
    """
    from DiffuseMorphCore.registration import register

    moving, fixed = (frame(1, shape, end) for end in (0.0, 1.0))
    reset_peak_memory()
    before = peak_memory()
    start = time.perf_counter()
    result = register(fixed, moving, quality=quality, model=model, device=device)
    result.warp()
    grids = result.report["grids"]
    return {
        "shape": shape,
        "quality": quality,
        "device": result.report["device"],
        "seconds": time.perf_counter() - start,
        "peak_gib": peak_memory(),
        "peak_gib_before": before,
        "working_grid": grids["working"][::-1],
        "delivered_grid": grids["delivered_at_eta_1"][::-1],
        "folded_percent": 100 * result.report["folding"]["share"],
        "notes": result.report["notes"],
    }


def run_memory(
    out: str | Path,
    *,
    kinds: Sequence[Kind] = tuple(KINDS.values()),
    qualities: Sequence[str] = ("fast", "default", "best"),
    model: str | None = "default",
    device: str = "cpu",
    threads: int = 2,
) -> Path:
    """Register a made pair of each of the `kinds` with each of the presets, each in a fresh process.

    Writes `memory.json` and `memory.md` into `out` and returns the path of the latter. Raises DiffuseMorphError where
    a process fails, with the last line of what it said.
    """
    rows = []
    for kind, quality in itertools.product(kinds, qualities):
        request = {"shape": kind.shape, "quality": quality, "model": model, "device": device, "threads": threads}
        job = subprocess.run(
            [sys.executable, "-m", "DiffuseMorphCore.evaluation.memory", json.dumps(request)],
            capture_output=True,
            text=True,
            check=False,
        )
        if job.returncode:
            said = (job.stderr.strip() or "nothing").splitlines()[-1]
            raise DiffuseMorphError(f"The registration of a {_sides(kind.shape)} pair failed, saying: {said}")
        rows.append({"kind": kind.title, **json.loads(job.stdout.splitlines()[-1])})
    headings = [
        "images",
        "voxels (million)",
        "preset",
        "working grid",
        "delivered at eta 1",
        "seconds",
        "peak memory (GiB)",
        "of it before the registration",
        "folded voxels (%)",
    ]
    table = markdown_table(
        headings,
        [
            [
                f"{row['kind']}: {_sides(row['shape'])}",
                f"{math.prod(row['shape']) / 1e6:.1f}",
                row["quality"],
                _sides(row["working_grid"]),
                _sides(row["delivered_grid"]),
                f"{row['seconds']:.1f}",
                f"{row['peak_gib']:.2f}",
                f"{row['peak_gib_before']:.2f}",
                f"{row['folded_percent']:.4f}",
            ]
            for row in rows
        ],
    )
    write_text(Path(out) / "memory.json", json.dumps(rows, indent=1))
    notes = [f"- {row['kind']}, {row['quality']}: {note}" for row in rows for note in row["notes"]]
    page = [
        "# Time and memory by the size of the images",
        table,
        "The ends of a made heartbeat, as many voxels as such images have. Peak resident memory of a process that does "
        "nothing else, imports and images included. Seconds: registration and moved image, nothing read or written.",
        *(["What the reports note:", "\n".join(notes)] if notes else []),
        "## Measured on",
        facts({"threads": threads, "device": rows[0]["device"], **machine()}),
    ]
    write_text(Path(out) / "memory.md", "\n\n".join(page) + "\n")
    return Path(out) / "memory.md"


def _sides(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def main() -> None:
    """The measured process: one JSON argument in, one JSON line out."""
    request = json.loads(sys.argv[1])
    set_threads(request["threads"])
    shape = tuple(request["shape"])
    print(json.dumps(register_once(shape, request["quality"], request["model"], request["device"])))


if __name__ == "__main__":
    main()
