"""Photographs and histology: registered by their grey, warped channel by channel."""

from __future__ import annotations

from collections.abc import Callable

import SimpleITK as sitk

COLOURS = "colours have 3 or 4 of whole numbers, in 2-D also fractions"
_LUMINANCE = (0.2125, 0.7154, 0.0721)  # ITU-R BT.709


def is_colour(image: sitk.Image) -> bool:
    """Whether the values of a voxel are the channels of a colour (RGB or RGBA), and not a vector."""
    kind = image.GetPixelIDTypeAsString()
    return image.GetNumberOfComponentsPerPixel() in (3, 4) and (
        "unsigned" in kind or (image.GetDimension() == 2 and "float" in kind)
    )


def grey(image: sitk.Image) -> sitk.Image:
    """The luminance of a colour image, 32-bit float; any other image as it is."""
    if not is_colour(image):
        return image
    red, green, blue = (
        weight * sitk.VectorIndexSelectionCast(image, channel, sitk.sitkFloat32)
        for channel, weight in enumerate(_LUMINANCE)
    )
    return red + green + blue


def warp_channels(image: sitk.Image, warp: Callable[[sitk.Image], sitk.Image]) -> sitk.Image:
    """What `warp` makes of each channel of an image, put together again."""
    channels = [
        sitk.VectorIndexSelectionCast(image, channel) for channel in range(image.GetNumberOfComponentsPerPixel())
    ]
    return sitk.Compose([warp(channel) for channel in channels])
