"""How cohorts scale: real pairs on one and two workers, jobs that only wait on up to a thousand, and many rows."""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from DiffuseMorphCore.cohort.clusters import Place
from DiffuseMorphCore.cohort.engine import run_pairs
from DiffuseMorphCore.cohort.index import index
from DiffuseMorphCore.cohort.pair import DONE, FAILED, KEPT, Outcome, register_pair
from DiffuseMorphCore.cohort.room import memory_of
from DiffuseMorphCore.cohort.summary import ranked, row_of, write_summary
from DiffuseMorphCore.cohort.table import Pair, read_table
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.machine import load, machine, peak_memory, reset_peak_memory
from DiffuseMorphCore.evaluation.made_workers import made_cluster, waiting_job
from DiffuseMorphCore.evaluation.records import write_text
from DiffuseMorphCore.evaluation.report import facts, markdown_table
from DiffuseMorphCore.sample_pair import sample_pair
from DiffuseMorphCore.warp import smooth

_SAME = ("moved.nii.gz", "deformation.npz")  # files of a result that hold neither times nor names


def run_cohort(
    out: str | Path,
    *,
    pairs: int = 4,
    tiny: int = 200,
    workers: tuple[int, ...] = (1, 10, 100, 1000),
    each: int = 5,
    seconds: float = 10.0,
    rows: int = 100_000,
) -> Path:
    """Measure all of it; writes `cohort.json` and `cohort.md` into ``out`` and returns the path of the latter.

    Parameters
    ----------
    pairs : of the two brains of the demo, each in turn onto the other. tiny : of pictures of 32 pixels a side.
    workers : how many that only wait. each : pairs for each of them. seconds : that a job waits.
    rows : of a table whose pairs are all there.

    Raises DiffuseMorphError where a pair fails or workers do not come.
    """
    fixed, moving = (str(path) for path in sample_pair())
    brains = [f"{number},{fixed},{moving}" if number % 2 else f"{number},{moving},{fixed}" for number in range(pairs)]
    with tempfile.TemporaryDirectory() as folder:
        small, report = _tiny_pairs(Path(folder, "tiny"), tiny)
        real = _real_pairs(Path(folder), brains, ("--quality=fast", "--device=cpu", "--threads=1")) if brains else []
        many = _many_rows(Path(folder), report, rows)
    waiting = [_waiting_pairs(count, each * count, seconds, report) for count in workers]
    found = {"real": real, "tiny": small, "waiting": waiting, "rows": many}
    write_text(Path(out, "cohort.json"), json.dumps(found, indent=1))
    page = Path(out, "cohort.md")
    write_text(page, _page(found, seconds))
    return page


def _real_pairs(folder: Path, lines: list[str], options: tuple[str, ...]) -> list[dict]:
    """The pairs on one and on two workers of one thread each. All results must be equal."""
    table = folder / "pairs.csv"
    write_text(table, "\n".join(["name,fixed,moving", *lines]))
    pairs = read_table(table, options)
    found: list[dict] = []
    for workers in (1, 2):
        out = folder / str(workers)
        out.mkdir()
        before, start = load(), time.perf_counter()
        outcomes: list[Outcome] = []
        run_pairs(pairs, str(out), Place(workers=workers, memory=memory_of(pairs)), outcomes.append)
        _check(outcomes)
        lengths = [sum(outcome.report["seconds"].values()) for outcome in outcomes]
        found.append(
            {
                "workers": workers,
                "pairs": len(pairs),
                "seconds": time.perf_counter() - start,
                "seconds of a registration": sum(lengths) / len(lengths),
                "load before": before,
            }
        )
    for pair in pairs:
        for name in _SAME:
            if (folder / "1" / pair.name / name).read_bytes() != (folder / "2" / pair.name / name).read_bytes():
                raise DiffuseMorphError(f"The file {name} of the pair '{pair.name}' depends on the number of workers.")
    return found


def _tiny_pairs(folder: Path, count: int) -> tuple[dict, dict]:
    """Many pairs of pictures of 32 pixels a side on two workers, and then how long it takes to see that they are there;
    and one of their reports.
    """
    folder.mkdir()
    draw = torch.Generator().manual_seed(0)
    for number in range(count + 1):
        values = smooth(torch.rand((1, 1, 32, 32), generator=draw), 2.0)[0, 0].numpy()
        picture = sitk.GetImageFromArray(np.uint8(255 * (values - values.min()) / np.ptp(values)))
        sitk.WriteImage(picture, str(folder / f"{number}.png"))
    lines = [f"{number},{number}.png,{number + 1}.png" for number in range(count)]
    write_text(folder / "pairs.csv", "\n".join(["name,fixed,moving", *lines]))
    options = ("--model=none", "--device=cpu", "--threads=1", "--align=none", "--refine=2", "--no-page")
    pairs = read_table(folder / "pairs.csv", options)
    found: dict[str, Any] = {"pairs": count, "load before": load()}
    start, outcomes = time.perf_counter(), []
    run_pairs(pairs, str(folder), Place(workers=2, memory=memory_of(pairs)), outcomes.append)
    _check(outcomes)
    found["seconds"] = time.perf_counter() - start
    start = time.perf_counter()
    kept = [register_pair(pair, str(folder)) for pair in pairs]
    found["seconds to see"] = time.perf_counter() - start
    if [outcome.state for outcome in kept] != [KEPT] * count:
        raise DiffuseMorphError("Pairs that are complete were registered a second time.")
    return found, kept[0].report


