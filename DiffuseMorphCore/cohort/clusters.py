"""Where the pairs of a cohort are registered: Dask's workers here, those of a running scheduler, or SLURM jobs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from DiffuseMorphCore.cohort.room import CORES, local_workers
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import first_line

PATIENCE = 20  # seconds for a scheduler to answer; three times as long for its first worker to come
_SLURM_JOBS = 10
_TRIES = 2
_WORK = "DiffuseMorphCore.command_line.request"
_OWN_MAIN = "DiffuseMorphCore.__main__"


@dataclass(frozen=True)
class Place:
    """Where the pairs are registered; without ``scheduler`` and ``slurm`` on this computer.

    workers : how many, None: as many as cores and memory allow. scheduler : address of a running one. slurm : options
    of sbatch. gpu : only workers that name the resource GPU take pairs. memory : bytes that a pair is thought to need.
    """

    workers: int | None = None
    scheduler: str | None = None
    slurm: str | None = None
    gpu: bool = False
    memory: int = 2 << 30


@contextmanager
def connected(place: Place) -> Iterator[tuple[Any, int | None]]:
    """A client of the cluster, and the threads of each worker; None where those who started it have decided.

    Raises DiffuseMorphError where Dask is not installed, a scheduler does not answer, or no worker can be started.
    """
    distributed = _distributed()
    if place.scheduler is not None:
        try:
            client = distributed.Client(place.scheduler, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise DiffuseMorphError(
                f"The scheduler '{place.scheduler}' does not answer ({first_line(error)}): start it with 'dask "
                "scheduler' and give its address, such as tcp://host:8786."
            ) from error
        with client:
            yield client, None
        return
    with _own_main():
        cluster, threads = _slurm_cluster(place) if place.slurm is not None else _local_cluster(place, distributed)
        with cluster, distributed.Client(cluster, set_as_default=False) as client:
            yield client, threads


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise DiffuseMorphError(
            "A cohort needs Dask, which is not installed: pip install distributed (or see --print-slurm)."
        ) from error
    import dask

    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": _TRIES - 1,
            "distributed.scheduler.worker-saturation": 1.0,  # a pair waits for whichever worker is free first
            # A worker that says nothing may be reading a large file from a slow disk, in which it cannot answer;
            # one whose computer is gone is noticed by its connection.
            "distributed.scheduler.worker-ttl": "1h",
            # On a busy computer a process may take this long to answer, or to begin again after it was killed; one that
            # is given up before takes its pair with it a second time.
            "distributed.comm.timeouts.connect": "120s",
            "distributed.deploy.lost-worker-timeout": "10 minutes",
            # Results are small; what takes memory is the registration, which cannot be spilled.
            "distributed.worker.memory.target": False,
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
            # Looking on a hundred times a second would take time from the registration, and nobody sees it.
            "distributed.worker.profile.enabled": False,
            "distributed.admin.tick.limit": "1h",
            # The scheduler keeps its last messages to each worker, and every pair is one: of a thousand each it would
            # grow with the table.
            "distributed.admin.low-level-log-length": 10,
            "logging.distributed": "critical",
        }
    )
    return distributed


@contextmanager
def _own_main() -> Iterator[None]:
    """Let new processes begin as those of `python -m DiffuseMorphCore` do.

    Otherwise each worker would first run the script that this process runs, and with it, where the script is not
    guarded against that, the cohort again; and a script on standard input could not be found.
    """
    main = sys.modules["__main__"]
    before = getattr(main, "__spec__", None)
    main.__spec__ = find_spec(_OWN_MAIN)
    try:
        yield
    finally:
        main.__spec__ = before


def _local_cluster(place: Place, distributed: Any) -> tuple[Any, int]:
    workers, memory, threads = local_workers(place.memory, place.workers, place.gpu)
    try:
        cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=memory,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # not a port that others may have
            silence_logs=60,
            preload=[_WORK],  # before a worker is asked for anything: it cannot answer while it loads torch
            resources={"GPU": 1} if place.gpu else None,
        )
    except (OSError, RuntimeError) as error:
        reason = first_line(error.__cause__ or error)
        raise DiffuseMorphError(
            f"No worker could be started on this computer ({reason}): see whether it has memory, processes and ports "
            "left, or register without Dask, row by row (--row)."
        ) from error
    cluster.adapt(minimum=workers, maximum=workers)  # those that are lost for good are made anew
    return cluster, threads


def _slurm_cluster(place: Place) -> tuple[Any, int]:
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise DiffuseMorphError(
            "Workers by SLURM need dask-jobqueue, which is not installed: pip install dask-jobqueue."
        ) from error
    cluster = SLURMCluster(**slurm_settings(place))
    jobs = place.workers or _SLURM_JOBS
    cluster.adapt(minimum=jobs, maximum=jobs)
    return cluster, CORES


def slurm_settings(place: Place) -> dict[str, Any]:
    """What dask-jobqueue is told: one worker a job."""
    return {
        "cores": 1,
        "processes": 1,
        "job_cpu": CORES,
        "memory": f"{place.memory / 2**30:.0f}GiB",
        "job_extra_directives": shlex.split(place.slurm or ""),
        "worker_extra_args": ["--resources", "GPU=1"] if place.gpu else [],
        "job_script_prologue": [f"export OMP_NUM_THREADS={CORES}"],
    }
