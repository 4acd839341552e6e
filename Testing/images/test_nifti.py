"""NIfTI files are read as what they are, whatever they are called and whatever lies beside them."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import read_image


def constant(value: int, path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.full((9, 10, 11), value, np.int16)), str(path))


def value(path) -> int:
    return int(sitk.GetArrayFromImage(read_image(path)).max())


def test_a_compressed_and_a_plain_file_of_one_name_are_two_images(tmp_path):
    for number, name in enumerate(("scan.nii", "scan.nii.gz", "scan.hdr", "scan.img.gz", "other.nii"), start=1):
        constant(number, tmp_path / name)
    (tmp_path / "other.nii").rename(tmp_path / "scan.NII")
    assert [value(tmp_path / name) for name in ("scan.nii", "scan.nii.gz", "scan.hdr", "scan.img.gz", "scan.NII")] == [
        1,
        2,
        3,
        4,
        5,
    ]


def test_the_content_decides_what_is_compressed(tmp_path):
    constant(7, tmp_path / "plain.nii")
    data = (tmp_path / "plain.nii").read_bytes()
    (tmp_path / "plain.nii.gz").write_bytes(data)
    (tmp_path / "packed.nii").write_bytes(gzip.compress(data))
    (tmp_path / "Mixed.Nii.Gz").write_bytes(gzip.compress(data))
    for name, text in (("plain.nii.gz", "not compressed"), ("packed.nii", "is compressed"), ("Mixed.Nii.Gz", None)):
        notes: list[str] = []
        image = read_image(tmp_path / name, notes)
        assert image.GetSize() == (11, 10, 9) and sitk.GetArrayViewFromImage(image).min() == 7
        assert (len(notes) == 1 and text in notes[0]) if text else notes == []


@pytest.mark.parametrize("tail", [b"\0\0PADDING\n" * 50, b"<html>", bytes(512)])
def test_bytes_behind_the_end_are_passed_over(tmp_path, tail):
    constant(7, tmp_path / "scan.nii.gz")
    (tmp_path / "scan.nii.gz").write_bytes((tmp_path / "scan.nii.gz").read_bytes() + tail)
    notes: list[str] = []
    assert sitk.GetArrayFromImage(read_image(tmp_path / "scan.nii.gz", notes)).min() == 7
    assert notes == [] if tail == bytes(512) else "behind the end" in notes[0]


def with_sform(path, shear: float, qform: int) -> None:
    """Rewrite the header: an sform whose second axis leans by `shear` (in RAS), and a qform or none."""
    data = bytearray(path.read_bytes())
    data[252:256] = struct.pack("<hh", qform, 1)
    data[280:328] = struct.pack("<12f", -1.5, -1.25 * shear, 0, 20, 0, -1.25, 0, -12.5, 0, 0, 3, 7)
    path.write_bytes(bytes(data))


@pytest.fixture()
def leaning(tmp_path):
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(1, 250, (9, 16, 12)).astype(np.int16))
    image.SetSpacing((1.5, 1.25, 3.0))
    image.SetOrigin((-20.0, 12.5, 7.0))
    sitk.WriteImage(image, str(tmp_path / "scan.nii"))
    return tmp_path / "scan.nii"


@pytest.mark.parametrize("qform", [0, 1])
@pytest.mark.parametrize("shear", [5e-4, 3e-3])
def test_axes_a_little_off_right_angles_stay_as_the_header_has_them(leaning, shear, qform):
    with_sform(leaning, shear, qform)
    index = (11, 15, 8)
    point = np.array([[1.5, 1.25 * shear, 0], [0, 1.25, 0], [0, 0, 3]]) @ index + (-20.0, 12.5, 7.0)
    np.testing.assert_allclose(read_image(leaning).TransformIndexToPhysicalPoint(index), point, atol=1e-4)


def test_axes_far_off_right_angles_are_refused_unless_the_header_has_others(leaning):
    with_sform(leaning, 0.3, 0)
    with pytest.raises(DiffuseMorphError, match="not at right angles"):
        read_image(leaning)
    with_sform(leaning, 0.3, 1)  # an affine map to a template beside the scanner's own place
    np.testing.assert_allclose(read_image(leaning).GetDirection(), np.eye(3).ravel(), atol=1e-6)
