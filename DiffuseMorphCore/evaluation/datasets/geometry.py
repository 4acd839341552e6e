"""Resampling, cropping and scaling that several data sets are prepared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk


def resample_spacing(image: sitk.Image, spacing: Sequence[float], interpolator: int) -> sitk.Image:
    """The image at another spacing (x, y, z; mm): same origin and direction, the extent kept to half a voxel."""
    size = [max(1, round(count * old / new)) for count, old, new in zip(image.GetSize(), image.GetSpacing(), spacing)]
    return sitk.Resample(
        image,
        size,
        sitk.Transform(),
        interpolator,
        image.GetOrigin(),
        list(spacing),
        image.GetDirection(),
        0,
        image.GetPixelID(),
    )


def centre_crop_or_pad(image: sitk.Image, size: Sequence[int], fill: float) -> sitk.Image:
    """The middle `size` (x, y, z) voxels; a smaller image gets `fill` on both sides, one more at the end.

    The image keeps its place in the world.
    """
    missing = [wanted - count for wanted, count in zip(size, image.GetSize())]
    lower = [max(0, gap) // 2 for gap in missing]
    upper = [max(0, gap) - low for gap, low in zip(missing, lower)]
    padded = sitk.ConstantPad(image, lower, upper, fill)
    start = [(count - wanted) // 2 for count, wanted in zip(padded.GetSize(), size)]
    return sitk.RegionOfInterest(padded, list(size), start)


def scale_whole(image: sitk.Image, percentile: float = 100.0) -> sitk.Image:
    """Float32 image in [-1, 1]: its own smallest value becomes -1, its largest (or that percentile and all above) 1.

    A constant image becomes -1.
    """
    array = sitk.GetArrayFromImage(image).astype(np.float32)
    low, high = float(array.min()), float(np.percentile(array, percentile))
    scaled = np.clip((array - low) * (2 / (high - low) if high > low else 0) - 1, -1, 1)
    scaled = sitk.GetImageFromArray(scaled.astype(np.float32))
    scaled.CopyInformation(image)
    return scaled


def resize(image: sitk.Image, size: Sequence[int], interpolator: int) -> sitk.Image:
    """The image on `size` voxels over the same extent, outer voxel border to outer voxel border."""
    old_size, old_spacing = np.array(image.GetSize()), np.array(image.GetSpacing())
    spacing = old_spacing * old_size / np.array(size)
    direction = np.array(image.GetDirection()).reshape(len(old_size), -1)
    origin = np.array(image.GetOrigin()) + direction @ ((spacing - old_spacing) / 2)
    if interpolator == sitk.sitkLinear and (spacing > old_spacing).any():
        # A Gaussian of half the new voxel keeps fine detail from aliasing into the coarser grid.
        sigma = np.where(spacing > old_spacing, 0.4 * spacing, 1e-3 * old_spacing)
        image = sitk.SmoothingRecursiveGaussian(sitk.Cast(image, sitk.sitkFloat32), sigma.tolist())
    return sitk.Resample(
        image,
        list(map(int, size)),
        sitk.Transform(),
        interpolator,
        origin.tolist(),
        spacing.tolist(),
        image.GetDirection(),
        0,
        image.GetPixelID(),
    )
