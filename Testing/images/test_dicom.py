"""DICOM folders and lists of files as volumes: slopes by slice, tilted gantries, a series for every slice."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import as_image, read_image

UID = "1.2.826.0.1.3680043.2.1125.7"


@pytest.fixture()
def volume() -> sitk.Image:
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(1, 900, (9, 16, 12)).astype(np.int16))
    image.SetSpacing((1.5, 1.25, 3.0))
    image.SetOrigin((-20.0, 12.5, 7.0))
    return image


def write_pet(folder, image: sitk.Image, slopes: list[bytes]) -> None:
    """One file a slice, each with a rescale slope of its own (two characters long)."""
    folder.mkdir()
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k, slope in enumerate(slopes):
        part = image[:, :, k : k + 1]
        position = "\\".join(f"{value:.6f}" for value in image.TransformIndexToPhysicalPoint((0, 0, k)))
        for key, value in {
            "0008|0060": "PT",
            "0020|000e": UID,
            "0008|0018": f"{UID}.{k + 1}",
            "0020|0032": position,
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0028|1052": "0",
            "0028|1053": "1",
        }.items():
            part.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{k}.dcm"))
        writer.Execute(part)
        data = bytearray((folder / f"{k}.dcm").read_bytes())
        at = data.find(b"\x28\x00\x53\x10")  # the slope: tag, length, and its text from the eighth byte on
        assert at > 0 and data[at + 8 : at + 10] == b"1 "
        data[at + 8 : at + 10] = slope
        (folder / f"{k}.dcm").write_bytes(bytes(data))


def test_slices_with_slopes_of_their_own_keep_their_fractions(tmp_path, volume):
    slopes = [b"1 ", b".3", b".5", b"2 ", b".7", b"1 ", b".1", b".9", b"4 "]
    write_pet(tmp_path / "pet", volume, slopes)
    expected = sitk.GetArrayFromImage(volume) * np.array([float(slope) for slope in slopes])[:, None, None]
    np.testing.assert_allclose(sitk.GetArrayFromImage(read_image(tmp_path / "pet")), expected, rtol=1e-6)


def test_slices_with_one_whole_slope_stay_whole(tmp_path, volume, write_series):
    write_series(tmp_path / "ct", volume, UID)
    assert read_image(tmp_path / "ct").GetPixelID() == sitk.sitkInt16


def test_a_series_for_every_slice_is_one_stack(tmp_path, volume, write_series):
    for number in range(9):
        write_series(tmp_path / "dicom", volume[:, :, number : number + 1], f"{UID}{number}")
    notes: list[str] = []
    back = read_image(tmp_path / "dicom", notes)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(volume))
    np.testing.assert_allclose(back.GetOrigin(), volume.GetOrigin())
    np.testing.assert_allclose(back.GetSpacing(), volume.GetSpacing())
    assert len(notes) == 1 and "9 DICOM series of one file each" in notes[0]


def test_localisers_of_one_file_each_are_no_stack(tmp_path, volume, write_series):
    write_series(tmp_path / "dicom", volume[:, :, :1], UID)
    turned = sitk.Image(volume[:, :, 1:2])
    turned.SetDirection((1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0))
    write_series(tmp_path / "dicom", turned, f"{UID}1")
    with pytest.raises(DiffuseMorphError, match="2 DICOM series"):
        read_image(tmp_path / "dicom")


def ramp(x, y, z):
    """Linear in space, so that linear interpolation is exact."""
    return 100 + 3 * x - 2 * y + 5 * z


def space(size, spacing, origin) -> sitk.Image:
    z, y, x = np.meshgrid(*(o + s * np.arange(n) for n, s, o in zip(size, spacing, origin)), indexing="ij")
    image = sitk.GetImageFromArray(np.round(ramp(x, y, z)).astype(np.int16))
    image.SetSpacing(spacing[::-1])
    image.SetOrigin(origin[::-1])
    return image


@pytest.mark.parametrize("fault", ["tilted", "missing"])
def test_slices_off_an_even_grid_are_brought_onto_one_on_request(tmp_path, write_series, fault):
    image = space((9, 20, 16), (4.0, 2.0, 2.0), (10.0, -20.0, 30.0))
    if fault == "missing":
        write_series(tmp_path / "ct", image, UID, leave_out=(4,))
    else:
        # As a tilted gantry does it: slice k begins 0.8 k mm further along y, and shows what is there.
        for k in range(9):
            part = space((1, 20, 16), (4.0, 2.0, 2.0), (10.0 + 4.0 * k, -20.0 + 0.8 * k, 30.0))
            write_series(tmp_path / "ct", part, UID)
            (tmp_path / "ct" / "7_000.dcm").rename(tmp_path / "ct" / f"slice_{k}.dcm")
    with pytest.raises(DiffuseMorphError, match=r"^The . DICOM slices .*--resample-slices.*\.$"):
        read_image(tmp_path / "ct")
    notes: list[str] = []
    back = read_image(tmp_path / "ct", notes, resample_slices=True)
    assert back.GetSize() == image.GetSize() and len(notes) == 1
    np.testing.assert_allclose(back.GetOrigin(), image.GetOrigin(), atol=1e-6)
    np.testing.assert_allclose(back.GetSpacing(), image.GetSpacing(), atol=1e-6)
    rows = slice(4, None)  # the tilted slices begin further on
    np.testing.assert_allclose(sitk.GetArrayFromImage(back)[:, rows], sitk.GetArrayFromImage(image)[:, rows], atol=1.01)


def test_a_slice_twice_is_refused_also_with_resampling(tmp_path, volume, write_series):
    write_series(tmp_path / "mr", volume, UID)
    (tmp_path / "mr" / "copy.dcm").write_bytes((tmp_path / "mr" / "7_003.dcm").read_bytes())
    for resample in (False, True):
        with pytest.raises(DiffuseMorphError, match=r"repeated.*\.$"):
            read_image(tmp_path / "mr", None, resample)


def test_a_list_of_files_is_a_stack_sorted_by_position(tmp_path, volume, write_series):
    write_series(tmp_path / "mr", volume, UID)
    files = sorted((tmp_path / "mr").iterdir(), reverse=True)
    image, name = as_image(files, "fixed image")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(volume))
    assert "7_008.dcm" in name
    sitk.WriteImage(volume, str(tmp_path / "scan.nrrd"))
    with pytest.raises(DiffuseMorphError, match="scan.nrrd' is not in DICOM format"):
        as_image([*files, tmp_path / "scan.nrrd"], "fixed image")
    with pytest.raises(DiffuseMorphError, match="There is no file"):
        as_image([*files, tmp_path / "absent.dcm"], "fixed image")
