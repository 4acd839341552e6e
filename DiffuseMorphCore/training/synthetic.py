"""Synthetic pairs: two people's label maps, deformed and rendered as images, so that no scan is needed to train.

Both images of a pair show the same grid, in the common pose of the label maps, which stands for the affine alignment
that precedes every registration. They share a random orientation, field of view and tilt; each has a small affine map,
a smooth deformation of several scales, a bias field, blur, noise and artefacts of its own. The contrast is shared, or
independent; the similarity then compares renderings in the fixed image's contrast, never the two contrasts.
A pair that shows one person twice leaves the moving image undeformed, which makes the field to find known exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.seeds import generator
from DiffuseMorphCore.training.appearance import Appearance, degrade, random_contrast, render
from DiffuseMorphCore.training.augmentation import (
    AffineRange,
    grid_points,
    random_affine,
    random_displacement,
    random_orientation,
    uniform,
)
from DiffuseMorphCore.training.labelmaps import LabelMap
from DiffuseMorphCore.training.pair import TrainingPair
from DiffuseMorphCore.warp import sample_points

_VALIDATION_STREAM = 1 << 31  # seeds of validation pairs, far from any training sample


@dataclass(frozen=True)
class Geometry:
    """Grid and random geometry of synthetic pairs.

    shape : grid in voxels, (D, H, W) or (H, W); a 2-D grid shows a random slice.
    spacing : voxel size of the grid in mm. zoom : the largest random change of it, as a fraction.
    common : affine map shared by both images; shift in mm.
    own : affine map of each image, what an affine alignment leaves; shift in voxels.
    scales, strength : of each image's smooth deformation in voxels, see random_displacement.
    flips, permute : mirror these axes of "x" (left-right), "y", "z" half of the time; exchange the axes, so that no
        orientation is special. Without them images are in LPS order, which is easier to learn.
    same_person : share of pairs that show one person twice, differently deformed.
    local : share of these pairs that differ in one region only, as a chest does where its heart beats; all else, the
        linear map included, is the same in both images.
    independent_contrast : share of pairs whose images have contrasts of their own.
    """

    shape: tuple[int, ...] = (40, 48, 40)
    spacing: float = 4.5
    zoom: float = 0.12
    common: AffineRange = field(default_factory=lambda: AffineRange(15.0, 0.1, 0.0, 6.0))
    own: AffineRange = field(default_factory=lambda: AffineRange(3.0, 0.04, 0.02, 0.5))
    scales: tuple[float, ...] = (16.0, 8.0, 4.0)
    strength: float = 0.1
    flips: tuple[str, ...] = field(default=("x",), metadata={"allowed": ("x", "y", "z")})
    permute: bool = False
    same_person: float = 0.2
    local: float = 0.0
    independent_contrast: float = 0.0


class Anatomies(Protocol):
    """What SyntheticPairs takes its anatomy from: real label maps, or random shapes."""

    ids: tuple[int, ...]
    radius: float  # mm, of a ball as large as the anatomy

    def choose(self, count: int, random: torch.Generator) -> list[LabelMap]:
        """`count` different anatomies for one pair."""


class People:
    """Label maps of real people."""

    def __init__(self, maps: Sequence[LabelMap], ids: Sequence[int]) -> None:
        if not maps:
            raise DiffuseMorphError("There are no label maps to synthesise images from: give at least one.")
        self.maps, self.ids = list(maps), tuple(ids)
        volumes = [float((entry.labels > 0).sum() / torch.linalg.det(entry.matrix)) for entry in maps]
        self.radius = (min(volumes) * 3 / (4 * math.pi)) ** (1 / 3)

    def choose(self, count: int, random: torch.Generator) -> list[LabelMap]:
        order = torch.randperm(len(self.maps), generator=random).tolist()
        return [self.maps[order[number % len(order)]] for number in range(count)]


@dataclass(frozen=True)
class _Place:
    """Where an image lies in the common view: (N, ndim) points in voxels about the centre, one for every voxel of the
    image, which are matrix (voxel + displacement) + shift.
    """

    matrix: Tensor
    shift: Tensor
    points: Tensor


class SyntheticPairs:
    """A PairSource that renders pairs from anatomies. See the module's docstring for what is random."""

    def __init__(
        self,
        training: Anatomies,
        validating: Anatomies | None,
        geometry: Geometry,
        appearance: Appearance = Appearance(),
        seed: int = 0,
        validation_pairs: int = 6,
    ) -> None:
        self.geometry, self.appearance, self.seed = geometry, appearance, seed
        self.ndim = len(geometry.shape)
        self._training, self._validating = training, validating
        self._validation_pairs = validation_pairs if validating is not None else 0

    def draw(self, index: int, device: torch.device) -> TrainingPair:
        return self._pair(self._training, generator(self.seed, index), device)

    def validation(self, device: torch.device) -> list[TrainingPair]:
        """The same pairs for every seed, so that runs can be compared."""
        return [
            self._pair(self._validating, generator(_VALIDATION_STREAM, index), device)
            for index in range(self._validation_pairs)
        ]

    def _pair(self, anatomies: Anatomies, random: torch.Generator, device: torch.device) -> TrainingPair:
        geometry = self.geometry
        alone = uniform(0, 1, random) < geometry.same_person
        chosen = anatomies.choose(1 if alone else 2, random)
        moving_map, fixed_map = chosen[0], chosen[-1]
        contrast = random_contrast(anatomies.ids, self.appearance.natural, random)
        other = contrast
        if uniform(0, 1, random) < geometry.independent_contrast:
            other = random_contrast(anatomies.ids, self.appearance.natural, random)
        view = self._common_view(random, chosen[0].labels.dim() - 2)
        if self.ndim < len(view[1]):
            moving_map, fixed_map = (slice_of(entry, view, geometry.shape) for entry in (moving_map, fixed_map))
            view = torch.eye(self.ndim), torch.zeros(self.ndim)
        if alone and geometry.local and uniform(0, 1, random) < geometry.local:
            still, warped = self._region(random, device)
        else:
            still, warped = self._place(0.0 if alone else 1.0, random, device), self._place(1.0, random, device)
        moving_clean, moving_labels = self._image(moving_map, contrast, view, still.points, random, device)
        fixed_clean, fixed_labels = self._image(fixed_map, other, view, warped.points, random, device)
        moving, fixed = (degrade(image, self.appearance, random) for image in (moving_clean, fixed_clean))
        if other is not contrast:
            moving_clean, _ = self._image(moving_map, other, view, still.points, random, device)
        known = torch.full((1, self.ndim, *geometry.shape), torch.nan, device=device)
        if alone:
            # Both images show the common view at their points; solve for the voxel of the moving image.
            target = (warped.points - still.shift) @ torch.linalg.inv(still.matrix).T
            way = target - grid_points(geometry.shape, device)
            known = torch.where(fixed_labels > 0, way.T.reshape(known.shape), known)
        return TrainingPair(moving, fixed, moving_labels, fixed_labels, known, moving_clean, fixed_clean)

    def _place(self, share: float, random: torch.Generator, device: torch.device) -> _Place:
        geometry = self.geometry
        matrix, shift = (part.to(device) for part in random_affine(self.ndim, geometry.own, random))
        strength = share * geometry.strength
        displacement = random_displacement(geometry.shape, geometry.scales, strength, random, device)
        points = (grid_points(geometry.shape, device) + displacement[0].flatten(1).T) @ matrix.T + shift
        return _Place(matrix, shift, points)

    def _region(self, random: torch.Generator, device: torch.device) -> tuple[_Place, _Place]:
        """The same place twice, the second time deformed within a ball that covers a part of the grid."""
        shape, geometry = self.geometry.shape, self.geometry
        points = grid_points(shape, device)
        middle = torch.tensor([uniform(-0.25, 0.25, random) * side for side in shape], device=device)
        radius = uniform(0.1, 0.3, random) * min(shape)
        inside = torch.exp(-(((points - middle).norm(dim=1) / radius) ** 4))
        displacement = random_displacement(shape, geometry.scales, geometry.strength, random, device)[0].flatten(1).T
        # A pull towards the middle, or away from it, as a cavity shrinks or fills.
        displacement = displacement + uniform(-2.5, 2.5, random) * geometry.strength * (points - middle)
        matrix, shift = torch.eye(self.ndim, device=device), torch.zeros(self.ndim, device=device)
        return _Place(matrix, shift, points), _Place(matrix, shift, points + inside[:, None] * displacement)

    def _common_view(self, random: torch.Generator, space: int) -> tuple[Tensor, Tensor]:
        """Matrix (space, ndim) and shift (space,): from voxels of the grid about its centre to mm of the common pose of
        anatomies of `space` dimensions.
        """
        geometry = self.geometry
        flips = [axis in geometry.flips for axis in "zyx"[3 - space :]]
        turn = random_orientation(space, flips, geometry.permute, random)
        matrix, shift = random_affine(space, geometry.common, random)
        size = geometry.spacing * (1 + uniform(-geometry.zoom, geometry.zoom, random))
        matrix = size * (turn @ matrix)
        if (
            self.ndim < space
        ):  # the slice leaves the centre along its normal, but stays in the inner part of the anatomy
            shift = shift + turn[:, 0] * uniform(-0.6, 0.6, random) * self._training.radius
            matrix = matrix[:, 1:]
        return matrix, shift

    def _image(
        self,
        anatomy: LabelMap,
        contrast: Tensor,
        view: tuple[Tensor, Tensor],
        points: Tensor,
        random: torch.Generator,
        device: torch.device,
    ) -> tuple[Tensor, Tensor]:
        """The anatomy as a perfect scanner shows it, in [0, 1], and its labels, both (1, 1, *spatial)."""
        shape = self.geometry.shape
        labels = anatomy.labels.to(device)
        matrix = anatomy.matrix @ view[0]
        shift = anatomy.matrix @ view[1] + anatomy.shift
        points = points @ matrix.T.to(device) + shift.to(device)
        coarser = float(matrix.T.matmul(matrix).det()) ** (0.5 / self.ndim)  # voxels of the map to a voxel of the grid
        rendered = render(labels, contrast, self.appearance, coarser, random)
        image = sample_points(rendered, points).T.reshape(1, 1, *shape)
        sampled = sample_points(labels, points, "nearest").T.reshape(1, 1, *shape)
        return image, sampled


def slice_of(anatomy: LabelMap, view: tuple[Tensor, Tensor], shape: Sequence[int]) -> LabelMap:
    """The plane of a 3-D map that a view shows, as a 2-D map whose points are pixels of the view about its centre.

    It is twice as fine as the grid of `shape` and reaches a quarter of a side beyond it, for what deformations bring
    in.
    """
    finer = [3 * size for size in shape]
    points = (grid_points(finer, anatomy.labels.device) / 2) @ view[0].T.to(anatomy.labels) + view[1].to(anatomy.labels)
    labels = sample_points(anatomy.labels, points @ anatomy.matrix.T.to(points) + anatomy.shift.to(points), "nearest")
    centre = torch.tensor([(size - 1) / 2 for size in finer])
    return LabelMap(anatomy.name, labels.T.reshape(1, 1, *finer), 2 * torch.eye(len(finer)), centre)
