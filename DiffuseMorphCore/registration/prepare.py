"""Prepare: from any scan to a plain float image with intensities in [0, 1] that registration can work with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import grey
from DiffuseMorphCore.warp import downsample

CT_RANGE = (-1000.0, 1000.0)
"""Hounsfield units kept of a CT; air, soft tissue and most bone lie inside."""


@dataclass(frozen=True)
class Scan:
    """One prepared image.

    original : the image as given. grid : its geometry. values : (1, 1, *spatial) in [0, 1], on the processor.
    mask : (1, 1, *spatial) with 0 and 1, or None. plane : for a single slice of a volume, the frame of that slice.
    """

    original: sitk.Image
    grid: Grid
    values: Tensor
    mask: Tensor | None = None
    plane: Plane | None = None

    def coarse(self, spacing: float) -> sitk.Image:
        """The prepared intensities at about ``spacing`` mm as a SimpleITK float image, smoothed against aliasing."""
        shape = self.grid.shape_at(spacing)
        return self.grid.resampled(shape).image(downsample(self.values, shape)[0, 0])

    def coarse_tissue(self, spacing: float) -> sitk.Image:
        """The share of each voxel of :meth:`coarse` that has more than the lowest intensity, in [0, 1]."""
        shape = self.grid.shape_at(spacing)
        return self.grid.resampled(shape).image(downsample((self.values > 0).float(), shape)[0, 0])

    def coarse_mask(self, spacing: float) -> sitk.Image | None:
        """The mask at about ``spacing`` mm (any part of a voxel counts), or None."""
        if self.mask is None:
            return None
        shape = self.grid.shape_at(spacing)
        return self.grid.resampled(shape).image((downsample(self.mask, shape)[0, 0] > 1e-3).to(torch.uint8))


@dataclass(frozen=True)
class Plane:
    """The frame of a single slice in space: 3-D point = origin + direction · (x, y, height), all in mm, LPS."""

    origin: tuple[float, float, float]
    direction: tuple[float, ...]
    thickness: float

    def to_space(self) -> sitk.AffineTransform:
        """Slice coordinates (x, y, height) to points in space."""
        return sitk.AffineTransform(self.direction, self.origin)


def flatten_slice(image: sitk.Image) -> tuple[sitk.Image, Plane]:
    """A volume of one slice as a 2-D image in the slice's own frame, and that frame."""
    size = list(image.GetSize())
    unit = size.index(1)
    order = [axis for axis in range(3) if axis != unit] + [unit]
    image = sitk.PermuteAxes(image, order)
    plane = Plane(image.GetOrigin(), image.GetDirection(), image.GetSpacing()[2])
    flat = sitk.GetImageFromArray(sitk.GetArrayViewFromImage(image)[0], isVector=image.GetNumberOfComponentsPerPixel() > 1)
    flat.SetSpacing(image.GetSpacing()[:2])
    return flat, plane


def is_slice(image: sitk.Image) -> bool:
    """Whether a 3-D image consists of one slice."""
    return image.GetDimension() == 3 and sum(size == 1 for size in image.GetSize()) == 1


def prepare(image: sitk.Image, name: str, mask: sitk.Image | None = None, notes: list[str] | None = None) -> Scan:
    """Scale an image to [0, 1] and check what registration needs.

    ``image`` has passed :func:`DiffuseMorphCore.images.check_image`. Intensities of a CT (reaching far below zero) are cut
    to :data:`CT_RANGE`; all others between the 0.1 and 99.9 percentile of the voxels above the background. Voxels that are
    not finite become the background, and ``notes`` says so.

    Raises
    ------
    DiffuseMorphError : a mask of another size, or without a voxel.
    """
    plane = None
    if is_slice(image):
        flat, plane = flatten_slice(image)
        if mask is not None and mask.GetSize() == image.GetSize():
            mask = flatten_slice(mask)[0]
    else:
        flat = image
    array = sitk.GetArrayFromImage(sitk.Cast(grey(flat), sitk.sitkFloat32))
    finite = np.isfinite(array)
    if not finite.all():
        lowest = float(array[finite].min())
        count = int((~finite).sum())
        array[~finite] = lowest
        image = _with_values(image, array)
        if notes is not None:
            notes.append(f"{count} voxels of the {name} were not finite and were set to its lowest value, {lowest:g}.")
    low, high = intensity_range(array)
    values = aligned_tensor(np.clip((array - low) / (high - low), 0, 1, out=array))[None, None]
    weights = None
    if mask is not None:
        if mask.GetSize() != flat.GetSize():
            raise DiffuseMorphError(f"The mask of the {name} has {_by(mask)} voxels but the image has {_by(flat)}: "
                                    "draw or resample the mask on the image itself.")
        weights = aligned_tensor((sitk.GetArrayFromImage(mask) != 0).astype(np.float32))[None, None]
        if not weights.any():
            raise DiffuseMorphError(f"The mask of the {name} is empty: mark the region to register, or leave the mask out.")
    return Scan(image, Grid.of(flat), values, weights, plane)


def aligned_tensor(array: np.ndarray) -> Tensor:
    """A tensor in memory of its own. Memory borrowed from numpy is aligned by chance, and matrix products round according
    to that, so the same pair would not give the same bytes twice."""
    return torch.from_numpy(array).clone()


def intensity_range(array: np.ndarray) -> tuple[float, float]:
    """Lowest and highest intensity to keep; see :func:`prepare`."""
    lowest, highest = float(array.min()), float(array.max())
    if lowest <= -500 and highest >= 100:
        return max(lowest, CT_RANGE[0]), min(highest, CT_RANGE[1])
    sample = array.ravel()[:: max(1, array.size // 500_000)]
    above = sample[sample > lowest]
    if above.size < 100:
        return lowest, highest
    # A background of one value (zero around an extracted organ) must not decide the range.
    low = lowest if above.size < 0.9 * sample.size else float(np.percentile(above, 0.1))
    high = float(np.percentile(above, 99.9))
    return (low, high) if high > low else (lowest, highest)


def _with_values(image: sitk.Image, array: np.ndarray) -> sitk.Image:
    """A float image with the geometry of ``image`` and new values; an array of a slice fills the slice."""
    result = sitk.GetImageFromArray(array.reshape(tuple(reversed(image.GetSize()))))
    result.CopyInformation(image)
    return result


def _by(image: sitk.Image) -> str:
    return "×".join(str(size) for size in image.GetSize())
