"""Initialise: from where the optimisation begins, and which of several beginnings wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.samplers import EtaPath

TWO_STARTS, CLEARLY = 300_000, 1.01
"""On working grids of at most so many voxels, where it costs little, the optimisation is tried from zero too; what
began elsewhere is dropped where the match from zero is so many times as good."""
LITTLE = 0.02
"""Share of what the alignment leaves dissimilar: a start that gains less may lead astray, so zero is tried too on any
grid. Brains: 0.09 to 0.10, on grids of 1 mm 0.046 to 0.052. A liver that breathed by 20 mm: 0.005, and from there it
ended at 5.8 mm in place of 3.2."""


@dataclass(frozen=True)
class Start:
    """A beginning, or what an optimisation made of it.

    name : what notes call it. path : on the delivered grid. similarity : of the images at eta 1. end : the deformation
    at eta 1 on the working grid, where that is finer than the path's; else None.
    """

    name: str
    path: EtaPath
    similarity: float
    end: Displacement | None = None

    def optimised(self, change: Tensor, similarity: float, end: Displacement | None) -> Start:
        """With ``change`` (1, ndim, *grid.shape), in voxels, added in proportion to eta."""
        return replace(self, path=self.path.plus(change), similarity=similarity, end=end)


def choose_starts(zero: Start, others: Sequence[Start], voxels: int | None, notes: list[str]) -> list[Start]:
    """What to begin with: the most similar of the others if it beats zero, then zero too where that costs little or the
    other gained little; else zero alone.

    voxels : of the working grid that is refined on; None where nothing is.
    """
    for other in others:
        if other.similarity <= zero.similarity:
            notes.append(f"The {other.name} did not make the images more similar, so it was not used.")
    first = max((zero, *others), key=lambda start: start.similarity)  # of equals the first
    if voxels is None or first is zero:
        return [first]
    little = first.similarity - zero.similarity < LITTLE * (1 - zero.similarity)
    return [first, zero] if voxels <= TWO_STARTS or little else [first]


def choose_result(optimised: Sequence[Start], notes: list[str]) -> Start:
    """The first of what the optimisations made of the starts, unless a later one is clearly better."""
    chosen = optimised[0]
    for other in optimised[1:]:
        if other.similarity > CLEARLY * chosen.similarity:
            notes.append(f"The refinement ended clearly better without the {chosen.name}, so it was not used.")
            chosen = other
    return chosen
