"""Which device does the work, what it is called, and how much memory it has free."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from DiffuseMorphCore.errors import DiffuseMorphError, OptionError

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """Turn a name into a device that is there: "auto" takes CUDA, then Apple's MPS, then the CPU.

    A number may follow "cuda" ("cuda:1"). A torch.device is accepted as its name would be.
    Raises OptionError for an unknown name, and DiffuseMorphError for a device that this machine, or this build of
    PyTorch, does not have.
    """
    if str(name) == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in DEVICES:
        raise OptionError(f"The device '{name}' is unknown: choose one of {', '.join(DEVICES)}.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DiffuseMorphError("PyTorch finds no CUDA device on this computer: choose the device 'auto' or 'cpu'.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DiffuseMorphError(
            f"The device '{name}' is not there: this computer has {torch.cuda.device_count()} CUDA device(s), "
            "counted from cuda:0."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DiffuseMorphError(
            "PyTorch finds no Apple MPS device on this computer: choose the device 'auto' or 'cpu'."
        )
    return device


def describe_device(device: torch.device) -> str:
    """The device in words for a report, for example "cpu (Intel Xeon, 2 threads)"."""
    device = torch.device(device)
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "mps":
        return f"mps ({platform.processor() or platform.machine()})"
    threads = torch.get_num_threads()
    return f"cpu ({_processor_name()}, {threads} thread{'s' * (threads != 1)})"


def computes_in_bf16(device: torch.device) -> bool:
    """Whether a device has units for 16-bit numbers (bf16), so that a network is quicker in them: newer GPUs, and CPUs
    with matrix tiles (AMX).
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_amx_tile_supported()


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated on `device`; for the CPU, what the system and its control group allow."""
    device = torch.device(device)
    if device.type == "cuda":
        # Blocks that PyTorch keeps for reuse are free to us although the driver counts them as taken.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    if device.type == "mps":
        return max(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory(), 0)
    return _free_main_memory()


def _processor_name() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _free_main_memory() -> int:
    information = Path("/proc/meminfo")
    if information.is_file():
        entries = dict(line.split(":", 1) for line in information.read_text().splitlines() if ":" in line)
        free = int(entries["MemAvailable"].split()[0]) * 1024
        allowance = _control_group_allowance()
        return free if allowance is None else min(free, allowance)
    if platform.system() == "Windows":
        return _free_windows_memory()
    # macOS tells only its whole memory without further packages; half of it is what a computer in use can spare.
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _control_group_allowance() -> int | None:
    """Bytes left under the memory limit of a Linux container, or None where there is no limit."""
    for limit, used, statistics in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
            "/sys/fs/cgroup/memory/memory.stat",
        ),
    ):
        try:
            limit_text, used_text = Path(limit).read_text().strip(), Path(used).read_text().strip()
            cache = dict(line.split() for line in Path(statistics).read_text().splitlines())
        except (OSError, ValueError):
            continue
        if limit_text.isdigit():
            # File pages that the kernel can drop count as used; they are given up before an allocation fails.
            reclaimable = int(cache.get("inactive_file", 0))
            return max(int(limit_text) - int(used_text) + reclaimable, 0)
    return None


def _free_windows_memory() -> int:
    import ctypes

    class MemoryStatus(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong)
            for name in ("total", "free", "page_total", "page_free", "virtual_total", "virtual_free", "extended_free")
        ]

    status = MemoryStatus(length=ctypes.sizeof(MemoryStatus))
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status.free)
