"""The mean image of a group in the space of its template, and how sharp that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.template.people import Person
from DiffuseMorphCore.registration.working_pair import is_cut


@dataclass(frozen=True)
class Scale:
    """The intensities of a template: where values are 0 and 1, and the background; medians and mean of the people's."""

    low: float
    high: float
    background: float

    @classmethod
    def of(cls, people: Sequence[Person]) -> Scale:
        low, high = (float(np.median([person.facts.intensities[end] for person in people])) for end in (0, 1))
        return cls(low, high, float(np.mean([person.facts.background for person in people])))

    def image(self, values: np.ndarray, grid: Grid) -> sitk.Image:
        """Values in [0, 1] as an image of the template, float32."""
        return grid.image((self.low + (self.high - self.low) * values).astype(np.float32))

    def values(self, image: sitk.Image) -> np.ndarray:
        """The inverse of :meth:`image`."""
        return (sitk.GetArrayFromImage(image).astype(np.float32) - self.low) / (self.high - self.low)


def average(
    people: Sequence[Person],
    transforms: Callable[[int], sitk.Transform],
    grid: Grid,
    scale: Scale,
    step: Callable[[int], None] = lambda number: None,
) -> np.ndarray:
    """The mean of everybody's intensities, each scaled to [0, 1], on the grid of the template.

    transforms : of the person with a number, template points to image points. Where an image ends in tissue, only
    those that reach further count. Only one image is held at a time. step : called before each.
    """
    reference = grid.image(np.zeros(grid.shape, np.float32))
    total, weight = np.zeros(grid.shape, np.float64), np.zeros(grid.shape, np.float64)
    for number, person in enumerate(people):
        step(number)
        scan, transform = person.scan(), transforms(number)
        values = scan.grid.image(scan.values[0, 0])
        there = sitk.Resample(values, reference, transform, sitk.sitkLinear, scan.background, sitk.sitkFloat32)
        if is_cut(scan):
            ones = scan.grid.image(np.ones(scan.grid.shape, np.float32))
            covered = sitk.GetArrayFromImage(
                sitk.Resample(ones, reference, transform, sitk.sitkLinear, 0.0, sitk.sitkFloat32)
            )
            total += covered * sitk.GetArrayViewFromImage(there)
            weight += covered
        else:
            total += sitk.GetArrayViewFromImage(there)
            weight += 1.0
    found = np.full(grid.shape, scale.background)
    np.divide(total, weight, out=found, where=weight > 1e-3)
    return found.astype(np.float32)


def sharpness(values: np.ndarray, inside: np.ndarray, grid: Grid) -> float:
    """Mean length of the gradient inside, in shares of the range of intensities per mm."""
    slopes = np.gradient(values.astype(np.float64), *grid.voxel_spacing)
    return float(np.sqrt(sum(slope**2 for slope in slopes))[inside].mean())
