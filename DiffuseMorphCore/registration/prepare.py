"""Prepare: from any scan to a plain float image with intensities in [0, 1] that registration can work with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import grey
from DiffuseMorphCore.registration.intensity import find_background, intensity_range
from DiffuseMorphCore.registration.masks import continued, placed
from DiffuseMorphCore.warp import downsample

_BRIGHT = 0.75  # a background brighter than this share of the range is made the dark one
_DARK = 0.05  # a background below this share is as good as 0
_MODALITY = "0008|0060"  # DICOM's tag


@dataclass(frozen=True)
class PreparedScan:
    """One prepared image.

    original : the image as given. grid : its geometry. values : (1, 1, *spatial) in [0, 1], on the CPU.
    mask : (1, 1, *spatial) with 0 and 1, or None. plane : for a single slice of a volume, the frame of that slice.
    background : the value that continues outside the image. intensities : of the original image where ``values`` are 0
    and 1.
    """

    original: sitk.Image
    grid: Grid
    values: Tensor
    mask: Tensor | None = None
    plane: SlicePlane | None = None
    background: float = 0.0
    intensities: tuple[float, float] = (0.0, 1.0)

    def only(self, mask: Tensor) -> PreparedScan:
        """The same scan of which only what is inside ``mask``, as well as inside the mask it has, counts."""
        mask = mask if self.mask is None else mask * self.mask
        return replace(self, mask=mask, values=continued(self.values, mask))

    def coarse(self, spacing: float) -> sitk.Image:
        """The prepared intensities at about ``spacing`` mm as a SimpleITK float image, smoothed against aliasing."""
        shape = self.grid.shape_at(spacing)
        return self.grid.resampled(shape).image(downsample(self.values, shape)[0, 0])

    def coarse_tissue(self, spacing: float) -> sitk.Image:
        """The share of each voxel of :meth:`coarse` that is not background, in [0, 1]; 1 where that is not dark."""
        shape = self.grid.shape_at(spacing)
        dark = self.background < _DARK
        tissue = self.values > 0 if dark else torch.ones_like(self.values, dtype=torch.bool)
        return self.grid.resampled(shape).image(downsample(tissue.float(), shape)[0, 0])

    def coarse_mask(self, spacing: float) -> sitk.Image | None:
        """The mask at about ``spacing`` mm (any part of a voxel counts), or None."""
        if self.mask is None:
            return None
        shape = self.grid.shape_at(spacing)
        return self.grid.resampled(shape).image((downsample(self.mask, shape)[0, 0] > 1e-3).to(torch.uint8))


@dataclass(frozen=True)
class SlicePlane:
    """The frame of a single slice in space: 3-D point = origin + direction · (x, y, height), all in mm, LPS."""

    origin: tuple[float, float, float]
    direction: tuple[float, ...]
    thickness: float

    def to_space(self) -> sitk.AffineTransform:
        """Slice coordinates (x, y, height) to points in space."""
        return sitk.AffineTransform(self.direction, self.origin)


def flatten_slice(image: sitk.Image) -> tuple[sitk.Image, SlicePlane]:
    """A volume of one slice as a 2-D image in the slice's own frame, and that frame."""
    size = list(image.GetSize())
    unit = size.index(1)
    order = [axis for axis in range(3) if axis != unit] + [unit]
    image = sitk.PermuteAxes(image, order)
    plane = SlicePlane(image.GetOrigin(), image.GetDirection(), image.GetSpacing()[2])
    flat = sitk.GetImageFromArray(
        sitk.GetArrayViewFromImage(image)[0], isVector=image.GetNumberOfComponentsPerPixel() > 1
    )
    flat.SetSpacing(image.GetSpacing()[:2])
    return flat, plane


def is_slice(image: sitk.Image) -> bool:
    """Whether a 3-D image consists of one slice."""
    return image.GetDimension() == 3 and sum(size == 1 for size in image.GetSize()) == 1


