"""The least that work can take on a device: bytes over its speed of copying, operations over that of matrix products.

Voxels that have to be read and written count once each, at four bytes; networks count two operations for a
multiplication and an addition, in convolutions only.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Rates:
    """What the device does at best: bytes read and written per second by a copy, operations per second by a product of
    matrices.
    """

    bytes: float
    operations: float


@dataclass(frozen=True)
class Row:
    """One stage: its fastest time in seconds, its lower bound (None: none worth stating), and what the bound counts."""

    stage: str
    seconds: float
    bound: float | None
    counted: str

    def cells(self) -> list[str]:
        if self.bound is None:
            return [self.stage, f"{self.seconds:.3f}", "–", "–", self.counted]
        ratio = f"{self.seconds / self.bound:.1f}"
        return [self.stage, f"{self.seconds:.3f}", f"{self.bound:.4f}", ratio, self.counted]


def timed(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """The fastest of several runs, in seconds, waiting for a GPU to finish."""
    fastest = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


def measure_rates(
    device: torch.device,
    precision: torch.dtype = torch.float32,
    megabytes: int = 128,
    side: int = 2048,
    repeats: int = 5,
) -> Rates:
    """Copy and multiply, and take the fastest. `precision` is that of the matrices."""
    source = torch.zeros(megabytes * 2**18, device=device)
    target = torch.empty_like(source)
    copied = timed(lambda: target.copy_(source), device, repeats + 1)
    matrix = torch.rand(side, side, device=device).to(precision)
    product = torch.empty_like(matrix)
    multiplied = timed(lambda: torch.mm(matrix, matrix, out=product), device, repeats + 1)
    return Rates(8 * source.numel() / copied, 2 * side**3 / multiplied)


def refinement_volumes(ndim: int, shrink: float = 1.0) -> float:
    """Volumes that a step of the refinement has to read or write, however it is programmed.

    The warp (image, field, result), local correlation forward and backward (5), the force (slope, image, force), Adam's
    two averages (force, both read and written, change), the composition (two fields in, one out), and two smoothings
    (in and out). `shrink` is the share of the images' voxels that the displacement has.
    """
    images, fields = 2 + 5 + 2, 1 + 1 + 6 + 3 + 2 * 2
    return images + shrink * ndim * fields


def visited_volumes(
    fractions: list[float], shapes: list[tuple[int, ...]], counts: list[int], volumes: list[float]
) -> float:
    """Voxels times volumes times steps of a refinement that told its progress at every step, a share of all that it
    might do; shapes, most steps and volumes a step, grid by grid.
    """
    sizes = [math.prod(shape) for shape in shapes]
    work = [size * count for size, count in zip(sizes, counts)]
    ends = [sum(work[: index + 1]) / sum(work) for index in range(len(work))]
    levels = [min(bisect_right(ends, fraction + 1e-9), len(sizes) - 1) for fraction in fractions]
    return sum(sizes[level] * volumes[level] for level in levels)


def network_operations(model, shape: tuple[int, ...], fields: int) -> int:
    """Operations of one latent and so many fields on a grid of `shape`."""
    from torch.utils.flop_counter import FlopCounterMode

    image = torch.zeros((1, 1, *shape), device=model.device)
    counts = []
    for work in (lambda: model.latent(image, image), lambda: model.field(image, image)):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            work()
        counts.append(counter.get_total_flops())
    return counts[0] + fields * counts[1]
