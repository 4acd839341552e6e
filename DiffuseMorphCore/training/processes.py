"""Several processes that train one model together, started by torch's own launcher: torchrun."""

from __future__ import annotations

import os

import torch
import torch.distributed as distributed
from torch import nn
from torch.nn.parallel import DistributedDataParallel


class Processes:
    """The process among those that torchrun started; alone if it was not started so.

    Attributes: count, rank (0 = the first, which writes files and logs), first, device.
    """

    def __init__(self, device: torch.device) -> None:
        """Join the group. With several GPUs in a computer every process takes one."""
        self.count, self.rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
        self.first = self.rank == 0
        if device.type == "cuda" and self.count > 1:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(device)
        self.device = device
        self._joined = self.count > 1 and not distributed.is_initialized()
        if self._joined:
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")

    def share(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over the processes, and the first process's weights in all."""
        return DistributedDataParallel(module) if self.count > 1 else module

    def agree(self, stop: bool) -> bool:
        """Whether to stop: the first process decides for all, since clocks and users differ."""
        if self.count == 1:
            return stop
        decision = torch.tensor([int(stop)], device=self.device)
        distributed.broadcast(decision, 0)
        return bool(decision.item())

    def leave(self) -> None:
        if self._joined:
            distributed.destroy_process_group()
            self._joined = False
