"""Pairs of synthetic heads of any contrast, with the tissue of every voxel, to learn the canonical contrast from.

Every voxel is the mean of eight points, so that borders of tissue look as a scanner shows them. Both images show one
view of two people (or of one), each a little moved and bent, and each has a contrast and artefacts of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as functional
from torch import Tensor

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.seeds import generator
from DiffuseMorphCore.training.appearance import Appearance, degrade
from DiffuseMorphCore.training.augmentation import random_affine, random_displacement, smooth_noise, uniform
from DiffuseMorphCore.training.contrasts import draw_contrast
from DiffuseMorphCore.training.pair import LABELS, TrainingPair, part
from DiffuseMorphCore.training.tissue_maps import TissueMap
from DiffuseMorphCore.training.tissues import CANONICAL, MUSCLE, OUTSIDE, SURROUNDING_FLUID
from DiffuseMorphCore.warp import smooth

if TYPE_CHECKING:
    from DiffuseMorphCore.training.synthetic import Geometry

_FINER = 2  # points a side of a voxel
_EXTRACTED, _WITHOUT_FLUID = 0.5, 0.25
"""Shares of the pairs that show extracted brains, and of those whose fluid around the brain is taken away too."""
_VALIDATION_STREAM = 1 << 31


@dataclass(frozen=True)
class TissuePair(TrainingPair):
    """A pair with the tissue of every voxel; its anatomies are the images in the canonical contrast.

    moving_tissue, fixed_tissue : (B, 1, *spatial) float32 holding indices into TISSUES.
    """

    moving_tissue: Tensor | None = part(LABELS)
    fixed_tissue: Tensor | None = part(LABELS)


@dataclass(frozen=True)
class _View:
    """What both images of a pair share: mm to a voxel, map from points of the grid to points about the brain's middle,
    the tissues that are taken away, and how broad contrasts and artefacts are, 0 to 1.
    """

    step: float
    matrix: Tensor
    shift: Tensor
    removed: tuple[int, ...]
    breadth: float


class TissuePairs:
    """A PairSource of synthetic heads.

    geometry : grid, spacing with its zoom, and how the two images differ; its shifts are in mm. appearance : limits of
    the artefacts in the end. curriculum : numbers of the pairs from which on, and up to which, contrasts and artefacts
    grow from the commonest and least to their full breadth.
    """

    ndim = 3

    def __init__(
        self,
        training: list[TissueMap],
        validating: list[TissueMap],
        geometry: Geometry,
        appearance: Appearance = Appearance(),
        seed: int = 0,
        validation_pairs: int = 6,
        curriculum: tuple[int, int] = (0, 0),
    ) -> None:
        if not training:
            raise DiffuseMorphError("There are no label maps to synthesise images from: give at least one.")
        self.geometry, self.appearance, self.seed, self.curriculum = geometry, appearance, seed, curriculum
        self._training, self._validating = training, validating
        self._validation_pairs = validation_pairs if validating else 0
        self._copies: dict[torch.device, list[TissueMap]] = {}

    def draw(self, index: int, device: torch.device) -> TissuePair:
        begin, end = self.curriculum
        breadth = min(1.0, max(0.0, (index - begin) / max(end - begin, 1)))
        return self._pair(self._there(device), breadth, generator(self.seed, index)).to(device)

    def validation(self, device: torch.device) -> list[TissuePair]:
        """The same pairs for every seed, so that runs can be compared."""
        return [
            self._pair(self._validating, 1.0, generator(_VALIDATION_STREAM, index)).to(device)
            for index in range(self._validation_pairs)
        ]

    def _there(self, device: torch.device) -> list[TissueMap]:
        """The people to train with where pairs are made: on a GPU itself, or else on the CPU."""
        if device.type != "cuda":
            return self._training
        if device not in self._copies:
            self._copies[device] = [person.to(device) for person in self._training]
        return self._copies[device]

    def _pair(self, people: list[TissueMap], breadth: float, random: torch.Generator) -> TissuePair:
        order = torch.randperm(len(people), generator=random).tolist()
        alone = len(people) == 1 or uniform(0, 1, random) < self.geometry.same_person
        view = self._view(breadth, random)
        moving = self._image(people[order[0]], view, random)
        fixed = self._image(people[order[0 if alone else 1]], view, random)
        parts = dict(zip(("moving", "moving_anatomy", "moving_tissue"), moving))
        parts |= zip(("fixed", "fixed_anatomy", "fixed_tissue"), fixed)
        return TissuePair(**parts, moving_labels=parts["moving_tissue"], fixed_labels=parts["fixed_tissue"])

    def _view(self, breadth: float, random: torch.Generator) -> _View:
        geometry = self.geometry
        matrix, shift = random_affine(3, geometry.common, random)
        if "x" in geometry.flips and uniform(0, 1, random) < 0.5:
            matrix = torch.diag(torch.tensor([1.0, 1.0, -1.0])) @ matrix
        removed: tuple[int, ...] = ()
        if uniform(0, 1, random) < _EXTRACTED:
            removed = (*OUTSIDE, SURROUNDING_FLUID) if uniform(0, 1, random) < _WITHOUT_FLUID / _EXTRACTED else OUTSIDE
        step = geometry.spacing * (1 + uniform(-geometry.zoom, geometry.zoom, random))
        return _View(step, matrix, shift, removed, breadth)

    def _image(self, person: TissueMap, view: _View, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """(image, canonical image, tissue), each (1, 1, *spatial), the images in [-1, 1]."""
        geometry, shape, device = self.geometry, self.geometry.shape, person.tissues.device
        matrix, shift = random_affine(3, geometry.own, random)
        matrix, shift = view.matrix @ matrix, view.shift + view.step * shift
        bend = view.step * random_displacement(shape, geometry.scales, geometry.strength, random, device)
        finer = [_FINER * size for size in shape]
        tissue = person.at(shape, view.step, matrix, shift, bend)
        points = person.at(finer, view.step / _FINER, matrix, shift, bend)
        if view.removed:
            gone = torch.tensor(view.removed, dtype=torch.uint8, device=device)
            tissue, points = (torch.where(torch.isin(each, gone), 0, each) for each in (tissue, points))
        canonical = (
            functional.avg_pool3d(torch.tensor(CANONICAL, device=device)[points.long()][None, None], _FINER) * 2 - 1
        )
        image = degrade(self._rendered(points, view.breadth, random), self.appearance.scaled(view.breadth), random)
        return image, canonical, tissue[None, None].float()

    def _rendered(self, tissues: Tensor, breadth: float, random: torch.Generator) -> Tensor:
        """What a scanner makes of tissues on the finer grid: (1, 1, *spatial) about [0, 1]."""
        means, fat = draw_contrast(breadth, random)
        shape, device = tissues.shape, tissues.device
        image = means.to(device)[tissues.long()]
        # Muscle and fat are one label: streaks of the one in the other.
        streaks = smooth_noise(shape, uniform(4, 14, random), 1, random, device)[0, 0]
        share = torch.sigmoid((streaks - uniform(-0.6, 0.8, random)) * 6)
        image = torch.where(tissues == MUSCLE, image + (fat - means[MUSCLE]) * share, image)
        texture = smooth_noise(shape, uniform(2, 6, random), 1, random, device)[0, 0]
        image = image + uniform(0, self.appearance.texture, random) * texture * (tissues > 0)
        image = functional.avg_pool3d(image[None, None], _FINER)
        low, high = self.appearance.blur
        width = uniform(low, high, random) * (0.4 + 0.6 * breadth)
        return (smooth(image, width) if width > 0.2 else image).clamp_min(0)
