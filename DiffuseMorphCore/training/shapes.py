"""Random shapes as anatomy: training without any data, after SynthMorph's "shapes" variant, with organs and vessels.

A map is a patchwork of tissues, inside an outline or over the whole field of view, with organs on it: ellipsoids and
bent tubes, each with a wall and an inside, as a heart, a kidney, a bladder, a bowel or a vessel has them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from DiffuseMorphCore.training.augmentation import grid_points, integer, smooth_noise, uniform
from DiffuseMorphCore.training.labelmaps import LabelMap

_SIDE = {2: 160, 3: 72}  # voxels of a map
_EXTENT = 216.0  # mm it stands for
_REACH = 0.62  # of the map's half, to the mean outline of the shapes
_CURVE = 32  # balls that make a tube


@dataclass(frozen=True)
class _Organ:
    """Everything within reach of a curve, in units of the map's half side: curve (n, ndim), one point for an ellipsoid;
    stretch (ndim, ndim), from points to distances in radii; inside, the share of the radius within the wall.
    """

    curve: Tensor
    stretch: Tensor
    inside: float

    @classmethod
    def random(cls, ndim: int, random: torch.Generator) -> _Organ:
        centre = 1.4 * torch.rand(ndim, generator=random) - 0.7
        inside = uniform(0.4, 1.0, random)
        if uniform(0, 1, random) < 0.6:
            turn, _ = torch.linalg.qr(torch.randn(ndim, ndim, generator=random))
            size = uniform(0.08, 0.35, random)
            radii = torch.tensor([size * uniform(0.6, 1.4, random) for _ in range(ndim)])
            return cls(centre[None], torch.diag(1 / radii) @ turn.T, inside)
        ends = [centre + 0.5 * torch.randn(ndim, generator=random) for _ in range(2)]
        way = torch.linspace(0, 1, _CURVE)[:, None]
        curve = (1 - way) ** 2 * ends[0] + 2 * way * (1 - way) * centre + way**2 * ends[1]
        return cls(curve, torch.eye(ndim) / uniform(0.03, 0.1, random), inside)

    def relative(self, distance: float, random: torch.Generator) -> _Organ:
        """The same organ of another person, or at another time: moved, of another size, emptied or filled."""

        def drawn(size: float) -> float:
            return distance * size * float(torch.randn((), generator=random))

        radius = 1 / self.stretch.norm(dim=1).mean()
        shift = torch.tensor([float(radius) * drawn(0.2) for _ in range(self.curve.shape[1])])
        bent = self.curve + shift
        return _Organ(
            bent,
            self.stretch * 2.718281828 ** drawn(0.2),
            min(self.inside * 2.718281828 ** drawn(0.5), 0.95) if self.inside < 1 else 1.0,
        )

    def distance(self, points: Tensor) -> Tensor:
        """Of points (N, ndim), in radii: 1 at the outer side of the wall."""
        return torch.cdist(points @ self.stretch.T, self.curve @ self.stretch.T).amin(1)


class RandomShapes:
    """Label maps of made-up bodies, in 2-D or 3-D.

    Each pair has new shapes. A pair of two "different" anatomies shares the noise and the organs in part, so that there
    is something to match, as there is between two people.
    """

    def __init__(self, labels: int = 8, kinship: float = 0.8, ndim: int = 3, organs: int = 6) -> None:
        """labels, organs : most tissues and organs of a map. kinship : correlation of the noise of two anatomies."""
        # No FreeSurfer ids, so their contrast is always random.
        self.ids = tuple(range(1000, 1000 + labels + 2 * organs + 1))
        self.kinship, self.ndim, self.labels, self.organs = kinship, ndim, labels, organs
        self.radius = _REACH * _EXTENT / 2

    def choose(self, count: int, random: torch.Generator) -> list[LabelMap]:
        side, ndim = _SIDE[self.ndim], self.ndim
        shape = (side,) * ndim
        tissues = 1 + integer(self.labels, random)
        coarse, rough = side * uniform(0.12, 0.3, random), side * uniform(0.2, 0.4, random)
        # An outline beyond the corners leaves no background.
        reach = _REACH if uniform(0, 1, random) < 0.5 else 3.0
        organs = [_Organ.random(ndim, random) for _ in range(integer(self.organs + 1, random))]

        def noise() -> tuple[Tensor, Tensor]:
            return smooth_noise(shape, coarse, tissues, random), smooth_noise(shape, rough, 1, random)

        common = noise()
        points = grid_points(shape) * (2 / (side - 1))
        radius = points.norm(dim=1).reshape(1, 1, *shape)
        share = (1 - self.kinship**2) ** 0.5 if count > 1 else 0.0
        maps = []
        for number in range(count):
            own, own_outline = noise() if share else common
            tissue = self.kinship * common[0] + share * own
            outline = 0.1 * (self.kinship * common[1] + share * own_outline)
            labels = (tissue.argmax(1, keepdim=True) + 1).float()
            for place, organ in enumerate(organs):
                organ = organ.relative(share, random)
                distance = organ.distance(points).reshape(1, 1, *shape)
                wall = self.labels + 2 * place + 1
                labels = torch.where(distance < 1, torch.where(distance < organ.inside, wall + 1.0, wall), labels)
            labels = labels * (radius + outline < reach)
            scale = (side - 1) / _EXTENT
            maps.append(
                LabelMap(f"shapes {number}", labels, scale * torch.eye(ndim), torch.full((ndim,), (side - 1) / 2))
            )
        return maps
