"""Transforms on disk, in the formats that ITK, ANTs and 3D Slicer share."""
from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import write_complete


def read_transform(path: str | Path) -> sitk.Transform:
    """Read a transform file (.h5, .tfm, .txt, or .mat of ANTs); it maps points of the fixed image to the moving one.

    Raises DiffuseMorphError where the file is missing or is no transform.
    """
    if not Path(path).is_file():
        raise DiffuseMorphError(f"There is no file '{path}': check the name of the transform.")
    try:
        return sitk.ReadTransform(str(path))
    except RuntimeError as error:
        raise DiffuseMorphError(f"The file '{path}' is not a transform that ITK reads: "
                                "give a .h5, .tfm or .mat file written by ITK, ANTs or 3D Slicer.") from error


def write_transform(transform: sitk.Transform, path: str | Path) -> None:
    """Write a transform (.h5 keeps everything, displacement fields included) under a temporary name, then rename it.

    Raises DiffuseMorphError where it cannot be written.
    """
    path = Path(path)
    write_complete(path, lambda part: sitk.WriteTransform(transform, str(part)), path.suffix, transform.GetName())
