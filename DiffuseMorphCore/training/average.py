"""The moving average of a model's weights, which is what a training gives."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of the model whose weights follow it, by ``decay`` of their own at each update.

    It forgets its start: early on, the mean of the steps so far counts.
    """

    def blend(average: torch.Tensor, current: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        own = min(decay, (1 + int(count)) / (10 + int(count)))
        return average + (1 - own) * (current - average)

    return AveragedModel(model, avg_fn=blend)