def prepare(
    image: sitk.Image,
    name: str,
    mask: sitk.Image | None = None,
    notes: list[str] | None = None,
    window: tuple[float, float] | None = None,
) -> PreparedScan:
    """Scale an image to [0, 1] and check what registration needs.

    ``image`` has passed :func:`DiffuseMorphCore.images.check_image`. Its intensities are cut to ``window`` or, unless
    that is given, to what :func:`intensity_range` finds, and turned round where its background is bright. Voxels that
    are not finite become the background, and ``notes`` says so. With a mask nothing outside it has a part in anything.

    Raises
    ------
    DiffuseMorphError : a mask that does not lie over the image, or no contrast inside mask and window.
    """
    flat, plane = flatten_slice(image) if is_slice(image) else (image, None)
    array = sitk.GetArrayFromImage(sitk.Cast(grey(flat), sitk.sitkFloat32))
    inside = None if mask is None else mask_array(mask, image, flat, name)
    usable = np.isfinite(array) if inside is None else np.isfinite(array) & inside
    if not usable.any():
        raise DiffuseMorphError(f"The {name} has no finite value inside its mask: check mask and image.")
    background = find_background(array, None if usable.all() else usable)
    modality = image.GetMetaData(_MODALITY) if image.HasMetaDataKey(_MODALITY) else ""
    image = _finite(image, array, background.value, name, notes)
    seen = array[usable]
    low, high = window or intensity_range(seen, background, modality)
    bright = high > low and (background.value - low) / (high - low) > _BRIGHT
    start, width = (high, low - high) if bright else (low, high - low)
    if high <= low or not np.ptp(np.clip(seen, low, high)) > 0:
        if window is not None:
            raise DiffuseMorphError(
                f"The {name} has only one value between the intensities {low:g} and {high:g}: "
                "give another intensity range."
            )
        raise DiffuseMorphError(
            f"The {name} has only one value inside its mask ({seen[0]:g}): "
            "mark the region to register, not the one to leave out."
        )
    values = aligned_tensor(np.clip((array - start) / width, 0, 1, out=array))[None, None]
    around = abs(float(np.clip((np.float32(background.value) - start) / width, 0, 1)))
    scan = PreparedScan(image, Grid.of(flat), values, None, plane, around, (start, start + width))
    return scan if inside is None else scan.only(aligned_tensor(inside.astype(np.float32))[None, None])


def mask_array(
    mask: sitk.Image, image: sitk.Image, flat: sitk.Image, name: str, called: str | None = None
) -> np.ndarray:
    """The mask in the shape of the image, a slice's as that of a 2-D image; see :func:`placed` for the names."""
    if mask.GetDimension() < image.GetDimension() and mask.GetSize() == flat.GetSize():
        mask = sitk.Image(mask)
        mask.CopyInformation(flat)  # a picture has no place in space
        return placed(mask, flat, name, called)
    return placed(mask, image, name, called).reshape(tuple(reversed(flat.GetSize())))


def _finite(image: sitk.Image, array: np.ndarray, value: float, name: str, notes: list[str] | None) -> sitk.Image:
    """The image with its voxels that are not finite set to a value, as those of ``array``, its values, are in place."""
    missing = ~np.isfinite(array)
    if not missing.any():
        return image
    array[missing] = value
    if notes is not None:
        notes.append(
            f"{int(missing.sum())} voxels of the {name} were not finite and were set to its background, {value:g}."
        )
    return _with_values(image, array)


def aligned_tensor(array: np.ndarray) -> Tensor:
    """A tensor in memory of its own. Memory borrowed from numpy is aligned by chance, and matrix products round
    according to that, so the same pair would not give the same bytes twice.
    """
    return torch.from_numpy(array).clone()


def _with_values(image: sitk.Image, array: np.ndarray) -> sitk.Image:
    """A float image with the geometry of ``image`` and new values; an array of a slice fills the slice."""
    result = sitk.GetImageFromArray(array.reshape(tuple(reversed(image.GetSize()))))
    result.CopyInformation(image)
    return result
