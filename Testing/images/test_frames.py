"""Frames in time come out of every kind of file as they went in."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images.frames import open_frames
from DiffuseMorphCore.images.time_series import time_series

COUNT = 11


@pytest.fixture(scope="module")
def frames() -> list[sitk.Image]:
    random, found = np.random.default_rng(0), []
    for _ in range(COUNT):
        image = sitk.GetImageFromArray(random.integers(0, 900, (9, 10, 12)).astype(np.int16))
        image.SetSpacing((1.5, 2.0, 2.5))
        image.SetOrigin((-20.0, 7.0, 3.0))
        image.SetDirection((0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
        found.append(image)
    return found


def check(source, frames: list[sitk.Image], count: int = COUNT) -> None:
    opened = open_frames(source)
    assert len(opened) == count
    for number in (count - 1, 0, 3):  # in any order
        image = opened.image(number, frames[0])
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(frames[number]))
        np.testing.assert_allclose(image.GetSpacing(), frames[0].GetSpacing(), rtol=1e-5)
        np.testing.assert_allclose(image.GetDirection(), frames[0].GetDirection(), atol=1e-5)


@pytest.mark.parametrize("name", ["frames.nii", "frames.nii.gz", "frames.nrrd", "frames.mha"])
def test_a_file_with_a_last_axis_of_time(frames, tmp_path, name):
    series = sitk.JoinSeries(frames, 0.0, 0.25)
    sitk.WriteImage(series, str(tmp_path / name))
    check(tmp_path / name, frames)
    assert open_frames(tmp_path / name).time(2) == pytest.approx(0.5, abs=1e-6)
    check(series, frames)


@pytest.mark.parametrize("packed", [False, True])
def test_a_sequence_of_slicer_has_time_first(frames, tmp_path, packed):
    size = frames[0].GetSize()
    header = (
        "NRRD0004\ntype: short\ndimension: 4\nspace: left-posterior-superior\n"
        f"sizes: {COUNT} {size[0]} {size[1]} {size[2]}\n"
        "space directions: none (0,-1.5,0) (2,0,0) (0,0,2.5)\nkinds: list domain domain domain\nendian: little\n"
        f"encoding: {'gzip' if packed else 'raw'}\nspace origin: (-20,7,3)\n"
        f"axis 0 index values:={' '.join(str(0.1 * number) for number in range(COUNT))}\n\n"
    )
    values = np.stack([sitk.GetArrayFromImage(image) for image in frames], axis=-1).astype("<i2").tobytes()
    path = tmp_path / "beat.seq.nrrd"
    path.write_bytes(header.encode() + (gzip.compress(values) if packed else values))
    check(path, frames)
    assert open_frames(path).times == pytest.approx([0.1 * number for number in range(COUNT)])
    if not packed:
        path.write_bytes(path.read_bytes()[:-5])
        with pytest.raises(DiffuseMorphError, match="damaged or cut short"):
            open_frames(path).image(0)


def test_a_folder_is_in_the_order_of_its_numbers(frames, tmp_path):
    for number, image in enumerate(frames):
        sitk.WriteImage(image, str(tmp_path / f"frame{number}.nii.gz"))
    check(tmp_path, frames)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DiffuseMorphError, match="holds neither images nor DICOM files"):
        open_frames(tmp_path / "empty")


def test_phases_of_dicom_are_folders(frames, tmp_path, write_series):
    upright = []
    for number in range(4):
        image = sitk.Image(frames[number])
        image.SetDirection(np.eye(3).ravel().tolist())
        upright.append(image)
        write_series(tmp_path / f"phase {number}", image, f"1.2.826.0.1.3680043.2.1125.7.{number}")
    check(tmp_path, upright, 4)


def test_frames_are_written_one_by_one_as_one_file(frames, tmp_path):
    with time_series(tmp_path / "out.nii.gz", COUNT, 0.25) as file:
        for image in frames:
            file.add(image)
    check(tmp_path / "out.nii.gz", frames)
    found = sitk.ReadImage(str(tmp_path / "out.nii.gz"))
    assert found.GetSize() == (12, 10, 9, COUNT) and found.GetSpacing()[3] == pytest.approx(0.25)
    with pytest.raises(ZeroDivisionError), time_series(tmp_path / "half.nii.gz", COUNT) as file:
        file.add(frames[0])
        raise ZeroDivisionError
    assert not (tmp_path / "half.nii.gz").exists()


def test_slices_are_frames_where_that_is_said(frames, tmp_path):
    pictures = [image[:, :, 4] for image in frames]
    sitk.WriteImage(sitk.JoinSeries(pictures, 0.0, 0.5), str(tmp_path / "film.tif"))
    opened = open_frames(tmp_path / "film.tif", slices_are_frames=True)
    assert len(opened) == COUNT
    for number in (0, 7):
        found = opened.image(number)
        assert found.GetDimension() == 2
        np.testing.assert_array_equal(sitk.GetArrayFromImage(found), sitk.GetArrayFromImage(pictures[number]))
    with pytest.raises(DiffuseMorphError, match="is 2-D, so its slices are no frames"):
        open_frames(pictures[0], slices_are_frames=True)


def test_files_without_time_are_refused(frames, tmp_path):
    sitk.WriteImage(frames[0], str(tmp_path / "one.nii.gz"))
    with pytest.raises(DiffuseMorphError, match="is 3-D and has no axis of time"):
        open_frames(tmp_path / "one.nii.gz")
    (tmp_path / "text.nii.gz").write_text("no image")
    with pytest.raises(DiffuseMorphError):
        open_frames(tmp_path / "text.nii.gz")
