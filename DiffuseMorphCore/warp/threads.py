"""Independent pieces of work side by side on the CPU's cores, small enough for their caches."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(function: Callable[[Item], Result], items: Sequence[Item], device: torch.device) -> Iterator[Result]:
    """The function's result for every item, in their order.

    Many small operations in a row gain nothing from torch's own threads, which divide every operation by itself. On a
    CPU as many items as torch has threads are worked on at a time, each by one thread. Gradients are not recorded.
    """
    threads = torch.get_num_threads()
    function = torch.no_grad()(function)
    workers = min(threads, len(items)) if device.type == "cpu" else 1
    if workers < 2:
        yield from map(function, items)
        return
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(function, items)
    finally:
        torch.set_num_threads(threads)  # what the workers set is also what threads made later begin with


SLAB = 150_000
"""Voxels of a piece: what a chain of operations reads and writes of them stays in the cache of a core."""


def in_slabs(
    function: Callable[[slice], Result], shape: Sequence[int], device: torch.device, voxels: int = SLAB
) -> list[Result]:
    """The function's result for parts of a grid of ``shape`` along its first axis, in their order.

    On a CPU a chain of operations on a whole volume reads and writes the main memory at every link, on a part of it
    only at the ends. On other devices the whole is one part. Gradients are not recorded.
    """
    length, plane = shape[0], max(1, torch.Size(shape[1:]).numel())
    step = max(1, voxels // plane) if device.type == "cpu" else max(length, 1)
    parts = [slice(start, min(start + step, length)) for start in range(0, length, step)]
    return list(parallel_map(function, parts, device))


def with_neighbours(part: slice, length: int) -> tuple[slice, slice]:
    """A part of an axis with one more plane on either side, where there is one, and where the part lies in that."""
    start, stop = max(part.start - 1, 0), min(part.stop + 1, length)
    return slice(start, stop), slice(part.start - start, part.stop - start)
