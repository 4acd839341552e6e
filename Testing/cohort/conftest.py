"""Tiny images that register in a second, and tables that name them."""

from __future__ import annotations

from pathlib import Path

import pytest
import SimpleITK as sitk

from DiffuseMorphCore.images import write_image


@pytest.fixture(scope="session")
def images(pair_3d, tmp_path_factory) -> Path:
    """A folder with a, b, c (.nii.gz) and labels of a and b. Not to be changed."""
    folder = tmp_path_factory.mktemp("images")
    fixed, moving = (sitk.BinShrink(image, (2, 2, 2)) for image in pair_3d)
    halfway = sitk.Cast(0.5 * fixed + 0.5 * moving, sitk.sitkFloat32)
    for name, image in {"a": fixed, "b": moving, "c": halfway}.items():
        write_image(image, folder / f"{name}.nii.gz")
    for name, image in {"a": fixed, "b": moving}.items():
        write_image(sitk.Cast(image > 60, sitk.sitkUInt8), folder / f"{name}_labels.nii.gz")
    return folder


@pytest.fixture()
def write_table(images, tmp_path):
    """write_table(*lines) writes a table, in a folder of its own with links to the images, and gives its path."""
    for image in images.iterdir():
        (tmp_path / image.name).symlink_to(image)

    def write(*lines: str, name: str = "pairs.csv") -> Path:
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path / name

    return write
