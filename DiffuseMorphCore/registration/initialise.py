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
"""Share of what the alignment leaves dissimilar: an answer that gains less may lead astray, so a larger grid begins at
zero. Brains: 0.09 to 0.10, on grids of 1 mm 0.046 to 0.052. A liver that breathed by 20 mm: 0.005, and from there it
ended at 5.8 mm in place of 2.8, though more similar."""


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


def choose_starts(zero: Start, answer: Start | None, voxels: int | None, notes: list[str]) -> list[Start]:
    """What to begin with: the network's answer if it beats zero, and zero too where that costs little; else zero alone.

    voxels : of the working grid that is refined on; None where nothing is.
    """
    if answer is None:
        return [zero]
    if answer.similarity <= zero.similarity:
        notes.append(f"The {answer.name} did not make the images more similar, so it was not used.")
        return [zero]
    if voxels is None:
        return [answer]
    if voxels <= TWO_STARTS:
        return [answer, zero]
    if answer.similarity - zero.similarity < LITTLE * (1 - zero.similarity):
        notes.append(f"The {answer.name} made the images hardly more similar, so the refinement began without it.")
        return [zero]
    return [answer]


def choose_result(optimised: Sequence[Start], notes: list[str]) -> Start:
    """The first of what the optimisations made of the starts, unless a later one is clearly better."""
    chosen = optimised[0]
    for other in optimised[1:]:
        if other.similarity > CLEARLY * chosen.similarity:
            notes.append(f"The refinement ended clearly better without the {chosen.name}, so it was not used.")
            chosen = other
    return chosen
