"""Reading, checking and writing images and transforms."""

from __future__ import annotations

import os
import struct

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import check_image, image_suffix, read_image, write_image
from DiffuseMorphCore.transforms import read_transform, write_transform


def refused(text: str):
    """One sentence (a colon may join its two halves) that contains `text`."""
    return pytest.raises(DiffuseMorphError, match=rf"^[^\n]*{text}[^\n]*\.$")


@pytest.fixture()
def volume() -> sitk.Image:
    values = np.random.default_rng(0).integers(0, 900, (9, 16, 12)).astype(np.int16)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((1.5, 1.25, 3.0))
    image.SetOrigin((-20.0, 12.5, 7.0))
    return image


UID = "1.2.826.0.1.3680043.2.1125.7"


@pytest.mark.parametrize("extension", [".nii", ".nii.gz", ".nrrd", ".mha", ".NII.GZ"])
@pytest.mark.parametrize("kind", [sitk.sitkUInt8, sitk.sitkInt16, sitk.sitkFloat32])
def test_volumes_come_back_with_values_type_and_place(tmp_path, volume, extension, kind):
    image = sitk.Cast(volume, kind)
    image.SetDirection((0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    write_image(image, tmp_path / f"scan.one{extension}")
    back = read_image(tmp_path / f"scan.one{extension}")
    assert back.GetPixelID() == kind
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(image))
    np.testing.assert_allclose(back.GetSpacing(), image.GetSpacing(), rtol=1e-6)
    np.testing.assert_allclose(back.GetOrigin(), image.GetOrigin(), atol=1e-5)
    np.testing.assert_allclose(back.GetDirection(), image.GetDirection(), atol=1e-6)
    assert os.listdir(tmp_path) == [f"scan.one{extension}"]


@pytest.mark.parametrize(
    ("extension", "kind"), [(".png", sitk.sitkUInt8), (".png", sitk.sitkUInt16), (".tif", sitk.sitkFloat32)]
)
def test_pictures_come_back(tmp_path, volume, extension, kind):
    image = sitk.Cast(sitk.Abs(volume[:, :, 4]), kind)
    write_image(image, tmp_path / f"slice{extension}")
    back = check_image(read_image(tmp_path / f"slice{extension}"), "slice")
    assert back.GetPixelID() == kind and back.GetDimension() == 2
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(image))


def test_suffixes():
    assert [image_suffix(p) for p in ("a.b.nii.gz", "A.PNG", "x/y.tar/scan", "v1.2.nrrd", "only.gz")] == [
        ".nii.gz",
        ".png",
        "",
        ".nrrd",
        ".gz",
    ]


def test_dicom_series_is_read_in_space_order(tmp_path, volume, write_series):
    write_series(tmp_path / "dicom", volume, UID)
    back = read_image(tmp_path / "dicom")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(volume))
    np.testing.assert_allclose(back.GetSpacing(), volume.GetSpacing())
    np.testing.assert_allclose(back.GetOrigin(), volume.GetOrigin())


def test_dicom_folder_with_several_series_lists_them(tmp_path, volume, write_series):
    write_series(tmp_path / "dicom", volume, UID, "T1 MPRAGE")
    write_series(tmp_path / "dicom", volume[:, :, :4], UID + "1", "scout")
    with refused("2 DICOM series .*'T1 MPRAGE' with 9 files, 'scout' with 4 files"):
        read_image(tmp_path / "dicom")


def test_a_long_list_of_series_is_cut(tmp_path, volume, write_series):
    for number in range(11):
        write_series(tmp_path / "dicom", volume[:, :, :2], f"{UID}{number}", f"part {number}")
    with refused("11 DICOM series .* and 3 smaller ones"):
        read_image(tmp_path / "dicom")


@pytest.mark.parametrize("fault", [{"leave_out": (4,)}, {"tilt": 0.8}])
def test_dicom_stack_that_is_not_even_is_refused(tmp_path, volume, fault, write_series):
    write_series(tmp_path / "dicom", volume, UID, **fault)
    with refused("9 DICOM slices|8 DICOM slices"):
        read_image(tmp_path / "dicom")


def test_single_dicom_slice(tmp_path, volume, write_series):
    write_series(tmp_path / "dicom", volume[:, :, 3:4], UID)
    assert check_image(read_image(tmp_path / "dicom"), "slice").GetSize() == (12, 16, 1)


def test_missing_unreadable_and_foreign_files(tmp_path):
    with refused("There is no file or folder '.*absent.nii.gz'"):
        read_image(tmp_path / "absent.nii.gz")
    (tmp_path / "text.txt").write_text("no image")
    with refused("text.txt' is not an image"):
        read_image(tmp_path / "text.txt")
    (tmp_path / "zero.nii.gz").touch()
    with refused(r"zero.nii.gz' is empty \(0 bytes\)"):
        read_image(tmp_path / "zero.nii.gz")
    (tmp_path / "folder").mkdir()
    with refused("folder' holds no DICOM series"):
        read_image(tmp_path / "folder")


