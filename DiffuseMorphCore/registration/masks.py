"""Masks: where they lie in space, and what stands in the place of what they leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.warp import downsample, resize

if TYPE_CHECKING:
    import SimpleITK as sitk

_CUT, _CUT_SHARE = 0.05, 0.3
"""Mean content of a slice from which it is a cut through tissue: by itself, and as a share of the fullest slice's."""
_SAME = 0.05  # voxels by which two grids may differ and count as one


def placed(mask: sitk.Image, image: sitk.Image, name: str, called: str | None = None) -> np.ndarray:
    """A mask on the grid of its image, by the two headers: booleans in array order; what is not finite is outside.

    Parameters
    ----------
    mask : non-zero inside, on any grid that covers the image. name : what messages call the image. called : what they
        call the mask; "mask of the" image unless given.

    Raises
    ------
    DiffuseMorphError : the mask does not cover the image, or marks nothing of it.
    """
    import SimpleITK as sitk

    called = called or f"mask of the {name}"
    if mask.GetDimension() != image.GetDimension():
        raise DiffuseMorphError(
            f"The {called} is {mask.GetDimension()}-D but the image is "
            f"{image.GetDimension()}-D: draw it on the image itself."
        )
    values = sitk.GetArrayFromImage(sitk.Cast(mask, sitk.sitkFloat64))
    inside = np.isfinite(values) & (values != 0)
    marked = sitk.GetImageFromArray(inside.astype(np.uint8))
    marked.CopyInformation(mask)
    corners = _corners_in(mask, image)
    size = np.array(mask.GetSize())
    if mask.GetSize() == image.GetSize() and np.abs(corners - _corner_indices(image)).max() < _SAME:
        found = inside
    elif (corners < -0.5 - _SAME).any() or (corners > size - 0.5 + _SAME).any():
        raise DiffuseMorphError(
            f"The {called} does not cover the image: by their headers (origin, spacing, "
            "direction) a part of the image lies outside. Draw or resample it on the image itself."
        )
    else:
        identity = sitk.Transform(image.GetDimension(), sitk.sitkIdentity)
        # What rounding in a header puts a hair outside the mask's border takes the value of the border.
        found = (
            sitk.GetArrayFromImage(
                sitk.Resample(marked, image, identity, sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8, True)
            )
            != 0
        )
    if not found.any():
        raise DiffuseMorphError(f"The {called} is empty: mark a region of the image, or leave it out.")
    return found


def continued(values: Tensor, mask: Tensor) -> Tensor:
    """An image whose values outside its mask are continued smoothly from those inside.

    Nothing outside can then have a part in anything, on whatever grid the image is seen, and the border of the mask is
    no edge that would pull.

    Parameters
    ----------
    values : (1, 1, *spatial). mask : of the same shape, 1 inside and 0 outside, with some voxel inside.
    """
    shape = tuple(values.shape[2:])
    known = torch.where(mask > 0, values, 0)
    weight = (mask > 0).to(values.dtype)
    if bool(weight.all()):
        return values
    if max(shape) <= 2:
        filled = torch.full_like(known, float(known.sum() / weight.sum()))
    else:
        coarse = tuple(max(1, (size + 1) // 2) for size in shape)
        share = downsample(weight, coarse)
        mean = downsample(known, coarse) / share.clamp(min=1e-6)
        filled = resize(continued(mean, (share > 1e-3).to(values.dtype)), shape)
    return torch.where(mask > 0, values, filled)


def unscanned_slabs(values: Tensor) -> dict[tuple[int, int], int]:
    """Slabs of one value at the rim of an image that end at a cut through tissue, so that nothing was scanned there.

    A background of one value around an object is none: there the object ends in little.

    Parameters
    ----------
    values : (1, 1, *spatial) in [0, 1].

    Returns
    -------
    The number of slices by (axis, side), side 0 for the first and -1 for the last slices.
    """
    found = {}
    for axis in range(values.dim() - 2):
        slices = values[0, 0].movedim(axis, 0).flatten(1)
        for side, ordered in ((0, slices), (-1, slices.flip(0))):
            outer = ordered[0, 0]
            empty = (ordered == outer).all(dim=1)
            count = int(empty.long().cumprod(0).sum())
            if not 0 < count < len(ordered):
                continue
            content = (ordered - outer).abs().mean(dim=1)
            if content[count] > max(_CUT, _CUT_SHARE * float(content.max())):
                found[axis, side] = count
    return found


def outside_slabs(values: Tensor, slabs: dict[tuple[int, int], int]) -> Tensor:
    """A mask (1, 1, *spatial) that is 0 in the slabs and 1 elsewhere."""
    mask = torch.ones_like(values)
    for (axis, side), count in slabs.items():
        mask.narrow(axis + 2, 0 if side == 0 else mask.shape[axis + 2] - count, count).zero_()
    return mask


def _corner_indices(image: sitk.Image) -> np.ndarray:
    sides = [(0, length - 1) for length in image.GetSize()]
    return np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, image.GetDimension()).astype(float)


def _corners_in(mask: sitk.Image, image: sitk.Image) -> np.ndarray:
    """The corners of the image in voxels of the mask, one a row."""
    return np.array(
        [
            mask.TransformPhysicalPointToContinuousIndex(image.TransformContinuousIndexToPhysicalPoint(corner))
            for corner in _corner_indices(image).tolist()
        ]
    )
