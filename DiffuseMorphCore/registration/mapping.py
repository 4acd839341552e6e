"""From points of the fixed image to those of the moving one, and back, at any eta."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.registration.prepare import SlicePlane
from DiffuseMorphCore.registration.transforms import (
    backward,
    displacement_transform,
    forward,
    lifted_grid,
    scaled_alignment,
)
from DiffuseMorphCore.registration.working_grid import inverse_shape
from DiffuseMorphCore.samplers import EtaPath, check_eta


@dataclass(frozen=True)
class Mapping:
    """The alignment and the path of a registration, without its images.

    alignment : linear, from fixed points to points of the moving image, mm, LPS. path : the deformation from eta 0 to
    1. planes : for single slices, where both lie in space; else None. alignment_follows_eta : eta scales the alignment
    too.
    """

    alignment: sitk.AffineTransform
    path: EtaPath
    planes: tuple[SlicePlane, SlicePlane] | None = None
    alignment_follows_eta: bool = False

    @property
    def ndim(self) -> int:
        """The dimension of the images' points."""
        return self.path.grid.ndim if self.planes is None else 3

    def transform(self, eta: float = 1.0) -> sitk.CompositeTransform:
        """Fixed points to moving points."""
        return forward(self._alignment(eta), self._field(self.path.delivered(eta)), self.planes)

    def inverse_transform(self, eta: float = 1.0) -> sitk.CompositeTransform:
        """Moving points to fixed points, on a grid a third finer, because an inverse bends between the voxels of the
        field it belongs to.
        """
        deformation = self.path.delivered(eta)
        inverse = deformation.inverse(inverse_shape(deformation.grid.shape))
        return backward(self._alignment(eta), self._field(inverse), self.planes)

    def _alignment(self, eta: float) -> sitk.AffineTransform:
        return scaled_alignment(self.alignment, check_eta(eta)) if self.alignment_follows_eta else self.alignment

    def _field(self, displacement: Displacement) -> sitk.DisplacementFieldTransform:
        if self.planes is None:
            return displacement.transform()
        vectors = displacement.vectors()
        upright = np.concatenate([vectors, np.zeros_like(vectors[..., :1])], axis=-1)[None]
        return displacement_transform(lifted_grid(displacement.grid, self.planes[0]), upright)
