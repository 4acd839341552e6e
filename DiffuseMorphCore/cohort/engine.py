"""The pairs of a cohort on a Dask cluster: local, given by its scheduler's address, or made of SLURM jobs."""

from __future__ import annotations

import shlex
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from DiffuseMorphCore import __version__
from DiffuseMorphCore.cohort.pair import FAILED, Outcome, register_pair
from DiffuseMorphCore.cohort.room import CORES, local_workers
from DiffuseMorphCore.cohort.table import Pair
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import first_line

_SLURM_JOBS = 10
_LOOK = 2.0  # seconds until the workers are counted again
_TRIES = 2
_PATIENCE = 20  # seconds for a scheduler to answer; three times as long for its first worker to come
_VERSION = "__import__('DiffuseMorphCore.cohort.pair').__version__"
_LOST = (
    "The connection to the scheduler was lost: start it again, and then this command with the same arguments; pairs "
    "that are complete are kept."
)


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


def run_pairs(
    pairs: Sequence[Pair], folder: str, place: Place, done: Callable[[Outcome], None], job: Callable = register_pair
) -> None:
    """Do the job with every pair; ``done`` is called with each outcome as it comes.

    A pair whose worker is killed is tried a second time, then it has failed.

    Raises
    ------
    DiffuseMorphError : Dask is not installed, a scheduler that does not answer, or is lost meanwhile.
    """
    distributed = _distributed()
    cohort = uuid.uuid4().hex  # two cohorts may use one scheduler at a time
    with _client(place, distributed) as (client, threads):
        _check_workers(client, place)
        settings = {"resources": {"GPU": 1}} if place.gpu else {}
        waiting = deque(pairs)
        asked: dict[str, tuple[Pair, Any]] = {}
        ready: SimpleQueue[str] = SimpleQueue()
        known: set[str] = set()
        slots, next_look = 0, 0.0
        while waiting or asked:
            if time.monotonic() >= next_look:  # workers come and go
                slots, next_look = _slots(client, place, known), time.monotonic() + _LOOK
            # No more pairs than can run at once: where a worker is killed, those that only waited there are not blamed.
            while waiting and len(asked) < slots:
                pair = waiting.popleft()
                key = f"{cohort}-{pair.row}"
                future = client.submit(job, pair, folder, threads, key=key, pure=False, **settings)
                asked[key] = (pair, future)
                future.add_done_callback(lambda future: ready.put(future.key))
            keys = _taken(ready)
            if not keys and client.status != "running":
                raise DiffuseMorphError(_LOST)
            # Results are fetched before their workers have another pair, which might kill them.
            for outcome in _outcomes(client, [asked.pop(key) for key in keys]):
                done(outcome)


def _taken(ready: SimpleQueue[str]) -> list[str]:
    """All that is in a queue, at least one where one comes soon."""
    taken: list[str] = []
    try:
        taken = [ready.get(timeout=_LOOK)]
        while True:
            taken.append(ready.get_nowait())
    except Empty:
        return taken


def _slots(client: Any, place: Place, known: set[str]) -> int:
    """How many pairs the workers can do at once; those that are not ``known`` yet are asked for their version.

    Raises DiffuseMorphError where the scheduler is lost, or a worker has not the package that this is.
    """
    try:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        new = [address for address in workers if address not in known]
        # What a worker cannot import would leave it, and this process, waiting for ever.
        answers = client.run(eval, _VERSION, workers=new, on_error="return") if new else {}
    except (OSError, TimeoutError) as error:
        raise DiffuseMorphError(_LOST) from error
    for address, answer in answers.items():
        if isinstance(answer, OSError):  # it has just gone
            continue
        known.add(address)
        if answer != __version__:
            has = first_line(answer) if isinstance(answer, Exception) else f"it has the version {answer}"
            raise DiffuseMorphError(
                f"The worker '{address}' cannot register as this computer does ({has}): install DiffuseMorph "
                f"{__version__} there."
            )
    able = [worker for address, worker in workers.items() if address in known]
    return sum(each["nthreads"] for each in able if not place.gpu or "GPU" in each.get("resources", {}))


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise DiffuseMorphError(
            "A cohort needs Dask, which is not installed: pip install 'diffusemorph[cohort]' (or see --print-slurm)."
        ) from error
    import dask

    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": _TRIES - 1,
            "distributed.scheduler.worker-saturation": 1.0,  # a pair waits for whichever worker is free first
            # Results are small; what takes memory is the registration, which cannot be spilled.
            "distributed.worker.memory.target": False,
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
            "distributed.admin.tick.limit": "1h",
            "logging.distributed": "critical",
        }
    )
    return distributed


