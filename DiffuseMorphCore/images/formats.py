"""Which format holds an image without loss: its values, their type, and where they lie."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.images.decimal_points import decimal_points
from DiffuseMorphCore.images.geometry import shift_in_voxels
from DiffuseMorphCore.images.names import image_suffix

WRITABLE = (
    ".nii",
    ".nii.gz",
    ".nrrd",
    ".mha",
    ".tif",
    ".tiff",
    ".png",
    ".vtk",
    ".gipl",
    ".gipl.gz",
    ".mrc",
    ".h5",
    ".hdf5",
)
"""Formats in one file that ITK writes so that it reads the same again."""
FLAT = (".png",)
"""Formats that hold two dimensions only."""
DELIVERED_2D = (".png", ".tif", ".tiff", ".nii", ".nii.gz", ".nrrd", ".mha")
"""Formats in which a 2-D image is delivered as it came."""
LARGEST_SHIFT = 0.01
"""How far, in voxels, rounding in a header may move a corner of an image."""
_LAST_RESORT = ".nrrd"  # holds every type and position in full


def shift_in_format(suffix: str, image: sitk.Image) -> float | None:
    """How far a format moves an image (the corner moved furthest, in voxels); None where it cannot hold its values."""
    trial = sitk.Image([2] * image.GetDimension(), image.GetPixelID(), image.GetNumberOfComponentsPerPixel())
    values = sitk.GetArrayFromImage(trial)
    information = np.iinfo(values.dtype) if values.dtype.kind in "iu" else None
    values.flat[:2] = (information.min, information.max) if information else (-1.1, 1e30)
    trial = sitk.GetImageFromArray(values, isVector=image.GetNumberOfComponentsPerPixel() > 1)
    _place(trial, image)
    with tempfile.TemporaryDirectory() as folder, decimal_points():
        try:
            sitk.WriteImage(trial, str(Path(folder) / f"trial{suffix}"), useCompression=True)
            back = sitk.ReadImage(str(Path(folder) / f"trial{suffix}"))
        except RuntimeError:
            return None
    if (
        back.GetPixelID() != trial.GetPixelID()
        or back.GetSize() != trial.GetSize()
        or not np.array_equal(sitk.GetArrayViewFromImage(back), values)
    ):
        return None
    return shift_in_voxels(image, back)


def keeps(suffix: str, image: sitk.Image) -> bool:
    """Whether a format holds the values of an image, their type, and its place to LARGEST_SHIFT voxels."""
    if suffix not in WRITABLE or (suffix in FLAT and image.GetDimension() > 2):
        return False
    shift = shift_in_format(suffix, image)
    return shift is not None and shift <= LARGEST_SHIFT


def suffix_for(image: sitk.Image, source: str, also: Sequence[str] = ()) -> str:
    """The extension to deliver an image with.

    That of its `source` in 2-D (.png for one in a format that is not delivered), .nii.gz for volumes, then the ones in
    `also`, then .nrrd: the first that keeps it.
    """
    own = image_suffix(source)
    first = ".nii.gz" if image.GetDimension() == 3 else own if own in DELIVERED_2D else ".png"
    return next((suffix for suffix in (first, *also) if keeps(suffix, image)), _LAST_RESORT)


def _place(trial: sitk.Image, image: sitk.Image) -> None:
    trial.SetSpacing(image.GetSpacing())
    trial.SetOrigin(image.GetOrigin())
    trial.SetDirection(image.GetDirection())
