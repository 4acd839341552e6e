"""What the choices of the option ``quality`` mean: how fine the grids are, and how long the refinement works on them.

Chosen on people of the brains for training, by Dice, SD of the log Jacobian and error of the inverse together; see
Resources/Results.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from DiffuseMorphCore.registration.descent import RefinementSettings
from DiffuseMorphCore.similarity import REFERENCE_VOXELS


@dataclass(frozen=True)
class Preset:
    """One choice.

    voxels : most of the working grid, by dimension; None for as many as the image has. steps : most on the finest grid.
    finest : a large finest grid is left when so many steps gained less than this share.
    """

    voxels: dict[int, int | None]
    steps: int
    finest: tuple[int, float]

    def settings(self, steps: str | int, shape: tuple[int, ...]) -> tuple[int, RefinementSettings]:
        """Steps on the finest grid, and the settings, for ``"auto"`` or a number on a working grid of ``shape``.

        A number that is asked for is used up unless nothing at all is gained. On small grids steps cost little, so
        there are as many as may pay.
        """
        if steps != "auto":
            return int(steps), RefinementSettings.for_images(len(shape))
        if math.prod(shape) <= LARGE_GRID:
            return AUTOMATIC_STEPS, RefinementSettings.for_images(len(shape))
        changes = {"coarse_steps": 4 * AUTOMATIC_STEPS, "finest": self.finest}
        return self.steps, RefinementSettings.for_images(len(shape), **changes)


AUTOMATIC_STEPS = 12
"""Steps on a finest grid that is not large. On two brains 6, 10, 20 and 40 reached a Dice of .636, .637, .637 and .637
there (before the log Jacobian diffused)."""
LARGE_GRID = 500_000
"""Voxels from which on a step on the finest grid is dear."""
PRESETS = {
    "fast": Preset({2: REFERENCE_VOXELS[2] // 4, 3: 700_000}, 4, (2, 5e-3)),
    "default": Preset({2: REFERENCE_VOXELS[2], 3: 2_200_000}, 6, (2, 5e-3)),
    "best": Preset({2: None, 3: None}, 12, (2, 5e-3)),
}
"""By the name that the option has."""
