"""The pairs of a cohort are given out to Dask's workers as these are free, and their outcomes taken in."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from queue import Empty, SimpleQueue
from typing import Any

from DiffuseMorphCore import __version__
from DiffuseMorphCore.cohort.clusters import PATIENCE, Place, connected
from DiffuseMorphCore.cohort.pair import FAILED, Outcome, register_pair
from DiffuseMorphCore.cohort.table import Pair
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import first_line

_LOOK = 2.0  # seconds until the workers are counted again
_LOOKING = 20  # times as long as the count took, at least: of a thousand workers it takes a second
_VERSION = "__import__('DiffuseMorphCore.cohort.pair').__version__"
_LOST = (
    "The connection to the scheduler was lost: start it again, and then this command with the same arguments; pairs "
    "that are complete are kept."
)


def run_pairs(
    pairs: Sequence[Pair], folder: str, place: Place, done: Callable[[Outcome], None], job: Callable = register_pair
) -> None:
    """Do the job with every pair; ``done`` is called with each outcome as it comes.

    A pair whose worker is killed is tried a second time, then it has failed.

    Raises
    ------
    DiffuseMorphError : Dask is not installed, a scheduler that does not answer, or is lost meanwhile.
    """
    cohort = uuid.uuid4().hex  # two cohorts may use one scheduler at a time
    with connected(place) as (client, threads):
        _check_workers(client, place)
        settings = {"resources": {"GPU": 1}} if place.gpu else {}
        waiting = deque(pairs)
        asked: dict[str, tuple[Pair, Any]] = {}
        ready: SimpleQueue[str] = SimpleQueue()
        known: set[str] = set()
        slots, next_look = 0, 0.0
        while waiting or asked:
            if time.monotonic() >= next_look:  # workers come and go
                began = time.monotonic()
                slots, ended = _slots(client, place, known), time.monotonic()
                next_look = ended + max(_LOOK, _LOOKING * (ended - began))
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
        _check_version(f"worker '{address}'", answer)
    able = [worker for address, worker in workers.items() if address in known]
    return sum(each["nthreads"] for each in able if not place.gpu or "GPU" in each.get("resources", {}))


def _check_version(who: str, answer: Any) -> None:
    """Raises DiffuseMorphError where what was asked for its version has another, or none."""
    if answer != __version__:
        has = first_line(answer) if isinstance(answer, Exception) else f"it has the version {answer}"
        raise DiffuseMorphError(
            f"The {who} cannot register as this computer does ({has}): install DiffuseMorph {__version__} there."
        )


def _check_workers(client: Any, place: Place) -> None:
    """Raises DiffuseMorphError where a running scheduler has not the package, or no worker that could take a pair."""
    if place.scheduler is None:
        return
    try:  # Dask's scheduler reads what it passes on
        answer = client.run_on_scheduler(eval, _VERSION)
    except (OSError, TimeoutError) as error:
        raise DiffuseMorphError(_LOST) from error
    except Exception as error:
        answer = error
    _check_version(f"scheduler '{place.scheduler}'", answer)
    try:
        client.wait_for_workers(1, timeout=3 * PATIENCE)
    except TimeoutError as error:
        raise DiffuseMorphError(
            f"The scheduler '{place.scheduler}' has no worker: start some with 'dask worker ADDRESS --nthreads 1'."
        ) from error
    if place.gpu and not _slots(client, place, set()):
        raise DiffuseMorphError(
            f"No worker of the scheduler '{place.scheduler}' names the resource GPU: start them with 'dask worker "
            "ADDRESS --nthreads 1 --resources GPU=1', or leave out --gpu."
        )


def _outcomes(client: Any, finished: Sequence[tuple[Pair, Any]]) -> Iterator[Outcome]:
    """What became of pairs whose futures are done. Raises DiffuseMorphError where the scheduler is lost."""
    from distributed import KilledWorker

    good = [future for _, future in finished if future.status == "finished"]
    others = [(pair, future) for pair, future in finished if future.status != "finished"]
    try:
        yield from client.gather(good) if good else ()
    except KilledWorker:  # one died before its result was fetched, and then again when that was made anew
        others = finished
    except (OSError, CancelledError) as error:
        raise DiffuseMorphError(_LOST) from error
    yield from (_outcome(pair, future) for pair, future in others)


def _outcome(pair: Pair, future: Any) -> Outcome:
    """What became of one pair, waited for. Raises DiffuseMorphError where the scheduler is lost."""
    try:
        error = future.exception()
        if future.status == "finished":
            return future.result()
        if future.status == "error":
            return _failure(pair, error)
    except (OSError, CancelledError) as error:
        raise DiffuseMorphError(_LOST) from error
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
