"""Whole heads as maps of tissue, kept at their own resolution, and looked up at any points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.training.label_files import LabelFile
from DiffuseMorphCore.training.tissues import BRAIN, tissue_indices
from DiffuseMorphCore.warp import resize


@dataclass(frozen=True)
class TissueMap:
    """One person.

    tissues : (D, H, W) uint8, indices into TISSUES, in LPS order, background at the border. spacing : (3,) mm of its
        voxels.
    centre : (3,) voxel coordinates of the middle of the brain.
    """

    name: str
    tissues: Tensor
    spacing: Tensor
    centre: Tensor

    def to(self, device: torch.device) -> TissueMap:
        """The same on a device, where it is looked up; spacing and centre are numbers and stay."""
        return replace(self, tissues=self.tissues.to(device))

    def at(
        self, shape: Sequence[int], step: float, matrix: Tensor, shift: Tensor, displacement: Tensor | None = None
    ) -> Tensor:
        """(*shape) uint8: the tissue at the points of a grid, on the map's device.

        Parameters
        ----------
        step : mm from one point of the grid to the next, the grid's middle being its origin.
        matrix, shift : (3, 3) and (3,) mm, from points of the grid to points about the middle of the brain.
        displacement : (1, 3, *coarser) in mm, added to these points.
        """
        device = self.tissues.device
        axes = [(torch.arange(size, dtype=torch.float32, device=device) - (size - 1) / 2) * step for size in shape]
        moved = None if displacement is None else resize(displacement, shape)[0]
        index = torch.zeros((), dtype=torch.float32, device=device)
        stride = self.tissues.numel()
        for axis, size in enumerate(self.tissues.shape):
            stride //= size
            parts = (matrix[axis, other] * along for other, along in enumerate(axes))
            z, y, x = (
                part.view([-1 if other == place else 1 for other in range(3)]) for place, part in enumerate(parts)
            )
            points = z + y + x + shift[axis]
            points = points if moved is None else points + moved[axis]
            voxel = (points / self.spacing[axis] + self.centre[axis]).round_().clamp_(0, size - 1)
            index = index + voxel.double() * stride  # beyond 2^24 voxels float32 cannot count
        return self.tissues.flatten()[index.long()]


def load_tissue_maps(files: Sequence[LabelFile]) -> list[TissueMap]:
    """Read label maps of whole heads. Raises DiffuseMorphError for a file that is none, or shows no brain."""
    maps = []
    for file in files:
        labels, spacing = file.read()
        found = tissue_indices(labels)
        brain = np.argwhere(np.isin(found, BRAIN))
        if not len(brain):
            raise DiffuseMorphError(f"The label map '{file}' shows no brain: FreeSurfer's labels are needed.")
        filled = np.argwhere(found > 0)
        low, high = filled.min(axis=0), filled.max(axis=0) + 1
        tissues = np.pad(found[tuple(slice(a, b) for a, b in zip(low, high))], 1)
        maps.append(
            TissueMap(
                file.name,
                torch.from_numpy(tissues),
                torch.from_numpy(spacing).float(),
                torch.from_numpy(brain.mean(axis=0) - low + 1).float(),
            )
        )
    return maps
