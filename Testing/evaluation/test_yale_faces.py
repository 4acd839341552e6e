"""The reader of the Yale faces on drawn photographs whose landmarks are known, and dlib where it is installed."""

import sys

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets import face_landmarks, open_data_set
from DiffuseMorphCore.evaluation.datasets.face_landmarks import RIGID, find_landmarks
from DiffuseMorphCore.evaluation.datasets.yale_faces import (
    BELOW,
    EXPRESSIONS,
    SIDE,
    SQUARE,
    YaleFaces,
    cut_face,
    read_photograph,
)
from DiffuseMorphCore.evaluation.paper.preparation import PreparedData

PEOPLE = {"train": range(1, 3), "validation": range(3, 4), "test": range(4, 5)}
# Points on two rings; the rigid ones have their middle at zero and a mean distance of one.
ANGLES = np.linspace(0, 2 * np.pi, 68, endpoint=False) * 7
TEMPLATE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1) * np.where(np.arange(68) % 2, 1.4, 0.8)[:, None]
TEMPLATE -= TEMPLATE[list(RIGID)].mean(0)
TEMPLATE /= np.sqrt((TEMPLATE[list(RIGID)] ** 2).sum(1).mean())


def photograph(middle, size):
    """A round bright face of that size on a grey ground, 320 x 239, as it looks without a rim."""
    y, x = np.indices((239, 320))
    distance = np.hypot(x - middle[0], y - middle[1]) / size
    return np.clip(60 + 120 * np.exp(-(distance**2)), 0, 255).astype(np.uint8)


def find(picture):
    """The landmarks of such a face: its middle is the brightness's, and its size follows from its spread."""
    bright = picture.astype(float) - 60
    if bright.max() < 50:
        return None
    y, x = np.indices(bright.shape)
    middle = np.array([(axis * bright).sum() for axis in (x, y)]) / bright.sum()
    size = np.sqrt(bright.sum() / (120 * np.pi))
    return TEMPLATE * size + middle


def write(picture, path):
    sitk.WriteImage(sitk.GetImageFromArray(np.pad(picture, 2, constant_values=255)), str(path))


@pytest.fixture
def folder(tmp_path):
    for person in range(1, 5):
        for number, expression in enumerate(EXPRESSIONS):
            picture = photograph((150 + 9 * number, 115 + person), 26 + person + 0.5 * number)
            write(picture, tmp_path / f"subject{person:02d}_{expression}.png")
    return tmp_path


def test_pairs_are_all_ordered_pairs_of_a_person(folder):
    data_set = YaleFaces(folder, PEOPLE, find)
    assert [len(data_set.pairs(split)) for split in data_set.splits] == [60, 30, 30]
    pairs = data_set.pairs("validation")
    assert pairs[0].name == "03_normal_to_03_happy" and len({pair.name for pair in pairs}) == 30
    assert {scan.subject for pair in pairs for scan in (pair.moving, pair.fixed)} == {"03"}
    with pytest.raises(DiffuseMorphError, match="no split 'all'"):
        data_set.pairs("all")


def test_a_face_is_in_the_same_place_and_of_the_same_size_wherever_it_was(folder):
    data_set = YaleFaces(folder, PEOPLE, find)
    scans = [scan for person in (1, 4) for scan in data_set.scans(person)]
    pictures = [sitk.GetArrayFromImage(scan.image()) for scan in scans]
    assert all(picture.shape == (SIDE, SIDE) and picture.dtype == np.float32 for picture in pictures)
    assert all(np.abs(picture - pictures[0]).mean() < 1.5 for picture in pictures)
    step = SQUARE / SIDE  # in units of the face's size
    y, x = np.indices((SIDE, SIDE))
    middle = (SIDE - 1) / 2 * np.array([1, 1]) - (0, BELOW / step)
    expected = 60 + 120 * np.exp(-(np.hypot(x - middle[0], y - middle[1]) ** 2) * step**2)
    assert np.abs(pictures[0] - expected).max() < 6
    for scan in scans:
        assert scan.landmarks() == pytest.approx(TEMPLATE / step + middle, abs=0.5)
        assert scan.image().GetSpacing() == (1, 1) and scan.image().GetOrigin() == (0, 0)
    # In [-1, 1] for the networks, and nothing of the white rim in it.
    prepared = PreparedData(data_set, folder / "prepared").image(scans[0])
    assert prepared == pytest.approx(pictures[0] / 127.5 - 1, abs=1e-5) and pictures[0].max() < 200


