"""A file that ends before its last voxel is refused, in every format that SimpleITK writes and reads."""

from __future__ import annotations

import gzip
import os
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import read_image

REFUSED = r"^[^\n]*(damaged|incomplete|missing|not an image)[^\n]*\.$"

FORMATS_3D = [
    ".nii",
    ".nii.gz",
    ".hdr",
    ".img",
    ".img.gz",
    ".nrrd",
    ".nhdr",
    ".mha",
    ".mhd",
    ".vtk",
    ".gipl",
    ".gipl.gz",
    ".mrc",
    ".rec",
    ".h5",
    ".mnc",
    ".tif",
    ".lsm",
]
FORMATS_2D = [
    ".nii",
    ".nii.gz",
    ".hdr",
    ".nrrd",
    ".mha",
    ".vtk",
    ".gipl",
    ".mrc",
    ".h5",
    ".mnc",
    ".tif",
    ".png",
    ".jpg",
    ".bmp",
    ".jp2",
    ".pic",
    ".dcm",
]


def noise(shape: tuple[int, ...]) -> sitk.Image:
    """Voxels that no compression makes small, the last one not zero."""
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(1, 250, shape).astype(np.uint8))
    image.SetSpacing((1.5, 1.25, 3.0)[: len(shape)])
    return image


@pytest.mark.parametrize("compressed", [True, False], ids=["compressed", "plain"])
@pytest.mark.parametrize(
    ("shape", "suffix"),
    [((9, 16, 12), suffix) for suffix in FORMATS_3D] + [((16, 12), suffix) for suffix in FORMATS_2D],
)
def test_what_is_cut_is_refused_and_what_is_whole_is_read(tmp_path, shape, suffix, compressed):
    image, path = noise(shape), tmp_path / f"scan{suffix}"
    try:
        sitk.WriteImage(image, str(path), compressed)
        expected = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError as error:
        pytest.skip(f"SimpleITK cannot write or read this: {str(error).splitlines()[-1]}")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(path)), expected)
    for name in os.listdir(tmp_path):
        whole = (tmp_path / name).read_bytes()
        for share in (0.3, 0.55, 0.8):
            (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(DiffuseMorphError, match=REFUSED):
                read_image(path)
        (tmp_path / name).write_bytes(whole)


@pytest.mark.parametrize("suffix", [".nii", ".hdr", ".vtk", ".gipl", ".mrc", ".bmp"])
def test_one_missing_byte_is_enough(tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(noise((16, 12)), str(path), False)
    data = path.with_suffix(".img") if suffix == ".hdr" else path
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(DiffuseMorphError, match=REFUSED):
        read_image(path)


def test_a_pair_without_its_other_half_names_it(tmp_path):
    sitk.WriteImage(noise((9, 16, 12)), str(tmp_path / "scan.hdr"))
    (tmp_path / "scan.img").unlink()
    with pytest.raises(DiffuseMorphError, match="scan.img' is missing"):
        read_image(tmp_path / "scan.hdr")


def test_text_files_of_vtk_are_counted(tmp_path):
    text = (
        "# vtk DataFile Version 3.0\nscan\nASCII\nDATASET STRUCTURED_POINTS\nDIMENSIONS 9 8 8\nSPACING 1 1 1\n"
        "ORIGIN 0 0 0\nPOINT_DATA 576\nSCALARS scalars float 1\nLOOKUP_TABLE default\n"
    )
    values = [f"{number}.5" for number in range(576)]
    (tmp_path / "whole.vtk").write_text(text + " ".join(values))
    assert sitk.GetArrayFromImage(read_image(tmp_path / "whole.vtk")).max() == 575.5
    (tmp_path / "cut.vtk").write_text(text + " ".join(values[:500]))
    with pytest.raises(DiffuseMorphError, match=REFUSED):
        read_image(tmp_path / "cut.vtk")


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_with_a_thumbnail_is_cut_where_its_picture_is(tmp_path, progressive):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 80)).astype(np.uint8))
    picture.save(tmp_path / "small.jpg")
    thumbnail = (tmp_path / "small.jpg").read_bytes()
    picture.save(tmp_path / "photo.jpg", progressive=progressive, restart_marker_blocks=4)
    whole = (tmp_path / "photo.jpg").read_bytes()
    # A comment segment that holds another whole JPEG, with an end marker of its own.
    whole = whole[:2] + b"\xff\xfe" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + whole[2:]
    (tmp_path / "photo.jpg").write_bytes(whole + b"camera data behind the end")
    assert read_image(tmp_path / "photo.jpg").GetSize() == (80, 64)
    for length in (len(thumbnail) + 100, len(whole) - 40, len(whole) - 2):
        (tmp_path / "photo.jpg").write_bytes(whole[:length])
        with pytest.raises(DiffuseMorphError, match=REFUSED):
            read_image(tmp_path / "photo.jpg")


def test_big_tiff_and_tiles(tmp_path):
    pages = [Image.fromarray(page) for page in np.random.default_rng(0).integers(0, 255, (3, 40, 48)).astype(np.uint8)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:], big_tiff=True)
    assert read_image(tmp_path / "stack.tif").GetSize() == (48, 40, 3)
    whole = (tmp_path / "stack.tif").read_bytes()
    (tmp_path / "stack.tif").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(DiffuseMorphError, match=REFUSED):
        read_image(tmp_path / "stack.tif")


def test_a_damaged_byte_in_a_compressed_file_is_found(tmp_path):
    path = tmp_path / "scan.nii.gz"
    sitk.WriteImage(noise((9, 16, 12)), str(path))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(DiffuseMorphError, match=REFUSED):
        read_image(path)
    whole = gzip.compress(bytes(348))
    path.write_bytes(whole)
    with pytest.raises(DiffuseMorphError, match=REFUSED):
        read_image(path)
