"""One round: everybody registered to the current mean, and the mean moved to the middle of everybody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.progress import Progress, advance
from DiffuseMorphCore.registration.mapping import Mapping
from DiffuseMorphCore.registration.object_mask import object_of
from DiffuseMorphCore.registration.pipeline import register
from DiffuseMorphCore.registration.repair import unfold
from DiffuseMorphCore.registration.template.average import Scale, average, sharpness
from DiffuseMorphCore.registration.template.kept import Kept
from DiffuseMorphCore.registration.template.people import Person
from DiffuseMorphCore.registration.working_grid import wanted_shape
from DiffuseMorphCore.samplers import EtaPath

_END = (1.0,)  # the eta that counts


@dataclass(frozen=True)
class Round:
    """Everybody's way into a template, and the template.

    alignments : template points to image points. fields : the files of the displacements, of which ``moved``, also in
    voxels of ``grid``, is the inverse of the mean; all None before the first round. values : the mean image on the
    template's grid ``whole``, in [0, 1]. figures : how it differs from the round before.
    """

    alignments: Sequence[sitk.AffineTransform]
    whole: Grid
    values: np.ndarray
    figures: dict[str, float]
    grid: Grid | None = None
    fields: Sequence[Callable[[], np.ndarray]] = ()
    moved: torch.Tensor | None = None

    def displacement(self, number: int) -> Displacement:
        """Of a person: the registration's, after the inverse of the mean, so that the mean of all is nothing."""
        own = Displacement(torch.from_numpy(self.fields[number]()), self.grid)
        return own.compose(Displacement(self.moved, self.grid))

    def mapping(self, number: int, repaired: bool = False) -> Mapping:
        """Template points to image points of a person, and back; without a fold where ``repaired``."""
        if self.grid is None:
            return Mapping(self.alignments[number], EtaPath.straight(Displacement.zero(self.whole)))
        path = EtaPath.straight(self.displacement(number))
        if repaired:
            path = unfold(path, self.whole.shape, _END).path
        return Mapping(self.alignments[number], path.faded())


@torch.no_grad()
def next_round(
    people: Sequence[Person],
    before: Round,
    scale: Scale,
    options: dict[str, Any],
    kept: Kept,
    depends_on: list[Any],
    inner: Callable[[int], Progress],
) -> Round:
    """Register everybody to the mean of the round before, and make the next.

    Parameters
    ----------
    options : of each registration. depends_on : what makes the round, plain types. inner : the callback for the
        registration with a number.
    """
    template = scale.image(before.values, before.whole)
    grid = before.whole.resampled(wanted_shape(before.whole, options["quality"]))
    inside = object_of(before.values, scale.background)
    coarse = _on(inside, before.whole, grid)
    total = torch.zeros((1, grid.ndim, *grid.shape), dtype=torch.float64)
    fields, similarity, lengths = [], [], []

    def registered(number: int) -> dict[str, np.ndarray]:
        result = register(
            template,
            people[number].image(),
            initial_transform=before.alignments[number],
            progress=inner(number),
            **options
            | {
                "align": "none",
                "keep": "always",
                "moving_intensity_range": people[number].window,
                "intensity_range": None,
            },
        )
        field = result.path.finest.on(grid).values.numpy()
        return {"field": field, "similarity": np.array(result.report["similarity"]["registered"])}

    for number, person in enumerate(people):
        path = kept.path(f"round-{person.facts.digest}", *depends_on, person.name)
        found = kept.get(path, lambda: registered(number))
        total += torch.from_numpy(found["field"])
        similarity.append(float(found["similarity"]))
        fields.append(lambda path=path: kept.read(path)["field"])
    mean = Displacement((total / len(people)).float(), grid)
    mean = unfold(EtaPath.straight(mean), grid.shape, _END).path.end  # a mean of fold-free fields hardly ever folds
    result = Round(before.alignments, before.whole, before.values, {}, grid, fields, mean.inverse().values)

    def transform(number: int) -> sitk.Transform:
        mapping = result.mapping(number)
        lengths.append(_root_mean_square(mapping.path.end.on(grid), coarse))
        return mapping.transform()

    values = average(people, transform, before.whole, scale, lambda _: advance(inner(len(people) - 1), "deliver", 1.0))
    figures = {
        "mean_displacement_mm": _root_mean_square(mean, coarse),
        "intensity_change": float(np.sqrt(np.square(values - before.values)[inside].mean())),
        "distance_mm": float(np.mean(lengths)),
        "similarity": float(np.mean(similarity)),
        "sharpness": sharpness(values, inside, before.whole),
    }
    return Round(before.alignments, before.whole, values, figures, grid, fields, result.moved)


def _on(inside: np.ndarray, whole: Grid, grid: Grid) -> np.ndarray:
    """A region on another grid over the same field of view."""
    identity = sitk.Transform(grid.ndim, sitk.sitkIdentity)
    reference = grid.image(np.zeros(grid.shape, np.uint8))
    found = sitk.Resample(whole.image(inside.astype(np.uint8)), reference, identity, sitk.sitkNearestNeighbor)
    array = sitk.GetArrayFromImage(found) > 0
    return array if array.any() else np.ones_like(array)


def _root_mean_square(displacement: Displacement, inside: np.ndarray) -> float:
    """Of the lengths inside, in mm."""
    return float(np.sqrt(np.square(displacement.vectors()).sum(axis=-1)[inside].mean()))
