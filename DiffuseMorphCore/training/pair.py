"""What a training step works on, and what every source of it promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from DiffuseMorphCore.training.augmentation import generator

_MIXTURE_STREAM = 3 << 28  # seeds of the choice of a source, apart from those of the pairs


@dataclass(frozen=True)
class Pair:
    """One or several pairs of images on one grid.

    moving, fixed : (B, 1, *spatial) float32 in [-1, 1].
    moving_labels, fixed_labels : (B, 1, *spatial) float32 holding whole numbers, 0 the background; or None.
    displacement : (B, ndim, *spatial), the true displacement in voxels, NaN where it is not known; or None.
    moving_anatomy, fixed_anatomy : (B, 1, *spatial), both images as one perfect scanner shows them, in one contrast and
        without artefacts: what the similarity compares in place of the images; or None.
    """

    moving: Tensor
    fixed: Tensor
    moving_labels: Tensor | None = None
    fixed_labels: Tensor | None = None
    displacement: Tensor | None = None
    moving_anatomy: Tensor | None = None
    fixed_anatomy: Tensor | None = None

    def to(self, device: torch.device) -> Pair:
        return Pair(*(None if part is None else part.to(device) for part in self.parts()))

    def parts(self) -> tuple[Tensor | None, ...]:
        return (self.moving, self.fixed, self.moving_labels, self.fixed_labels, self.displacement,
                self.moving_anatomy, self.fixed_anatomy)


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


class Mixture:
    """Several sources of one dimension, each giving a share of the pairs. The first one validates."""

    def __init__(self, sources: Sequence[PairSource], shares: Sequence[float], seed: int = 0) -> None:
        """shares : one per source, in any unit."""
        self.sources, self.seed, self.ndim = list(sources), seed, sources[0].ndim
        self.shares = torch.tensor(shares, dtype=torch.float64)

    def draw(self, index: int, device: torch.device) -> Pair:
        chosen = torch.multinomial(self.shares, 1, generator=generator(self.seed, _MIXTURE_STREAM + index))
        return self.sources[int(chosen)].draw(index, device)

    def validation(self, device: torch.device) -> list[Pair]:
        return self.sources[0].validation(device)
