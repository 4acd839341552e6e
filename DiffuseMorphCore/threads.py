"""How many threads work, and how they wait for one another.

Threads that spin while they wait are quick on an idle computer, and up to thirty times slower as soon as other
programs want its cores: each waits for one that does not run, and keeps it from running. The wait is decided when torch
is loaded, so :func:`wait_passively` runs when this package is.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import NamedTuple, TypeVar

from DiffuseMorphCore.options import declared

_WAITS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_SHORTEST, _LONGEST = 0.1, 10.0  # seconds over which the load is measured: less is noise, more is the past
_LEAST_SHARE = 4  # of so many cores one is used even where others keep all of them busy
_STATISTICS = Path("/proc/stat")
_CONTROL_GROUPS = Path("/sys/fs/cgroup")

Result = TypeVar("Result")


class _Sample(NamedTuple):
    """A moment, and the CPU seconds that other programs had taken by then on the cores this process may use."""

    moment: float
    others: float


_samples: list[_Sample] = []


def wait_passively() -> None:
    """Let threads sleep while they wait for one another, unless the environment says how they shall wait.

    Without effect once torch is loaded.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in _WAITS):
        os.environ["OMP_WAIT_POLICY"] = "passive"


def check_threads(wanted: str | int) -> None:
    """Raises DiffuseMorphError unless ``wanted`` is ``"auto"`` or a possible number of threads."""
    declared()["threads"].check("threads", wanted)


@contextmanager
def threads_used(wanted: str | int = "auto") -> Iterator[int]:
    """Let torch (in this thread) and SimpleITK use so many threads inside the block; yields the number.

    wanted : a number, or ``"auto"``: as many as OMP_NUM_THREADS says, or else one for every core that this process may
        use (by its affinity and its control group) and that other programs leave free; at least one of four.

    Raises DiffuseMorphError for anything else.
    """
    check_threads(wanted)
    import torch

    before = torch.get_num_threads()
    threads = automatic_threads(before) if wanted == "auto" else wanted
    torch.set_num_threads(threads)
    try:
        with _image_threads(threads):
            yield threads
    finally:
        torch.set_num_threads(before)
        note_load()


@contextmanager
def _image_threads(count: int) -> Iterator[None]:
    """Let SimpleITK, where it is installed, use so many threads inside the block."""
    try:
        import SimpleITK as sitk
    except ImportError:  # arrays are registered without it
        yield
        return
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(count)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def with_threads(function: Callable[..., Result]) -> Callable[..., Result]:
    """A function with a keyword ``threads`` (default ``"auto"``) that runs with so many; see :func:`threads_used`."""

    @wraps(function)
    def run(*arguments, threads: str | int = "auto", **keywords) -> Result:
        with threads_used(threads):
            return function(*arguments, threads=threads, **keywords)

    return run


def automatic_threads(most: int) -> int:
    """How many threads to use, at most ``most``; see :func:`threads_used`."""
    chosen = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if chosen.isdigit() and int(chosen) > 0:
        return min(int(chosen), most)
    cores = _core_count()
    free = max(cores - _busy_cores(), cores / _LEAST_SHARE)
    return max(1, min(most, round(min(free, _control_group_share() or free))))


def usable_cores() -> int:
    """Cores that this process may use, by its affinity and its control group, however busy they are; at least 1."""
    return max(1, min(_core_count(), round(_control_group_share() or _core_count())))


def note_load() -> None:
    """Remember how much the other programs have worked until now, for the next measurement of the load."""
    sample = _sample()
    if sample is not None:
        _samples.append(sample)
        del _samples[:-8]


def _busy_cores() -> float:
    """How many of the cores other programs kept busy lately; 0 where the system does not tell."""
    now = _sample()
    if now is None:
        return 0.0
    known = [sample for sample in _samples if _SHORTEST <= now.moment - sample.moment <= _LONGEST]
    if known:
        earlier = known[-1]
    else:
        earlier = now
        time.sleep(_SHORTEST)
        now = _sample()
    return max(0.0, (now.others - earlier.others) / (now.moment - earlier.moment))


def _sample() -> _Sample | None:
    own_cores = _own_cores()
    try:
        lines = _STATISTICS.read_text(encoding="ascii").splitlines()
        ticks = os.sysconf("SC_CLK_TCK")
        # What runs at a lower priority makes way for us, unless ours is lowered too.
        counted = (1, 3, 6, 7, 8) if os.nice(0) <= 0 else (1, 2, 3, 6, 7, 8)
        total = 0.0
        for line in lines:
            parts = line.split()
            if parts and parts[0][:3] == "cpu" and parts[0][3:].isdigit() and int(parts[0][3:]) in own_cores:
                total += sum(int(parts[index]) for index in counted) / ticks
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return _Sample(time.monotonic(), total - time.process_time())


def _core_count() -> int:
    return len(_own_cores()) or os.cpu_count() or 1


def _own_cores() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def _control_group_share() -> float | None:
    """Cores' worth of time that a Linux control group allows, or None where there is no limit."""
    try:
        quota, period = (_CONTROL_GROUPS / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        try:
            quota, period = (
                (_CONTROL_GROUPS / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="ascii").strip()
                for name in ("quota", "period")
            )
        except OSError:
            return None
    return int(quota) / int(period) if quota.isdigit() and int(period) > 0 else None
