"""Independent pieces of work side by side on the CPU's cores."""

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