def test_landmarks_stay_on_what_they_mark():
    picture = np.random.default_rng(0).integers(0, 256, (30, 40)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    points = TEMPLATE * 35 + (170, 120)
    face, moved = cut_face(picture, points)
    smooth = sitk.GetArrayFromImage(
        sitk.SmoothingRecursiveGaussian(sitk.Cast(sitk.GetImageFromArray(picture), sitk.sitkFloat32), 0.5)
    )
    array = sitk.GetArrayFromImage(face)
    before = [smooth[round(y), round(x)] for x, y in points]
    after = [array[round(y), round(x)] for x, y in moved]
    assert np.corrcoef(before, after)[0, 1] > 0.9


def test_beyond_the_photograph_its_border_goes_on():
    picture = np.tile(np.arange(200, dtype=np.uint8), (100, 1))
    face, _ = cut_face(picture, TEMPLATE * 30 + (100, 90))
    array = sitk.GetArrayFromImage(face)
    # The lower border lies some 9 pixels below the face's middle; from there on all rows are alike.
    assert np.abs(array[-20:] - array[-1]).max() < 1e-3 and np.ptp(array[-1]) > 100


def test_what_is_wrong_is_named(folder, tmp_path):
    with pytest.raises(DiffuseMorphError, match="4 people.*15"):
        YaleFaces(folder)
    data_set = YaleFaces(folder, PEOPLE, find)
    write(np.full((239, 320), 60, np.uint8), folder / "subject03_sad.png")
    with pytest.raises(DiffuseMorphError, match="No face.*subject03_sad"):
        data_set.scans(3)[2].image()
    sitk.WriteImage(
        sitk.GetImageFromArray(np.zeros((50, 50, 3), np.uint8), isVector=True), str(folder / "subject03_sad.png")
    )
    with pytest.raises(DiffuseMorphError, match="subject03_sad.*grey"):
        read_photograph(folder / "subject03_sad.png")
    (folder / "subject03_wink.png").unlink()
    with pytest.raises(DiffuseMorphError, match="subject03_wink.png.*missing"):
        data_set.pairs("validation")


def test_without_dlib_the_extra_is_named(monkeypatch):
    face_landmarks._detector_and_predictor.cache_clear()
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(DiffuseMorphError, match=r"diffusemorph\[faces\]"):
        find_landmarks(np.zeros((50, 50), np.uint8))


def test_dlib_finds_a_face_and_says_where_there_is_none():
    pytest.importorskip("dlib", reason='the landmarks of faces need pip install "diffusemorph[faces]"')
    data = pytest.importorskip("skimage.data", reason="the photograph is scikit-image's")
    points = find_landmarks((data.astronaut().mean(2)).astype(np.uint8))
    # The astronaut's face lies around column 225, row 120; the right eye is the left one in the picture.
    assert points.shape == (68, 2)
    right, left, mouth, chin = (
        points[part].mean(0) for part in (slice(36, 42), slice(42, 48), slice(48, 68), slice(8, 9))
    )
    assert 190 < right[0] < left[0] < 260 and right[1] < mouth[1] < chin[1] < 220
    assert find_landmarks(np.zeros((100, 100), np.uint8)) is None


def test_the_real_faces(shared_data):
    data_set = open_data_set("yale-faces", shared_data / "faces")
    assert [len(data_set.pairs(split)) for split in data_set.splits] == [300, 60, 90]
    assert read_photograph(data_set.folder / "subject01_normal.png").shape == (239, 316)
    pytest.importorskip("dlib", reason='the landmarks of faces need pip install "diffusemorph[faces]"')
    for scan in data_set.scans(13):
        points = scan.landmarks()
        assert points[list(RIGID)].mean(0) == pytest.approx(
            ((SIDE - 1) / 2, (SIDE - 1) / 2 - BELOW * SIDE / SQUARE), abs=1e-6
        )
        assert points.min() > 0 and points.max() < SIDE - 1
