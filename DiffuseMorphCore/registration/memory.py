"""What is done where the memory of a device does not suffice: a coarser grid, and at last the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from DiffuseMorphCore.errors import DiffuseMorphError, is_out_of_memory

Result = TypeVar("Result")


def within_memory(
    attempt: Callable[[torch.device, int], Result], device: torch.device, notes: list[str]
) -> tuple[Result, torch.device]:
    """The result of an attempt, and the device that it was made on; ``notes`` tells of every one that failed.

    attempt : (device, reduction) -> result; it shall use so many times fewer voxels than usual.

    Raises DiffuseMorphError when not even the CPU has memory enough.
    """
    reduction = 1
    while True:
        try:
            return attempt(device, reduction), device
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        if device.type == "cuda":
            torch.cuda.empty_cache()
        reduction *= 4
        if reduction > 16 and device.type == "cpu":
            raise DiffuseMorphError("There is not enough memory for this registration: close other programs.")
        if reduction > 16:
            device, reduction = torch.device("cpu"), 1
        size = "" if reduction == 1 else f" with 1/{reduction} of the voxels"
        notes.append(f"The memory did not suffice: repeated on {device}{size}.")
