"""The learned similarity term: both images in the canonical contrast that a model gives them, by local correlation.

What no formula knows, which intensities mean the same tissue, the diffusion network has learnt from synthetic images of
every contrast. What it gives are images of one contrast, and these local correlation compares best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from DiffuseMorphCore.similarity.correlation import LocalCorrelation
from DiffuseMorphCore.similarity.image_pair import ImagePair
from DiffuseMorphCore.similarity.term import PreparedTerm


@dataclass(frozen=True)
class CanonicalCorrelation:
    """Mean squared local correlation of the canonical images, which the pair must have.

    window : side of the correlation's window in voxels of the level.
    """

    window: int = 5

    measure = "mean squared local correlation of the images in the model's canonical contrast"
    bytes_per_voxel = LocalCorrelation.bytes_per_voxel + 8
    uses_tissue = False
    uses_canonical = True

    def prepare(self, pair: ImagePair, displacement: Tensor, shape: tuple[int, ...]) -> PreparedTerm:
        """Raises ValueError for a pair without canonical images."""
        if pair.fixed_canonical is None or pair.moving_canonical is None:
            raise ValueError("The canonical correlation needs a pair that a model has seen (with_canonical).")
        canonical = replace(
            pair, fixed=pair.fixed_canonical, moving=pair.moving_canonical, fixed_canonical=None, moving_canonical=None
        )
        return LocalCorrelation(self.window).prepare(canonical, displacement, shape)
