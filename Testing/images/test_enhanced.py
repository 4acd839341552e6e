"""Frames in time come out of a DICOM file with many images: in the right order, at their place, with their numbers."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images.frames import open_frames

pydicom = pytest.importorskip("pydicom")

SHAPE, COUNT = (5, 9, 10), 3
ALONG, DOWN = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, -1.0])
ORIGIN, SPACING = np.array([-20.0, 7.0, 3.0]), (1.5, 2.0, 4.0)  # along rows, along columns, between slices


def item(**values):
    found = pydicom.Dataset()
    for name, value in values.items():
        setattr(found, name, value)
    return pydicom.Sequence([found])


def voxels(seed=0):
    return np.random.default_rng(seed).integers(0, 900, (COUNT, *SHAPE)).astype(np.uint16)


def write_enhanced(path, values, moment, change=lambda number, groups: None, shared_scaling=(1, -100), groups=True):
    """values : (moments, slices, rows, columns). moment : gives the functional groups of a moment by its number.

    The images are stored slice by slice, each at all moments, the last moment first.
    """
    header = pydicom.Dataset()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = pydicom.uid.EnhancedMRImageStorage
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = "1.2.826.0.1.3680043.2.1125.9"
    header.Modality, header.SeriesInstanceUID = "MR", "1.2.826.0.1.3680043.2.1125.10"
    header.StudyInstanceUID = "1.2.826.0.1.3680043.2.1125.11"
    header.Rows, header.Columns = values.shape[2:]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
    normal, planes, found = np.cross(ALONG, DOWN), [], []
    for place in range(values.shape[1]):
        for number in reversed(range(values.shape[0])):
            one = pydicom.Dataset()
            position = ORIGIN + normal * SPACING[2] * place
            one.PlanePositionSequence = item(ImagePositionPatient=position.tolist())
            for name, value in moment(number).items():
                setattr(one, name, value)
            change(len(found), one)
            found.append(one)
            planes.append(values[number, place])
    header.NumberOfFrames = len(found)
    if groups:
        header.PerFrameFunctionalGroupsSequence = pydicom.Sequence(found)
        shared = pydicom.Dataset()
        shared.PlaneOrientationSequence = item(ImageOrientationPatient=[*ALONG, *DOWN])
        shared.PixelMeasuresSequence = item(PixelSpacing=[SPACING[1], SPACING[0]], SliceThickness=3.0)
        slope, intercept = shared_scaling
        shared.PixelValueTransformationSequence = item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="US")
        header.SharedFunctionalGroupsSequence = pydicom.Sequence([shared])
    header.PixelData = np.stack(planes).tobytes()
    header.save_as(path, enforce_file_format=True)


def by_index(number):
    return {"FrameContentSequence": item(TemporalPositionIndex=number + 1)}


def by_delay(number):
    return {"CardiacSynchronizationSequence": item(NominalCardiacTriggerDelayTime=40.0 * number)}


def by_clock(number):
    return {"FrameContentSequence": item(FrameReferenceDateTime=f"2026030112000{number}.5")}


def by_offset(number):
    return {"TemporalPositionSequence": item(TemporalPositionTimeOffset=0.25 * number)}


@pytest.mark.parametrize("moment, step", [(by_index, None), (by_delay, 0.04), (by_clock, 1.0), (by_offset, 0.25)])
def test_moments_in_their_order_with_their_times(tmp_path, moment, step):
    values = voxels()
    write_enhanced(tmp_path / "beat.dcm", values, moment)
    for source in (tmp_path / "beat.dcm", tmp_path):
        opened = open_frames(source)
        assert len(opened) == COUNT
        for number in (2, 0, 1):
            image = opened.image(number)
            np.testing.assert_array_equal(sitk.GetArrayFromImage(image), values[number].astype(int) - 100)
            assert image.GetPixelID() == sitk.sitkInt16
            np.testing.assert_allclose(image.GetSpacing(), SPACING)
            last = ORIGIN + 9 * 1.5 * ALONG + 8 * 2.0 * DOWN + 4 * 4.0 * np.cross(ALONG, DOWN)
            np.testing.assert_allclose(image.TransformIndexToPhysicalPoint((0, 0, 0)), ORIGIN)
            np.testing.assert_allclose(image.TransformIndexToPhysicalPoint((9, 8, 4)), last)
        if step is None:
            assert opened.times is None
        else:
            np.testing.assert_allclose(np.diff(opened.times), step, atol=1e-6)


def test_the_place_is_that_of_the_library_that_reads_files_of_one_moment(tmp_path):
    write_enhanced(tmp_path / "one.dcm", voxels()[:1], by_index)
    write_enhanced(tmp_path / "beat.dcm", voxels(), by_index)
    read, ours = sitk.ReadImage(str(tmp_path / "one.dcm")), open_frames(tmp_path / "beat.dcm").image(0)
    np.testing.assert_allclose(read.GetOrigin(), ours.GetOrigin())
    np.testing.assert_allclose(read.GetDirection(), ours.GetDirection(), atol=1e-6)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read), sitk.GetArrayFromImage(ours))


def test_numbers_scaled_image_by_image(tmp_path):
    def change(number, groups):
        groups.PixelValueTransformationSequence = item(RescaleSlope=0.5 + number, RescaleIntercept=3, RescaleType="US")

    values = voxels()
    write_enhanced(tmp_path / "beat.dcm", values, by_delay, change)
    image = open_frames(tmp_path / "beat.dcm").image(COUNT - 1)  # which is stored first at each place
    expected = [plane * (0.5 + COUNT * place) + 3 for place, plane in enumerate(values[COUNT - 1].astype(float))]
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), np.stack(expected))


def test_one_slice_at_several_times(tmp_path):
    values = voxels()[:, :1]
    write_enhanced(tmp_path / "cine.dcm", values, by_delay)
    image = open_frames(tmp_path / "cine.dcm").image(1)
    assert image.GetSize() == (10, 9, 1) and image.GetSpacing() == (1.5, 2.0, 3.0)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), values[1].astype(int) - 100)


def moved(number, groups):
    if number >= 2 * COUNT:
        groups.PlanePositionSequence = item(ImagePositionPatient=(ORIGIN + number // COUNT * 9.0).tolist())


def missing(number, groups):
    if number == 4:
        position = ORIGIN + np.cross(ALONG, DOWN) * 99
        groups.PlanePositionSequence = item(ImagePositionPatient=position.tolist())


def nowhere(number, groups):
    del groups.PlanePositionSequence


@pytest.mark.parametrize(
    "moment, options, text",
    [
        (lambda number: {}, {}, "several images of each place that are not of different times"),
        (by_index, {"change": moved}, "unevenly spaced or tilted"),
        (by_index, {"change": missing}, "some places 1 times and others 3 times"),
        (by_index, {"change": nowhere}, "does not say of each image where it is"),
        (by_index, {"groups": False}, "say that its slices are frames"),
    ],
)
def test_what_is_no_sequence_is_refused_in_one_sentence(tmp_path, moment, options, text):
    write_enhanced(tmp_path / "beat.dcm", voxels(), moment, **options)
    with pytest.raises(DiffuseMorphError, match=text) as caught:
        open_frames(tmp_path / "beat.dcm")
    assert "beat.dcm" in str(caught.value) and str(caught.value).count(". ") == 0


def test_one_moment_is_no_sequence(tmp_path):
    write_enhanced(tmp_path / "one.dcm", voxels()[:1], by_index)
    with pytest.raises(DiffuseMorphError, match=r"has 1 frame\(s\)"):
        open_frames(tmp_path / "one.dcm")


def test_damaged_files_and_a_missing_library(tmp_path, monkeypatch):
    write_enhanced(tmp_path / "beat.dcm", voxels(), by_index)
    whole = (tmp_path / "beat.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:-200])
    with pytest.raises(DiffuseMorphError, match="cannot be decoded|seems to be damaged"):
        opened = open_frames(tmp_path / "cut.dcm")
        [opened.image(number) for number in range(COUNT)]
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(DiffuseMorphError, match="pip install pydicom"):
        open_frames(tmp_path / "beat.dcm")
