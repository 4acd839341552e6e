"""A further contrast of both images, compared by terms of its own."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from DiffuseMorphCore.similarity.image_pair import ImagePair
from DiffuseMorphCore.similarity.term import PreparedTerm
from DiffuseMorphCore.similarity.weighted_sum import Similarity


@dataclass(frozen=True)
class OtherContrast:
    """A sum of terms that looks at images of its own in place of the registered pair.

    images : a further contrast of each side, on the working grid of that pair and aligned like it.
    similarity : what compares them.
    """

    images: ImagePair
    similarity: Similarity

    uses_tissue = False
    uses_canonical = False

    @property
    def measure(self) -> str:
        """What its value is, in words for a report."""
        return f"{self.similarity.measure} of a further contrast"

    @property
    def bytes_per_voxel(self) -> int:
        """Memory for every voxel, with its images."""
        return self.similarity.bytes_per_voxel + 16

    def prepare(self, pair: ImagePair, displacement: Tensor, shape: tuple[int, ...]) -> PreparedTerm:
        """The terms of the further contrast on the level's grid."""
        return self.similarity.prepare(self.images.to(displacement.device), displacement, shape)