def _check(outcomes: list[Outcome]) -> None:
    failed = [outcome for outcome in outcomes if outcome.state == FAILED]
    if failed:
        raise DiffuseMorphError(f"The pair '{failed[0].name}' failed: {failed[0].reason}")


def _waiting_pairs(workers: int, count: int, seconds: float, report: dict) -> dict:
    """Pairs whose jobs only wait: time and memory that the scheduler and the command take for each."""
    import psutil

    pairs = [Pair(f"{number}", number, ()) for number in range(1, count + 1)]
    rows: list[dict] = []
    with made_cluster(workers) as cluster:
        place = Place(scheduler=cluster.address)
        # What is loaded once is no pair's.
        run_pairs(pairs[:workers], "unused", place, lambda outcome: None, waiting_job(0.0, report))
        processes = {"scheduler": cluster.scheduler, "command": psutil.Process()}
        before = {name: (_cpu(each), each.memory_info().rss) for name, each in processes.items()}
        start = time.perf_counter()
        run_pairs(pairs, "unused", place, lambda outcome: rows.append(row_of(outcome)), waiting_job(seconds, report))
        wall = time.perf_counter() - start
        found = {"workers": workers, "pairs": len(rows), "seconds": wall, "load": load()}
        found["least seconds"] = math.ceil(count / workers) * seconds
        for name, each in processes.items():
            found[f"{name}, ms a pair"] = 1e3 * (_cpu(each) - before[name][0]) / count
            found[f"{name}, MiB more"] = (each.memory_info().rss - before[name][1]) / 2**20
    return found


def _cpu(process: Any) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _many_rows(folder: Path, report: dict, count: int) -> dict:
    """What the command does before and after the pairs of a long table: seconds of one core, and memory."""
    table = folder / "many.csv"
    write_text(table, "\n".join(["name,fixed,moving", *(f"p{n},f{n}.nii.gz,m{n}.nii.gz" for n in range(count))]))
    text, seconds = json.dumps(report), {}
    reset_peak_memory()
    memory, clock = peak_memory(), time.process_time()
    pairs = read_table(table)
    seconds["table"] = time.process_time() - clock
    rows = [row_of(Outcome(pair.name, pair.row, DONE, report=json.loads(text))) for pair in pairs]
    seconds["rows"] = time.process_time() - clock - sum(seconds.values())
    rows = ranked(rows)
    write_summary(rows, folder / "summary.csv")
    page = index(rows, folder)
    seconds["summary and page"] = time.process_time() - clock - sum(seconds.values())
    sizes = {"summary.csv": os.path.getsize(folder / "summary.csv"), "index.html": len(page.encode())}
    return {"rows": count, "seconds": seconds, "GiB": peak_memory() - memory, "bytes": sizes}


def _page(found: dict, seconds: float) -> str:
    real, tiny, many = found["real"], found["tiny"], found["rows"]
    lines = [
        [
            str(each["workers"]),
            str(each["pairs"]),
            f"{each['seconds']:.0f}",
            f"{each['seconds'] / real[0]['seconds']:.2f}",
            f"{each['seconds of a registration']:.1f}",
            f"{each['load before']:.1f}",
        ]
        for each in real
    ]
    headings = ["workers of one thread", "pairs", "seconds", "of one worker's", "seconds of a registration", "load"]
    parts = ["# How cohorts scale", "", "## Real pairs", "", markdown_table(headings, lines), ""]
    parts += [
        "The brains of the demo, each in turn onto the other, `--quality fast`, starting the workers included. The "
        "files of the results are the same byte for byte, whatever the number of workers.",
        "",
        f"{tiny['pairs']} pairs of tiny pictures on two workers: {tiny['seconds']:.0f} s; to see in one process that "
        f"all are there: {tiny['seconds to see']:.1f} s.",
        "",
        "## Workers that only wait",
        "",
    ]
    names = ("scheduler, ms a pair", "command, ms a pair")
    headings = ["workers", "pairs", "seconds", "least", *names, "scheduler, MiB more", "command, MiB more", "load"]
    lines = [
        [
            f"{each['workers']:,}",
            f"{each['pairs']:,}",
            f"{each['seconds']:.0f}",
            f"{each['least seconds']:.0f}",
            *(f"{each[name]:.1f}" for name in names),
            f"{each['scheduler, MiB more']:.0f}",
            f"{each['command, MiB more']:.0f}",
            f"{each['load']:.1f}",
        ]
        for each in found["waiting"]
    ]
    parts += [
        markdown_table(headings, lines),
        "",
        f"Dask's own scheduler and workers; a job waits {seconds:g} s and gives the report of a real pair. All workers "
        "share one process and one computer with the scheduler and the command, which is slower than a cluster. ms a "
        "pair: time of a core. Least: were nothing but jobs.",
        "",
        "## Many rows",
        "",
        f"Of {many['rows']:,} pairs, beside registering them, the command takes "
        + ", ".join(f"{value:.0f} s for {name}" for name, value in many["seconds"].items())
        + f", and {many['GiB']:.1f} GiB; summary.csv has {many['bytes']['summary.csv'] / 2**20:.0f} MiB, index.html "
        f"{many['bytes']['index.html'] / 2**20:.0f} MiB.",
        "",
        "## Measured on",
        "",
        facts(machine()),
        "",
    ]
    return "\n".join(parts)
