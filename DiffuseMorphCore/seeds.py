"""Random numbers that mean the same on every device and in every process."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_STREAM = 0x9E3779B97F4A7C15  # odd, so that every (seed, index) below 2**32 has its own state


def generator(seed: int, index: int | None = None) -> torch.Generator:
    """A generator on the CPU, so that every device draws the same numbers: for one seed, or for draw number ``index``
    of the run with that seed, whatever was drawn before.
    """
    return torch.Generator("cpu").manual_seed(seed if index is None else (seed * _STREAM + index) % 2**63)


def normal_on(device: torch.device | str, shape: Sequence[int], random: torch.Generator) -> Tensor:
    """Standard normal numbers for a training: on the CPU from ``random`` itself, on a GPU drawn there from a generator
    that ``random`` seeds, which is far quicker for whole volumes, but gives other numbers than the CPU.
    """
    if torch.device(device).type != "cuda":
        return torch.randn(tuple(shape), generator=random).to(device)
    seed = int(torch.randint(2**62, (), generator=random))
    return torch.randn(tuple(shape), generator=torch.Generator(device).manual_seed(seed), device=device)


def standard_normal(shape: Sequence[int], seed: int | torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal numbers, drawn on the CPU and brought to the device."""
    source = seed if isinstance(seed, torch.Generator) else generator(seed)
    return torch.randn(tuple(shape), generator=source).to(device)
