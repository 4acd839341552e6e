"""What a training step works on, and what every source of it promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from DiffuseMorphCore.seeds import generator

_MIXTURE_STREAM = 3 << 28  # seeds of the choice of a source, apart from those of the pairs


INTENSITIES, LABELS, VECTORS, NUMBERS = "intensities", "labels", "vectors", "numbers"
"""What a part of a pair holds, which decides how it may be interpolated."""


def part(kind: str):
    """A part of a pair that may be absent; ``kind`` is one of the four above."""
    return field(default=None, metadata={"kind": kind})


@dataclass(frozen=True)
class TrainingPair:
    """One or several pairs of images on one grid.

    moving, fixed : (B, 1, *spatial) float32 in [-1, 1].
    moving_labels, fixed_labels : (B, 1, *spatial) float32 holding whole numbers, 0 the background; or None.
    displacement : (B, ndim, *spatial), the true displacement in voxels, NaN where it is not known; or None.
    moving_anatomy, fixed_anatomy : (B, 1, *spatial), both images as one perfect scanner shows them, in one contrast and
        without artefacts: what the similarity compares in place of the images; or None.
    """

    moving: Tensor = field(metadata={"kind": INTENSITIES})
    fixed: Tensor = field(metadata={"kind": INTENSITIES})
    moving_labels: Tensor | None = part(LABELS)
    fixed_labels: Tensor | None = part(LABELS)
    displacement: Tensor | None = part(VECTORS)
    moving_anatomy: Tensor | None = part(INTENSITIES)
    fixed_anatomy: Tensor | None = part(INTENSITIES)

    def each(self: AnyPair, change: Callable[[Tensor, str], Tensor]) -> AnyPair:
        """With every part that is there changed: (part, its kind) -> part. What a subclass adds is kept and changed
        too.
        """
        there = {each.name: each.metadata["kind"] for each in fields(self) if getattr(self, each.name) is not None}
        return replace(self, **{name: change(getattr(self, name), kind) for name, kind in there.items()})

    def to(self: AnyPair, device: torch.device) -> AnyPair:
        return self.each(lambda part, kind: part.to(device))

    def parts(self) -> tuple[Tensor | None, ...]:
        """All parts in the order of their declaration, None for those that are absent."""
        return tuple(getattr(self, each.name) for each in fields(self))


AnyPair = TypeVar("AnyPair", bound=TrainingPair)


def stack(pairs: Sequence[AnyPair]) -> AnyPair:
    """Several pairs of one kind and shape as one batch; a part that may be absent only where all of them have it."""
    columns = zip(*(pair.parts() for pair in pairs))
    return type(pairs[0])(*(None if any(part is None for part in column) else torch.cat(column) for column in columns))


class PairSource(Protocol):
    """Where pairs come from. `draw(index)` depends on the index and the source's seed alone, never on earlier draws:
    that makes a resumed run equal to an unbroken one, and gives several processes different pairs.
    """

    ndim: int

    def draw(self, index: int, device: torch.device) -> TrainingPair:
        """Training pair number `index`, batch of one."""

    def validation(self, device: torch.device) -> list[TrainingPair]:
        """The fixed list of pairs to validate on; may be empty."""


class Mixture:
    """Several sources of one dimension, each giving a share of the pairs. The first one validates."""

    def __init__(self, sources: Sequence[PairSource], shares: Sequence[float], seed: int = 0) -> None:
        """Shares : one per source, in any unit."""
        self.sources, self.seed, self.ndim = list(sources), seed, sources[0].ndim
        self.shares = torch.tensor(shares, dtype=torch.float64)

    def draw(self, index: int, device: torch.device) -> TrainingPair:
        chosen = torch.multinomial(self.shares, 1, generator=generator(self.seed, _MIXTURE_STREAM + index))
        return self.sources[int(chosen)].draw(index, device)

    def validation(self, device: torch.device) -> list[TrainingPair]:
        return self.sources[0].validation(device)
