"""Local correlation of images of different contrast: the fixed image is first put into the intensities of the moving
one.

Under the displacement found so far, the mean moving intensity at every fixed one tells what each fixed intensity means
in the moving image. A background of one value, as around an extracted brain, is left out of that: a voxel that is half
background has an intensity between the two, which is a third tissue's where a bright tissue borders on the background.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from DiffuseMorphCore.similarity.correlation import LocalCorrelation, PreparedCorrelation
from DiffuseMorphCore.similarity.image_pair import ImagePair
from DiffuseMorphCore.similarity.intensity_map import intensity_map, map_intensities
from DiffuseMorphCore.warp import warp

_MOSTLY_TISSUE = 0.6
"""Share of tissue from which a voxel tells the intensity of its tissue."""
_SOME_TISSUE = 0.05
"""Share of tissue below which a voxel's tissue is taken to be as dark as the background: it hardly counts anyway."""


@dataclass(frozen=True)
class ContrastMappedCorrelation:
    """Mean squared local correlation in the moving image's contrast, with a map learnt anew on every level."""

    window: int = 5

    measure = "mean squared local correlation, the fixed image in the moving one's contrast"
    bytes_per_voxel = 200
    uses_tissue = True
    uses_canonical = False

    def prepare(self, pair: ImagePair, displacement: Tensor, shape: tuple[int, ...]) -> PreparedCorrelation:
        """Learn the map on the working grid, under the displacement found so far."""
        return LocalCorrelation(self.window).prepare(in_moving_contrast(pair, displacement), displacement, shape)


def in_moving_contrast(pair: ImagePair, displacement: Tensor) -> ImagePair:
    """The pair with the fixed image's intensities replaced by what they mean in the moving image.

    Parameters
    ----------
    pair : the images on the working grid, with their shares of tissue where they have a background of one value.
    displacement : (B, ndim, *spatial) in voxels of that grid, as good as it is known. The better it is, the clearer the
        map, but a linear alignment suffices to begin with: misplaced voxels make contrasts weaker, not other ones.

    Returns
    -------
    The same moving image and masks, without the shares of tissue, which have done their work. Each displacement of a
    batch gives a fixed image of its own.
    """
    mapped = [_mapped(pair.item(index), each[None]) for index, each in enumerate(displacement)]
    return replace(pair, fixed=torch.cat(mapped), fixed_tissue=None, moving_tissue=None)


def _mapped(pair: ImagePair, displacement: Tensor) -> Tensor:
    """The fixed image of one pair, (1, 1, *spatial), in the moving one's contrast."""
    moving = warp(pair.moving, displacement)
    weight = pair.overlap(displacement)
    weight = torch.ones_like(moving) if weight is None else weight
    background = 0.0
    fixed, counted = pair.fixed, weight
    if pair.moving_tissue is not None:
        share = warp(pair.moving_tissue, displacement)
        moving_tissue = _tissue(moving, share)
        counted = counted * (share > _MOSTLY_TISSUE)
    else:
        moving_tissue = moving
    if pair.fixed_tissue is not None:
        fixed = _tissue(pair.fixed, pair.fixed_tissue)
        counted = counted * (pair.fixed_tissue > _MOSTLY_TISSUE)
        outside = weight * (1 - pair.fixed_tissue)
        background = (outside * moving).sum() / outside.sum().clamp(min=1e-6)
    mapped = map_intensities(fixed, intensity_map(fixed, moving_tissue, counted))
    if pair.fixed_tissue is not None:
        mapped = torch.lerp(background.expand_as(mapped), mapped, pair.fixed_tissue)
    return mapped


def _tissue(image: Tensor, share: Tensor) -> Tensor:
    """The mean intensity of the tissue in every voxel, of which the share is tissue and the rest a background of 0."""
    return torch.where(share > _SOME_TISSUE, image / share.clamp(min=_SOME_TISSUE), 0).clamp(0, 1)
