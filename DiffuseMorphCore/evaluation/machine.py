"""What a measurement was made on: machine, versions, load, memory and number of threads."""

from __future__ import annotations

import os
import platform
import re
import resource
import sys
from importlib import metadata
from pathlib import Path

VERSIONS_OF = ("torch", "SimpleITK", "numpy", "scipy", "scikit-image", "monai", "antspyx")


def set_threads(threads: int) -> None:
    """Let torch, ITK, SimpleITK and antspyx use `threads` threads each.

    Has to run before antspyx is imported, which reads its number from the environment. Every job of a measurement
    gets the same number, so that seconds can be compared.
    """
    for name in ("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    import SimpleITK as sitk
    import torch

    torch.set_num_threads(threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def cpu_name() -> str:
    """The CPU's name as the system gives it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        found = re.search(r"model name\s*:\s*(.+)", information.read_text(encoding="utf-8"))
        if found:
            return found.group(1).strip()
    return platform.processor() or platform.machine()


def machine() -> dict[str, str | int]:
    """CPU, cores, system and the versions of the libraries that are installed."""
    import torch

    versions = {"python": platform.python_version()}
    for name in VERSIONS_OF:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    return {"CPU": cpu_name(), "cores": os.cpu_count() or 1, "GPU": gpu, "system": platform.system(), **versions}


def load() -> float:
    """Processes that wanted the CPU during the last minute; a quiet machine has about as many as it was given."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def reset_peak_memory() -> bool:
    """Forget the highest memory so far, where the system allows it (Linux); says whether it did."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return True
    except OSError:
        return False


def peak_memory() -> float:
    """Highest resident memory of this process in GiB, since `reset_peak_memory` or since its start."""
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="ascii"))
        if found:
            return int(found.group(1)) / 2**20
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest / (2**30 if sys.platform == "darwin" else 2**20)
