"""What every data set and every method of the benchmark must do: a new one is tested by being registered."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets import DATA_SETS, DataSet, open_data_set
from DiffuseMorphCore.evaluation.datasets.scan import SPLITS
from DiffuseMorphCore.evaluation.methods import METHODS
from DiffuseMorphCore.options import RegistrationOptions

FOLDERS = {"phantom": None, "phantom-2d": None}
"""Where a data set's folder is below the images for testing, where it is not named like the data set."""

every_data_set = pytest.mark.parametrize("name", DATA_SETS)
# The presets are network+refine with another quality: one of them stands for all.
every_method = pytest.mark.parametrize("name", [name for name in METHODS if name not in ("default", "best")])


@pytest.fixture
def opened(request):
    """opened(name) gives the reader of a data set; the test is skipped where its images are not there."""

    def open_(name) -> DataSet:
        if name in FOLDERS:
            return open_data_set(name)
        folder = request.getfixturevalue("shared_data") / name
        if not folder.is_dir():
            pytest.skip(f"needs the images of {name}, which are not there")
        return open_data_set(name, folder)

    return open_


def reader(name):
    """The class of a data set, which says what it is without any file."""
    file, kind = DATA_SETS[name]
    return getattr(importlib.import_module(f"DiffuseMorphCore.evaluation.datasets.{file}"), kind)


@every_data_set
def test_a_data_set_says_what_it_is(name):
    kind = reader(name)
    assert issubclass(kind, DataSet) and kind.name == name and kind.title
    assert kind.ndim in (2, 3) and set(kind.splits) & set(SPLITS)
    assert all(axis in range(kind.ndim) for axis in kind.mirrored_axes)
    assert kind.intensities is None or kind.intensities[0] < kind.intensities[1]
    structures = kind.__dict__.get("structures")
    assert structures is None or all(
        isinstance(label, int) and label > 0 and title for label, title in structures.items()
    )


@every_data_set
def test_a_split_that_does_not_exist_is_refused(name, opened):
    with pytest.raises(DiffuseMorphError, match="no split 'nonsense'"):
        opened(name).pairs("nonsense")


@every_data_set
def test_pairs_are_the_same_every_time_and_no_person_is_in_two_splits(name, opened):
    data = opened(name)
    people = {}
    for split in data.splits:
        pairs = data.pairs(split)
        assert pairs and [pair.name for pair in pairs] == [pair.name for pair in data.pairs(split)]
        assert len({pair.name for pair in pairs}) == len(pairs)
        people[split] = {scan.subject for pair in pairs for scan in (pair.moving, pair.fixed)}
    if len({pair.fixed.name for split in data.splits for pair in data.pairs(split)}) > 1:  # not all to one atlas
        usual = [people[split] for split in people if split in SPLITS]
        for index, one in enumerate(usual):
            assert not any(one & other for other in usual[index + 1 :])
        # A data set may have special splits: part of a usual one, or other people altogether.
        for part in (people[split] for split in people if split not in SPLITS):
            assert any(part <= whole for whole in usual) or not any(part & whole for whole in usual)


@every_data_set
def test_images_have_the_dimension_and_labels_lie_on_them(name, opened):
    data = opened(name)
    pair = data.pairs(data.splits[-1])[0]
    for scan in (pair.moving, pair.fixed):
        image, labels, points = scan.image(), scan.labels(), scan.landmarks()
        assert image.GetDimension() == data.ndim
        values = sitk.GetArrayFromImage(image)
        assert np.isfinite(values).all() and np.ptp(values) > 0
        assert labels is not None or points is not None, "without either nothing can be scored"
        if labels is not None:
            assert labels.GetSize() == image.GetSize()
            assert labels.GetOrigin() == pytest.approx(image.GetOrigin(), abs=1e-2)
            found = set(np.unique(sitk.GetArrayFromImage(labels)).tolist()) - {0}
            assert found & set(data.structures)
        if points is not None:
            assert points.shape[1] == data.ndim and np.isfinite(points).all()


@pytest.fixture(scope="module")
def discs():
    """A 2-D pair (fixed, moving) with its labels; the moving one is shifted by 3 mm along x."""
    grid = np.indices((64, 72))
    arrays = []
    for shift in (0, 3):
        spots = ((32, 28, 160, 200), (18, 20, 60, 80), (46, 22, 60, 90), (24, 46, 60, 85))
        arrays.append(
            sum(
                height * np.exp(-((grid[0] - y) ** 2 + (grid[1] - x - shift) ** 2) / width)
                for y, x, width, height in spots
            ).astype(np.float32)
        )
    return [(sitk.GetImageFromArray(array), sitk.GetImageFromArray((array > 100).astype(np.uint8))) for array in arrays]


@pytest.fixture
def outcome_of(discs):
    """outcome_of(name) registers the pair by a method; the test is skipped where the method cannot run here."""

    def run(name):
        if name.startswith("syn"):
            pytest.importorskip("ants", reason="needs antspyx")
        (fixed, _), (moving, _) = discs
        try:
            return METHODS[name][1](fixed, moving, RegistrationOptions(device="cpu", refine=5))
        except DiffuseMorphError as error:
            if "unknown" in str(error):
                pytest.skip(f"there is no such model for 2-D images: {error}")
            raise

    return run


@every_method
def test_a_method_gives_transforms_both_ways_and_labels_on_the_fixed_grid(name, outcome_of, discs):
    (fixed, _), (_, moving_labels) = discs
    outcome = outcome_of(name)
    assert METHODS[name][0] and outcome.seconds >= 0 and outcome.peak_gib >= 0
    for point in ((20.0, 25.0), (36.0, 32.0), (50.0, 40.0)):
        there = outcome.transform.TransformPoint(point)
        assert np.isfinite(there).all()
        assert outcome.inverse.TransformPoint(there) == pytest.approx(point, abs=0.5)
    moved = outcome.move_labels(moving_labels)
    assert moved.GetSize() == fixed.GetSize() and moved.GetPixelID() == moving_labels.GetPixelID()
    assert set(np.unique(sitk.GetArrayFromImage(moved)).tolist()) <= {0, 1}


@every_method
def test_a_method_gives_the_same_twice(name, outcome_of):
    one, other = outcome_of(name), outcome_of(name)
    tolerance = 0.5 if name.startswith("syn") else 1e-3  # ANTs adds up in parallel, in an order that changes
    for point in ((20.0, 25.0), (36.0, 32.0)):
        there = other.transform.TransformPoint(point)
        assert one.transform.TransformPoint(point) == pytest.approx(there, abs=tolerance)


@every_method
def test_a_method_with_a_trajectory_ends_where_its_transform_does(name, outcome_of):
    outcome = outcome_of(name)
    if outcome.at is None:
        pytest.skip(f"'{name}' has no trajectory")
    for point in ((20.0, 25.0), (36.0, 32.0)):
        assert outcome.at(1.0).TransformPoint(point) == pytest.approx(outcome.transform.TransformPoint(point), abs=1e-6)
