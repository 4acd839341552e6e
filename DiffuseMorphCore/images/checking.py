"""What can be registered, and what a label map is."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images.colour import COLOURS, grey, is_colour
from DiffuseMorphCore.images.geometry import check_axes

SMALLEST_SIDE = 8
"""An image needs at least two sides of this many voxels: less shows nothing that could be matched."""
_ROUNDING = 1e-3  # how far a label may be off a whole number


def check_image(image: sitk.Image, name: str, labels: bool = False, notes: list[str] | None = None) -> sitk.Image:
    """Refuse an image that cannot be registered; return it, without a last axis that holds one volume only.

    Parameters
    ----------
    image : 2-D or 3-D, one value per voxel or a colour; a single slice of a volume is welcome.
    name : what the message calls it: its role, file or volume, for example "fixed image 'brain.nii.gz'".
    labels : the voxels are labels or a mask: whole numbers, and one value everywhere is no fault. What is off a whole
        number by rounding is rounded, what is not finite becomes 0, and grey stored as colour becomes grey.
    notes : gathers what was changed.

    Raises
    ------
    DiffuseMorphError : an empty image, more than three dimensions, vectors or complex numbers, axes that are not at
        right angles, fewer than two sides of SMALLEST_SIDE voxels, no finite value, one value everywhere, labels in
        colour or that are not whole numbers.
    """
    while image.GetDimension() > 3 and image.GetSize()[-1] == 1:
        image = sitk.Extract(image, [*image.GetSize()[:-1], 0])
    size = " × ".join(str(length) for length in image.GetSize())
    if image.GetNumberOfPixels() == 0:
        raise DiffuseMorphError(f"The {name} is empty ({size} voxels): export it again.")
    if image.GetDimension() > 3:
        raise DiffuseMorphError(
            f"The {name} has {image.GetDimension()} dimensions ({size}): extract the one volume to register first."
        )
    if "complex" in image.GetPixelIDTypeAsString():
        raise DiffuseMorphError(f"The {name} has complex numbers: take their magnitude first.")
    if labels and image.GetNumberOfComponentsPerPixel() > 1:
        image = _single_channel(image, name)
    if image.GetNumberOfComponentsPerPixel() > 1 and not is_colour(image):
        raise DiffuseMorphError(
            f"The {name} has {image.GetNumberOfComponentsPerPixel()} values per voxel ({COLOURS}): "
            "convert it to grey first."
        )
    if not labels and sum(length >= SMALLEST_SIDE for length in image.GetSize()) < 2:
        raise DiffuseMorphError(
            f"The {name} has only {size} voxels: at least {SMALLEST_SIDE} are needed along two axes."
        )
    check_axes(image, name)
    if labels:
        return _whole_numbers(image, name, notes)
    _check_values(grey(image), name)
    return image


def _single_channel(image: sitk.Image, name: str) -> sitk.Image:
    """Grey that a format could only store as colour (.bmp)."""
    values = sitk.GetArrayViewFromImage(image)
    if is_colour(image) and (values[..., :3] == values[..., :1]).all():
        return sitk.VectorIndexSelectionCast(image, 0)
    raise DiffuseMorphError(
        f"The {name} has {image.GetNumberOfComponentsPerPixel()} values per voxel (colour or vectors): "
        "give a label map or a mask with one number per voxel."
    )


def _check_values(image: sitk.Image, name: str) -> None:
    values = sitk.GetArrayViewFromImage(image)
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.any():
            raise DiffuseMorphError(f"The {name} has no finite value: check how it was exported.")
        if not finite.all():
            values = values[finite]
    if values.min() == values.max():
        raise DiffuseMorphError(
            f"The {name} is constant ({values.flat[0]:g} everywhere): there is nothing to register."
        )


def _whole_numbers(image: sitk.Image, name: str, notes: list[str] | None) -> sitk.Image:
    values = sitk.GetArrayViewFromImage(image)
    if values.dtype.kind != "f":
        return image
    finite = np.isfinite(values)
    if not finite.any():
        raise DiffuseMorphError(f"The {name} has no finite value: check how it was exported.")
    rounded = np.round(np.where(finite, values, 0))
    off = np.abs(np.where(finite, values, 0) - rounded)
    if off.max() > _ROUNDING:
        raise DiffuseMorphError(f"The {name} does not hold whole numbers: give a label map or a mask.")
    changes = [
        text
        for text, count in (
            (
                f"{np.count_nonzero(off)} voxels were off whole numbers by up to {off.max():.1g} and were rounded",
                np.count_nonzero(off),
            ),
            (f"{np.count_nonzero(~finite)} voxels were not finite and were set to 0", np.count_nonzero(~finite)),
        )
        if count
    ]
    if not changes:
        return image
    if notes is not None:
        notes.append(f"In the {name} {'; '.join(changes)}.")
    result = sitk.GetImageFromArray(rounded.astype(values.dtype))
    result.CopyInformation(image)
    return result
