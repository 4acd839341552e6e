"""Similarity as a weighted sum of terms: what a registration maximises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from DiffuseMorphCore.similarity.image_pair import ImagePair
from DiffuseMorphCore.similarity.term import Guide, PreparedTerm, SimilarityTerm


def as_given(pair: ImagePair, displacement: Tensor) -> ImagePair:
    """The pair itself, for images that need no preparation to be compared by their intensities."""
    return pair


@dataclass(frozen=True)
class Similarity:
    """A weighted sum of similarity terms.

    terms : (weight, term), weights above 0; only their ratios count.
    network_pair : (pair, displacement) -> the pair as the networks, which know one contrast, are to see it.
    guides : (weight, guide): terms that are not of the images, whose force comes in mean lengths of that of all terms.
    """

    terms: tuple[tuple[float, SimilarityTerm], ...]
    network_pair: Callable[[ImagePair, Tensor], ImagePair] = as_given
    guides: tuple[tuple[float, Guide], ...] = ()

    @property
    def measure(self) -> str:
        """What its value is, in words for a report."""
        if len(self.terms) == 1 and not self.guides:
            return self.terms[0][1].measure
        return "weighted mean: " + "; ".join(f"{weight:g} × {term.measure}" for weight, term in self.terms)

    @property
    def bytes_per_voxel(self) -> int:
        """Memory for every voxel of the images' grid, beside the pair and the displacement: that of all terms."""
        return sum(term.bytes_per_voxel for _, term in (*self.terms, *self.guides))

    @property
    def uses_tissue(self) -> bool:
        """Whether any term, or the pair that the networks see, wants the pair's shares of tissue."""
        return self.network_pair is not as_given or any(term.uses_tissue for _, term in self.terms)

    def for_pair(self, pair: ImagePair) -> Similarity:
        """The sum of those terms that a pair has the images for: without a canonical contrast its terms are left
        out.
        """
        return self if pair.fixed_canonical is not None else self.of_images

    @property
    def of_images(self) -> Similarity:
        """The sum of the terms that compare the images themselves, with no part of a model's, and the guides."""
        return replace(self, terms=tuple((weight, term) for weight, term in self.terms if not term.uses_canonical))

    @property
    def unguided(self) -> Similarity:
        """The images' similarity alone."""
        return replace(self, guides=())

    def prepare(self, pair: ImagePair, displacement: Tensor, shape: tuple[int, ...]) -> PreparedSum:
        """All terms on one level of resolution; the parameters are those of :meth:`.term.SimilarityTerm.prepare`."""
        return PreparedSum(
            [(weight, term.prepare(pair, displacement, shape)) for weight, term in self.for_pair(pair).terms],
            [(weight, guide.prepare(pair, displacement, shape)) for weight, guide in self.guides],
        )

    @torch.no_grad()
    def evaluate(self, pair: ImagePair, displacement: Tensor) -> float:
        """How similar a pair is under a displacement (1, ndim, *spatial) in voxels of its grid; 1 for a perfect
        match.
        """
        return float(self.prepare(pair, displacement, pair.shape).value(displacement))


class PreparedSum:
    """A weighted sum on one level of resolution, itself a :class:`.term.PreparedTerm`.

    The value is the weighted mean of the terms' values. Forces of different terms have no common unit: where there is
    more than one, or a guide, each is divided by its own mean length at the first call that gives any.
    """

    def __init__(
        self, terms: list[tuple[float, PreparedTerm]], guides: Sequence[tuple[float, PreparedTerm]] = ()
    ) -> None:
        self.terms, self.guides = terms, guides
        self._units: list[Tensor | float] = [0.0] * len(terms)

    def value(self, displacement: Tensor) -> Tensor:
        return self._mean([term.value(displacement) for _, term in (*self.terms, *self.guides)])

    def force(self, displacement: Tensor) -> tuple[Tensor, Tensor]:
        if len(self.terms) == 1 and not self.guides:
            return self.terms[0][1].force(displacement)
        values, total = [], torch.zeros_like(displacement)
        for index, (weight, term) in enumerate(self.terms):
            value, force = term.force(displacement)
            values.append(value)
            length = _mean_length(force)
            unit = self._units[index] = torch.where(
                torch.as_tensor(self._units[index], device=force.device) > 0, self._units[index], length
            )
            total.add_(force / torch.where(unit > 0, unit, 1), alpha=weight)
        whole = sum(weight for weight, _ in self.terms)
        for weight, guide in self.guides:
            value, force = guide.force(displacement)
            values.append(value)
            total.add_(force, alpha=weight * whole)
        return self._mean(values), total / displacement[0, 0].numel()

    def _mean(self, values: list[Tensor]) -> Tensor:
        if len(values) == 1:
            return values[0]
        every = (*self.terms, *self.guides)
        return sum(weight * value for (weight, _), value in zip(every, values)) / sum(weight for weight, _ in every)


def _mean_length(force: Tensor) -> Tensor:
    """(B, 1, …): the mean length of a force for each item of the batch."""
    length = force.square().sum(dim=1, keepdim=True).sqrt_()
    return length.mean(dim=tuple(range(1, force.dim())), keepdim=True)
