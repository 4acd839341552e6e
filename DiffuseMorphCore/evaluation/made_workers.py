"""A Dask scheduler and many workers without work of their own: python -m DiffuseMorphCore.evaluation.made_workers.

The scheduler has a process of its own, whose time and memory are read from outside. The workers share another one: each
speaks with the scheduler as a worker on a computer of its own does, but their jobs only wait.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from DiffuseMorphCore.errors import DiffuseMorphError

if TYPE_CHECKING:
    from DiffuseMorphCore.cohort.pair import Outcome
    from DiffuseMorphCore.cohort.table import Pair

_PATIENCE = 300  # seconds for a scheduler and its workers to come, on a computer that has other work to do
# What many workers in one process would do as often as one in its own: watching that process.
_QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "1h",
    "distributed.admin.tick.limit": "1h",
    "distributed.admin.low-level-log-length": 10,  # as of the schedulers that the command starts
    "logging.distributed": "critical",
}


@dataclass(frozen=True)
class MadeCluster:
    """address : of the scheduler. scheduler : its process (psutil)."""

    address: str
    scheduler: Any


def waiting_job(seconds: float, report: dict) -> Callable[..., Awaitable[Outcome]]:
    """A job of so many seconds that takes no time of any core: it waits, and gives a report."""
    return partial(_wait, seconds, report)


async def _wait(seconds: float, report: dict, pair: Pair, folder: str, threads: int | None) -> Outcome:
    from DiffuseMorphCore.cohort.pair import DONE, Outcome

    await asyncio.sleep(seconds)
    return Outcome(pair.name, pair.row, DONE, report=report)


@contextmanager
def made_cluster(workers: int) -> Iterator[MadeCluster]:
    """A scheduler with so many workers, gone when the block ends.

    Raises DiffuseMorphError where they do not come.
    """
    import psutil

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "address")
        processes = [_started("scheduler", str(file))]
        try:
            address = _read(file, processes)
            ready = Path(folder, "ready")
            processes.append(_started("workers", str(ready), address, str(workers)))
            _read(ready, processes)
            yield MadeCluster(address, psutil.Process(processes[0].pid))
        finally:
            for process in reversed(processes):
                process.kill()
                process.wait()


def _started(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", __name__, *arguments], stdout=subprocess.DEVNULL)


def _read(file: Path, processes: list[subprocess.Popen]) -> str:
    """What a process writes into a file once it is ready."""
    end = time.monotonic() + _PATIENCE
    while not file.exists():
        if time.monotonic() > end or any(process.poll() is not None for process in processes):
            raise DiffuseMorphError("The scheduler or its workers did not start: see what stands above.")
        time.sleep(0.05)
    return file.read_text(encoding="utf-8")


def _tell(file: str, text: str) -> None:
    Path(f"{file}.part").write_text(text, encoding="utf-8")
    os.replace(f"{file}.part", file)


async def _be_scheduler(file: str) -> None:
    from distributed import Scheduler

    async with Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0") as scheduler:
        _tell(file, scheduler.address)
        await scheduler.finished()


async def _be_workers(file: str, address: str, count: int) -> None:
    from distributed import Worker

    workers = [Worker(address, nthreads=1, memory_limit=0, dashboard=False) for _ in range(count)]
    for first in range(0, count, 50):
        await asyncio.gather(*(worker.start() for worker in workers[first : first + 50]))
    _tell(file, "yes")
    await asyncio.gather(*(worker.finished() for worker in workers))


if __name__ == "__main__":
    import dask

    dask.config.set(_QUIET)
    _, role, file, *rest = sys.argv
    asyncio.run(_be_scheduler(file) if role == "scheduler" else _be_workers(file, rest[0], int(rest[1])))