@pytest.mark.parametrize("extension", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_cut_files_are_refused(tmp_path, volume, extension):
    path = tmp_path / f"cut{extension}"
    write_image(volume, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with refused("cut.*(damaged|incomplete)"):
        read_image(path)


def test_sheared_axes_are_refused_and_small_rounding_is_not(tmp_path, volume):
    volume.SetDirection((1.0, 0.2, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    with refused("axes of the ct are not at right angles"):
        check_image(volume, "ct")
    volume.SetDirection((1.0, 2e-3, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    check_image(volume, "ct")


def test_sheared_nifti_header_is_refused(tmp_path, volume):
    path = tmp_path / "sheared.nii"
    write_image(volume, path)
    data = bytearray(path.read_bytes())
    data[252:256] = struct.pack("<hh", 0, 2)  # no qform; the sform holds the sheared axes
    data[280:328] = struct.pack("<12f", 1.5, 0.6, 0, 0, 0, 1.25, 0, 0, 0, 0, 3, 0)
    path.write_bytes(bytes(data))
    with refused("axes of the image '.*sheared.nii' are not at right angles"):
        check_image(read_image(path), f"image '{path}'")


def test_what_cannot_be_registered_is_refused(volume):
    with refused("scan is empty"):
        check_image(sitk.Image([0, 9, 9], sitk.sitkUInt8), "scan")
    with refused(r"scan has 4 dimensions \(12 × 16 × 9 × 2\)"):
        check_image(sitk.JoinSeries([volume, volume]), "scan")
    with refused("scan has 3 values per voxel"):
        check_image(sitk.Compose(volume, volume, volume), "scan")
    with refused("scan has complex numbers"):
        real = sitk.Cast(volume, sitk.sitkFloat32)
        check_image(sitk.RealAndImaginaryToComplex(real, real), "scan")
    with refused("scan has only 12 × 1 × 1 voxels"):
        check_image(volume[:, 3:4, 3:4], "scan")
    with refused(r"scan is constant \(7 everywhere\)"):
        check_image(volume * 0 + 7, "scan")
    blank = sitk.Cast(volume, sitk.sitkFloat32) * float("nan")
    with refused("scan has no finite value"):
        check_image(blank, "scan")


def test_what_can_be_registered_passes(volume):
    assert check_image(sitk.JoinSeries([volume]), "scan").GetSize() == volume.GetSize()
    assert check_image(volume[:, :, 3:4], "scan").GetSize() == (12, 16, 1)
    partly = sitk.Cast(volume, sitk.sitkFloat32)
    partly[2, 2, 2] = float("nan")
    partly[3, 2, 2] = float("inf")
    assert check_image(partly, "scan") is partly


def test_one_finite_value_among_nan_is_constant(volume):
    image = sitk.Cast(volume, sitk.sitkFloat32) * 0 + float("nan")
    image[1, 1, 1] = 3.0
    with refused(r"constant \(3 everywhere\)"):
        check_image(image, "scan")


def test_labels_may_be_constant_but_not_fractional(volume):
    check_image(volume * 0 + 1, "mask", labels=True)
    check_image(sitk.Cast(volume, sitk.sitkFloat64), "labels", labels=True)
    with refused("seg does not hold whole numbers"):
        check_image(sitk.Cast(volume, sitk.sitkFloat32) + 0.5, "seg", labels=True)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, volume):
    target = tmp_path / "picture.png"
    target.write_bytes(b"old")
    with refused("picture.png' cannot be written: .* cannot hold 32-bit float in 2 dimensions"):
        write_image(sitk.Cast(volume[:, :, 2], sitk.sitkFloat32), target)
    with refused("A volume cannot be written as 'picture.png'"):
        write_image(sitk.Cast(volume, sitk.sitkUInt8), target)
    assert target.read_bytes() == b"old" and os.listdir(tmp_path) == ["picture.png"]
    with refused("the format '.foo' is unknown"):
        write_image(volume, tmp_path / "scan.foo")
    with refused("There is no folder '.*nowhere'"):
        write_image(volume, tmp_path / "nowhere" / "scan.nii.gz")
    assert os.listdir(tmp_path) == ["picture.png"]


def test_transforms_come_back(tmp_path, volume):
    vectors = np.random.default_rng(1).normal(size=(9, 16, 12, 3))
    field = sitk.GetImageFromArray(vectors, isVector=True)
    field.CopyInformation(volume)
    transform = sitk.CompositeTransform(3)
    transform.AddTransform(sitk.AffineTransform((1.1, 0, 0, 0, 0.9, 0, 0, 0, 1), (3.0, -2.0, 1.0)))
    transform.AddTransform(sitk.DisplacementFieldTransform(sitk.Image(field)))
    write_transform(transform, tmp_path / "transform.h5")
    back = read_transform(tmp_path / "transform.h5")
    for point in ((-15.0, 18.0, 20.0), (-10.2, 15.7, 11.1)):
        np.testing.assert_allclose(back.TransformPoint(point), transform.TransformPoint(point), atol=1e-9)
    assert os.listdir(tmp_path) == ["transform.h5"]


def test_what_is_no_transform_is_refused(tmp_path):
    with refused("There is no file"):
        read_transform(tmp_path / "absent.h5")
    (tmp_path / "text.tfm").write_text("hello")
    with refused("text.tfm' is not a transform"):
        read_transform(tmp_path / "text.tfm")
