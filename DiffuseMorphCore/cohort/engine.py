"""The pairs of a cohort on a Dask cluster: local, given by its scheduler's address, or made of SLURM jobs."""

from __future__ import annotations

import math
import os
import shlex
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from DiffuseMorphCore.cohort.pair import FAILED, Outcome, register_pair
from DiffuseMorphCore.cohort.table import Pair, parsed
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import first_line
from DiffuseMorphCore.registration.presets import PRESETS
from DiffuseMorphCore.registration.working_grid import BYTES_PER_VOXEL

CORES = 2  # of a worker, at most: more of them make one pair little faster
_IN_FLIGHT = 20  # pairs a worker that the scheduler knows of: enough that no worker waits, few enough for any table
_TRIES = 2
_LOOKED_AT = 100  # images whose headers are read to tell the memory
_PROGRAM, _BYTES_PER_IMAGE_VOXEL = 900 << 20, 16
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
    with _client(place, distributed) as (client, threads), client.as_current():
        _check_workers(client, place)
        settings = {"resources": {"GPU": 1}} if place.gpu else {}
        waiting = iter(pairs)
        asked: dict[Any, Pair] = {}
        running = distributed.as_completed()

        def ask() -> bool:
            pair = next(waiting, None)
            if pair is None:
                return False
            key = f"{cohort}-{pair.row}"
            future = client.submit(job, pair, folder, threads, key=key, pure=False, **settings)
            asked[future] = pair
            running.add(future)
            return True

        limit = _IN_FLIGHT * max(place.workers or 0, len(client.scheduler_info(n_workers=-1)["workers"]), 10)
        while len(asked) < limit and ask():
            pass
        for future in running:
            pair = asked.pop(future)
            if future.status == "cancelled" or future.status == "lost":
                raise DiffuseMorphError(_LOST)
            done(_outcome(future, pair))
            del future
            ask()


def local_workers(memory: int, wanted: int | None, gpu: bool = False) -> tuple[int, int, int]:
    """How many workers this computer can have, the bytes that each may use, and its threads.

    Raises DiffuseMorphError where the memory is not enough for as many as are ``wanted``.
    """
    import torch

    from DiffuseMorphCore.devices import free_memory

    # Further workers on one GPU share it and its memory: they are made only where they are asked for.
    cores = os.cpu_count() or 1
    default = 1 if gpu else max(1, cores // CORES)
    free = int(0.9 * free_memory(torch.device("cpu")))
    most = max(1, free // memory)
    if wanted is not None and wanted > most:
        raise DiffuseMorphError(
            f"There is memory for {most} worker(s), not for {wanted}: a pair needs about {memory / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB are free. Give a smaller number for --workers."
        )
    workers = wanted or min(most, default)
    return workers, free // workers, max(1, min(CORES, cores // workers))


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
        client.wait_for_workers(1, timeout=60)
    except TimeoutError as error:
        raise DiffuseMorphError(
            f"The scheduler '{place.scheduler}' has had no worker for a minute: start some with 'dask worker ADDRESS "
            "--nthreads 1'."
        ) from error
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if place.gpu and not any("GPU" in worker.get("resources", {}) for worker in workers):
        raise DiffuseMorphError(
            f"No worker of the scheduler '{place.scheduler}' names the resource GPU: start them with 'dask worker "
            "ADDRESS --nthreads 1 --resources GPU=1', or leave out --gpu."
        )


@contextmanager
def _client(place: Place, distributed: Any) -> Iterator[tuple[Any, int | None]]:
    """A client of the cluster, and the threads of each worker; None where those who started it have decided."""
    if place.scheduler is not None:
        try:
            client = distributed.Client(place.scheduler, timeout="20s", set_as_default=False)
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
    return cluster, threads


def _slurm_cluster(place: Place) -> tuple[Any, int]:
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise DiffuseMorphError(
            "Workers by SLURM need dask-jobqueue, which is not installed: pip install 'diffusemorph[cohort]'."
        ) from error
    cluster = SLURMCluster(**slurm_settings(place))
    cluster.scale(place.workers or 10)
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


def _outcome(future: Any, pair: Pair) -> Outcome:
    if future.status != "error":
        return future.result()
    from distributed import KilledWorker

    error = future.exception()
    reason = f"{type(error).__name__}: {first_line(error)}"
    if isinstance(error, KilledWorker):
        reason = (
            f"The process that registered this pair was killed, {error.allowed_failures + 1} times: most often there "
            "was not enough memory; give it more, or smaller images."
        )
    return Outcome(pair.name, pair.row, FAILED, reason)


def memory_of(pairs: Sequence[Pair]) -> int:
    """Bytes that a pair of the table needs at most, told from the headers of the first hundred pairs' images."""
    most = 0
    for pair in pairs[:_LOOKED_AT]:
        arguments = parsed(pair, "unused")
        fixed, moving = _size(arguments.fixed), _size(arguments.moving)
        whole = math.prod(fixed)
        # None: the working grid is as fine as the image, however large that is.
        working = min(whole, PRESETS[arguments.quality].voxels.get(len(fixed)) or whole)
        # Both images are kept as they are and prepared, beside what the program and its libraries take.
        images = _BYTES_PER_IMAGE_VOXEL * (whole + math.prod(moving))
        most = max(most, _PROGRAM + images + BYTES_PER_VOXEL[arguments.modality] * working)
    return most


def _size(file: str) -> tuple[int, ...]:
    """Voxels along the axes of an image; a guess for a DICOM folder; none for what its pair will be told of."""
    import SimpleITK as sitk

    if os.path.isdir(file):
        return (512, 512, 200)
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return (0, 0, 0)
    return reader.GetSize()
