"""What a training step works on, and what every source of it promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pair:
    """One or several pairs of images on one grid.

    moving, fixed : (B, 1, *spatial) float32 in [-1, 1].
    moving_labels, fixed_labels : (B, 1, *spatial) float32 holding whole numbers, 0 the background; or None.
    displacement : (B, ndim, *spatial), the true displacement in voxels, NaN where it is not known; or None.
    """

    moving: Tensor
    fixed: Tensor
    moving_labels: Tensor | None = None
    fixed_labels: Tensor | None = None
    displacement: Tensor | None = None

    def to(self, device: torch.device) -> Pair:
        return Pair(*(None if part is None else part.to(device) for part in self.parts()))

    def parts(self) -> tuple[Tensor | None, ...]:
        return self.moving, self.fixed, self.moving_labels, self.fixed_labels, self.displacement


def stack(pairs: Sequence[Pair]) -> Pair:
    """Several pairs of one shape as one batch; labels, and true displacements, only where all of them have them."""
    columns = zip(*(pair.parts() for pair in pairs))
    return Pair(*(None if any(part is None for part in column) else torch.cat(column) for column in columns))


class PairSource(Protocol):
    """Where pairs come from. `draw(index)` depends on the index and the source's seed alone, never on earlier draws:
    that makes a resumed run equal to an unbroken one, and gives several processes different pairs."""

    ndim: int

    def draw(self, index: int, device: torch.device) -> Pair:
        """Training pair number `index`, batch of one."""

    def validation(self, device: torch.device) -> list[Pair]:
        """The fixed list of pairs to validate on; may be empty."""