def _check_workers(client: Any, place: Place) -> None:
    """Raises DiffuseMorphError where a running scheduler has no worker that could take a pair."""
    if place.scheduler is None:
        return
    try:
        client.wait_for_workers(1, timeout=3 * _PATIENCE)
    except TimeoutError as error:
        raise DiffuseMorphError(
            f"The scheduler '{place.scheduler}' has no worker: start some with 'dask worker ADDRESS --nthreads 1'."
        ) from error
    if place.gpu and not _slots(client, place, set()):
        raise DiffuseMorphError(
            f"No worker of the scheduler '{place.scheduler}' names the resource GPU: start them with 'dask worker "
            "ADDRESS --nthreads 1 --resources GPU=1', or leave out --gpu."
        )


@contextmanager
def _client(place: Place, distributed: Any) -> Iterator[tuple[Any, int | None]]:
    """A client of the cluster, and the threads of each worker; None where those who started it have decided."""
    if place.scheduler is not None:
        try:
            client = distributed.Client(place.scheduler, timeout=_PATIENCE, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise DiffuseMorphError(
                f"The scheduler '{place.scheduler}' does not answer ({first_line(error)}): start it with 'dask "
                "scheduler' and give its address, such as tcp://host:8786."
            ) from error
        with client:
            yield client, None
        return
    cluster, threads = _slurm_cluster(place) if place.slurm is not None else _local_cluster(place, distributed)
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        yield client, threads


def _local_cluster(place: Place, distributed: Any) -> tuple[Any, int]:
    workers, memory, threads = local_workers(place.memory, place.workers, place.gpu)
    cluster = distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        memory_limit=memory,
        dashboard_address=None,
        silence_logs=60,
        resources={"GPU": 1} if place.gpu else None,
    )
    cluster.adapt(minimum=workers, maximum=workers)  # those that are lost for good are made anew
    return cluster, threads


def _slurm_cluster(place: Place) -> tuple[Any, int]:
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise DiffuseMorphError(
            "Workers by SLURM need dask-jobqueue, which is not installed: pip install 'diffusemorph[cohort]'."
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


def _outcomes(client: Any, finished: Sequence[tuple[Pair, Any]]) -> Iterator[Outcome]:
    """What became of pairs whose futures are done. Raises DiffuseMorphError where the scheduler is lost."""
    good = [future for _, future in finished if future.status == "finished"]
    try:
        yield from client.gather(good) if good else ()
    except (OSError, CancelledError) as error:
        raise DiffuseMorphError(_LOST) from error
    for pair, future in finished:
        if future.status == "error":
            yield _failure(pair, future.exception())
        elif future.status != "finished":
            raise DiffuseMorphError(_LOST)


def _failure(pair: Pair, error: BaseException) -> Outcome:
    from distributed import KilledWorker

    reason = f"{type(error).__name__}: {first_line(error)}"
    if isinstance(error, KilledWorker):
        reason = (
            f"The process that registered this pair was killed, {error.allowed_failures + 1} times: most often there "
            "was not enough memory; give it more, or smaller images."
        )
    return Outcome(pair.name, pair.row, FAILED, reason)
