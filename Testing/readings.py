"""Operations whose result a program has to wait for on a GPU, counted on the CPU."""

from __future__ import annotations

from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode

READING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::bincount"}
"""Operations whose result, or its size, the program has to wait for on a GPU."""


class Readings(TorchDispatchMode):
    """Counts the operations that would wait for a GPU: those of `READING`, masks as indices, and copies elsewhere."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        name = function._schema.name
        masked = name == "aten::index" and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in arguments[1]
        )
        if name in READING or masked:
            self.counts[name] += 1
        return function(*arguments, **(named or {}))
