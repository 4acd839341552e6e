"""Random shapes as anatomy: training without any data, after SynthMorph's "shapes" variant."""

from __future__ import annotations

import torch
from torch import Tensor

from DiffuseMorphCore.training.augmentation import smooth_noise, uniform
from DiffuseMorphCore.training.labelmaps import LabelMap

_SIDE = 64  # voxels of a map
_EXTENT = 180.0  # mm it stands for
_REACH = 0.75  # of the map's half, to the mean outline of the shapes


class RandomShapes:
    """Label maps of blobs inside a larger blob: every voxel gets the label whose smooth noise is largest there.

    Each pair has new shapes. A pair of two "different" anatomies shares the noise in part, so that there is something
    to match, as there is between two people.
    """

    def __init__(self, labels: int = 12, kinship: float = 0.8) -> None:
        """labels : labels of a map, without the background. kinship : correlation of the noise of two anatomies."""
        self.ids = tuple(range(1000, 1000 + labels + 1))  # no FreeSurfer ids, so their contrast is always random
        self.kinship = kinship
        self.radius = _REACH * _EXTENT / 2

    def choose(self, count: int, random: torch.Generator) -> list[LabelMap]:
        shape, labels = (_SIDE,) * 3, len(self.ids) - 1
        coarse, rough = uniform(8, 20, random), uniform(14, 24, random)

        def noise() -> tuple[Tensor, Tensor]:
            return smooth_noise(shape, coarse, labels, random), smooth_noise(shape, rough, 1, random)

        common = noise()
        axis = torch.linspace(-1, 1, _SIDE)
        radius = sum(part.square() for part in torch.meshgrid(axis, axis, axis, indexing="ij")).sqrt()
        maps = []
        for number in range(count):
            own, own_outline = noise()
            share = (1 - self.kinship ** 2) ** 0.5 if count > 1 else 0.0
            tissue = self.kinship * common[0] + share * own
            outline = 0.1 * (self.kinship * common[1] + share * own_outline)
            labels_here = (tissue.argmax(1, keepdim=True) + 1).float() * (radius + outline < _REACH)
            scale = (_SIDE - 1) / _EXTENT
            maps.append(LabelMap(f"shapes {number}", labels_here, scale * torch.eye(3),
                                 torch.full((3,), (_SIDE - 1) / 2)))
        return maps
