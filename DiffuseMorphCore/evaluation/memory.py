"""Peak memory of one large registration, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.phantom import frame
from DiffuseMorphCore.evaluation.machine import machine, peak_memory, reset_peak_memory, set_threads
from DiffuseMorphCore.evaluation.records import write_text
from DiffuseMorphCore.evaluation.report import facts, markdown_table

SHAPE = (160, 192, 224)


def register_once(shape: tuple[int, ...], model: str | None, device: str) -> dict:
    """Register the ends of a synthetic phantom beat on a grid of `shape` (array order): seconds, and peak memory in
    GiB.
    """
    from DiffuseMorphCore.registration import register

    moving, fixed = (frame(1, shape, end) for end in (0.0, 1.0))
    reset_peak_memory()
    before = peak_memory()
    start = time.perf_counter()
    result = register(fixed, moving, model=model, device=device)
    result.warp()
    return {
        "shape": "x".join(map(str, shape)),
        "voxels": int(np.prod(shape)),
        "device": result.report["device"],
        "seconds": time.perf_counter() - start,
        "peak_gib": peak_memory(),
        "peak_gib_before": before,
        "working_grid": "x".join(map(str, result.region.shape)),
    }


def run_memory(
    out: str | Path,
    *,
    scales: tuple[float, ...] = (1.0,),
    shape: tuple[int, ...] = SHAPE,
    model: str | None = "default",
    device: str = "cpu",
    threads: int = 2,
) -> Path:
    """Register a made pair of `shape`, and of `scales` times its voxels, each in a fresh process.

    Writes `memory.json` and `memory.md` into `out` and returns the path of the latter. Raises DiffuseMorphError where
    a process fails, with the last line of what it said.
    """
    rows = []
    for scale in scales:
        scaled = [int(round(side * scale ** (1 / len(shape)))) for side in shape]
        request = json.dumps({"shape": scaled, "model": model, "device": device, "threads": threads})
        job = subprocess.run(
            [sys.executable, "-m", "DiffuseMorphCore.evaluation.memory", request],
            capture_output=True,
            text=True,
            check=False,
        )
        if job.returncode:
            said = (job.stderr.strip() or "nothing").splitlines()[-1]
            raise DiffuseMorphError(f"The registration of a {'x'.join(map(str, scaled))} pair failed, saying: {said}")
        rows.append(json.loads(job.stdout.splitlines()[-1]))
    table = markdown_table(
        [
            "grid",
            "voxels (million)",
            "working grid",
            "device",
            "seconds",
            "peak memory (GiB)",
            "of it before the registration",
        ],
        [
            [
                row["shape"],
                f"{row['voxels'] / 1e6:.2f}",
                row["working_grid"],
                row["device"],
                f"{row['seconds']:.1f}",
                f"{row['peak_gib']:.2f}",
                f"{row['peak_gib_before']:.2f}",
            ]
            for row in rows
        ],
    )
    write_text(Path(out) / "memory.json", json.dumps(rows, indent=1))
    page = "\n\n".join(
        [
            "# Memory of a registration",
            table,
            "Peak resident memory of a process that does nothing else, imports and images included.",
            "## Measured on",
            facts({"threads": threads, **machine()}),
        ]
    )
    write_text(Path(out) / "memory.md", page + "\n")
    return Path(out) / "memory.md"


def main() -> None:
    """The measured process: one JSON argument in, one JSON line out."""
    request = json.loads(sys.argv[1])
    set_threads(request["threads"])
    print(json.dumps(register_once(tuple(request["shape"]), request["model"], request["device"])))


if __name__ == "__main__":
    main()
