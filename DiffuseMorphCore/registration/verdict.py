"""The verdict on a registration: good, doubtful or failed, and why, from figures that it does not maximise."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.explained import explained
from DiffuseMorphCore.registration.object_mask import object_of
from DiffuseMorphCore.registration.working_grid import working_shape
from DiffuseMorphCore.similarity import ImagePair
from DiffuseMorphCore.warp import downsample, jacobian_determinant, resize, smooth, warp

GOOD, DOUBTFUL, FAILED = "good", "doubtful", "failed"
_VOXELS = 40_000  # on which the figures are taken: noise has gone, structures have not
_TISSUE = 0.05  # off the background, of intensities from 0 to 1, from which on such a voxel is object
_BY_CHANCE, _LITTLE, _ALIGNED = 0.2, 0.4, 0.2
"""Shares explained: up to the first nothing meets; up to the second little does; below the third an alignment is poor.
Brains, hippocampi, hearts and faces of two people have .6 to .9 when registered and .3 to .9 when aligned; turned by 90
or 180 degrees, heart on brain, or noise, they have 0 to .15 when aligned, and 0 to .8 where the deformation forced
them."""
_STRONG, _TOO_STRONG = 0.45, 0.7
"""Standard deviations of the logarithm of the change of volume inside the object: .3 to .47 between people; .5 to .9
where unlike images were forced upon each other."""
_LEAST_GAIN = 0.8
"""Share of what the alignment left unexplained that a deformation may leave at most, where equal intensities do not
mean equal tissue and the aligned images explain more than a little of each other. T1 and FLAIR of one person, where
every deformation is wrong: .51 to .65 explained when aligned, and .95 to 1.02 of the rest left; of two people .17 to
.29, and .49 to .69 (nine pairs of people that methods are chosen on); this is about half way between. Of an alignment
that explains little, a small gain says nothing; nor does it in an image of a few voxels."""
_MOST_LOSS = 1.1
"""The same where that term tells enough: the figure may fall by some hundredths of the rest although structures meet
better (three of 42 hearts, by 0 to .04, two of them better)."""
_TINY = 16  # voxels a side; with fewer, brains with a known bend of a fifth of a voxel were bent by half a voxel
NO_GAIN = (
    "The images explain each other hardly better after the deformation than after the alignment alone, "
    "so the alignment is the result."
)
UNITS = 5.0
"""Ratio of voxel sides, and of fields of view, from which on the units of one header are suspected to be wrong."""


@dataclass(frozen=True)
class Verdict:
    """What to think of a registration.

    word : good, doubtful or failed. reason : one sentence. explained, explained_when_aligned : see :func:`explained`.
    volume_change : standard deviation of the logarithm of the Jacobian determinant inside the object.
    """

    word: str
    reason: str
    explained: float
    explained_when_aligned: float
    volume_change: float

    def gained(self, modality: str, shape: tuple[int, ...]) -> bool:
        """Whether the deformation of images of ``shape`` explains enough beyond the alignment to be believed: not
        clearly less, and clearly more where the optimised term tells little.
        """
        before, after = self.explained_when_aligned, self.explained
        tiny = math.prod(shape) < _TINY ** len(shape)
        demanding = tiny or (modality == "different" and before >= _LITTLE)
        return 1 - after <= (_LEAST_GAIN if demanding else _MOST_LOSS) * (1 - before)

    def entry(self) -> dict[str, Any]:
        """For the report."""
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


@torch.no_grad()
def inside_object(pair: ImagePair, grid: Grid, background: float) -> np.ndarray:
    """Where the fixed image shows more than its background: booleans on the pair's grid, in array order; everywhere
    where there is nothing else.

    Told on the voxels of the verdict, and of a smoothed image, because else the noise of air looks like an object.

    pair : the images on the working grid. grid : over their field of view. background : the value around the object.
    """
    shape = working_shape(grid.resampled(pair.shape), _VOXELS)
    inside = object_of(smooth(downsample(pair.fixed[:, :1].cpu(), shape), 1.0)[0, 0].numpy(), background)
    return resize(torch.from_numpy(inside).float()[None, None], pair.shape)[0, 0].numpy() >= 0.5


@torch.no_grad()
def judge(
    pair: ImagePair, displacement: Displacement, backgrounds: tuple[float, float], units: str | None = None
) -> Verdict:
    """The verdict on the displacement of a pair.

    Parameters
    ----------
    pair : the images on the working grid. displacement : on any grid over the same field of view.
    backgrounds : the value around the object in the fixed and in the moving image. units : what is odd there, or None.
    """
    grid = displacement.grid.resampled(pair.shape)
    grid = grid.resampled(working_shape(grid, _VOXELS))
    small, moved = pair.to("cpu").at(grid.shape), displacement.to("cpu").at(grid.shape).values
    aligned, registered = (_explained(small, each, backgrounds) for each in (torch.zeros_like(moved), moved))
    object_ = torch.from_numpy(object_of(small.fixed[0, 0].numpy(), backgrounds[0], _TISSUE))
    logarithm = jacobian_determinant(moved)[0, 0].clamp(min=1e-3).log()
    change = float(logarithm[object_].std()) if int(object_.sum()) > 1 else 0.0
    word, reason = _words(aligned, registered, change)
    if units is not None and word == GOOD:
        word, reason = DOUBTFUL, units
    elif units is not None:
        reason = f"{units} {reason}"
    return Verdict(word, reason, registered, aligned, change)


def odd_units(fixed: Grid, moving: Grid) -> str | None:
    """A sentence where voxels and fields of view differ so much that a unit must be wrong, or None."""
    sides, views = (
        [math.prod(values) ** (1 / fixed.ndim) for values in pair]
        for pair in (
            (fixed.spacing, moving.spacing),
            ([n * s for n, s in zip(fixed.size, fixed.spacing)], [n * s for n, s in zip(moving.size, moving.spacing)]),
        )
    )
    ratio = min(sides[1] / sides[0], views[1] / views[0])
    larger = ratio > 1
    if not larger:
        ratio = min(sides[0] / sides[1], views[0] / views[1])
    if ratio < UNITS:
        return None
    return (
        f"By the headers the {'moving' if larger else 'fixed'} image, its voxels too, is {ratio:.3g} times as large as "
        "the other one: check the units of the spacing, or the dots per inch."
    )


def _explained(pair: ImagePair, displacement: torch.Tensor, backgrounds: tuple[float, float]) -> float:
    moved, weight = warp(pair.moving, displacement), pair.overlap(displacement)
    fixed = pair.fixed[0].mean(dim=0).numpy()
    inside = np.ones(fixed.shape, bool) if weight is None else weight[0, 0].numpy() > 0.5
    return explained(fixed, moved[0].mean(dim=0).numpy(), inside, backgrounds)


def _words(aligned: float, registered: float, change: float) -> tuple[str, str]:
    if registered < _BY_CHANCE:
        return FAILED, (
            "What lies on each other matches hardly better than by chance: check that both images show the same "
            "anatomy, and their orientation and units."
        )
    if aligned < _ALIGNED and change > _STRONG:
        return DOUBTFUL, (
            "The alignment matched hardly better than by chance, and the deformation had to force the images upon "
            "each other: check their orientation."
        )
    if change > _TOO_STRONG:
        return DOUBTFUL, "The deformation changes volumes far more than it does between two people: check the images."
    if registered < _LITTLE:
        return DOUBTFUL, "Only part of what lies on each other matches: look at the preview."
    return GOOD, "Structures inside the object match far better than by chance."
