"""What every source of training pairs must do: a new one is tested by being registered in the settings."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.training import settings_from
from DiffuseMorphCore.training.pair import TrainingPair
from DiffuseMorphCore.training.settings import SOURCES
from DiffuseMorphCore.training.sources import build_sources

CPU = torch.device("cpu")
SHAPE = (16, 16)
KINDS = {"labelmaps": "labelmaps", "tissues": "labelmaps", "subjects": "subjects"}
"""Folder of a source's data in `world`, where it is not that of the images."""

every_source = pytest.mark.parametrize("name", SOURCES)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Data for any source: images with labels, the same by subject, a table of pairs, an atlas, label maps."""
    folder = tmp_path_factory.mktemp("world")
    y, x = np.mgrid[:24, :24]
    for number in range(6):
        distance = np.hypot(x - 9 - number % 3, y - 11 - number % 2)
        image = sitk.GetImageFromArray((220 / (1 + np.exp(distance - 5 - number / 3))).astype(np.uint8))
        labels = sitk.GetImageFromArray((distance < 5 + number / 3).astype(np.uint8))
        for place in (folder / "images", folder / "subjects" / f"person{number // 2}"):
            place.mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(image, str(place / f"{number}.png"))
            sitk.WriteImage(labels, str(place / f"{number}_mask.png"))
        axes = np.indices((28, 28, 28)) - 13.5
        radius = np.sqrt((axes**2).sum(axis=0)) + number / 4
        structures = np.select([radius < 4, radius < 8, radius < 12], [17, 2, 3]).astype(np.uint8)
        (folder / "labelmaps").mkdir(exist_ok=True)
        sitk.WriteImage(sitk.GetImageFromArray(structures), str(folder / "labelmaps" / f"{number}.nii.gz"))
    with (folder / "images" / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["moving", "fixed", "moving_labels", "fixed_labels"])
        writer.writerows([f"{a}.png", f"{b}.png", f"{a}_mask.png", f"{b}_mask.png"] for a in range(3) for b in (4, 5))
    return folder


def run_of(name, world):
    """The settings of a run with this source."""
    images = world / "images"
    maps = name in ("labelmaps", "tissues")
    data = {
        "source": name,
        "folder": str(world / KINDS.get(name, "images")),
        "held_out": 1 if name == "subjects" else 2,
        "table": str(images / "pairs.csv"),
        "atlas": str(images / "0.png"),
        "atlas_labels": str(images / "0_mask.png"),
        "label_suffix": "" if maps else "_mask",
        "flips": [] if maps or name == "shapes" else ["x"],
        "affine": 0.5,
    }
    return settings_from(
        {
            "device": "cpu",
            "model": {"preset": "default3d" if maps else "default2d"},
            "data": data,
            "geometry": {"shape": [16, 16, 16] if maps else list(SHAPE), "spacing": 1.5},
            "validation": {"pairs": 2},
            "optimisation": {"seed": 5},
        }
    )


def source_of(name, world):
    ((_, source),) = build_sources(run_of(name, world))
    return source


def equal(one, other):
    """Whether two pairs agree to the last bit; a displacement is not a number where it is not known."""
    return all(
        a is b is None or torch.equal(a.nan_to_num(1e9), b.nan_to_num(1e9)) for a, b in zip(one.parts(), other.parts())
    )


@every_source
def test_pairs_have_the_shape_range_and_type_that_training_expects(name, world):
    source = source_of(name, world)
    shape = (16,) * source.ndim
    for pair in (source.draw(0, CPU), source.draw(7, CPU), *source.validation(CPU)):
        assert isinstance(pair, TrainingPair)
        for image in (pair.moving, pair.fixed):
            assert image.shape == (1, 1, *shape) and image.dtype == torch.float32
            assert -1 - 1e-5 <= float(image.min()) < float(image.max()) <= 1 + 1e-5
        for labels in (pair.moving_labels, pair.fixed_labels):
            assert labels is None or labels.shape == (1, 1, *shape) and torch.equal(labels, labels.round())
        assert pair.displacement is None or pair.displacement.shape == (1, source.ndim, *shape)


@every_source
def test_a_draw_depends_on_its_index_alone(name, world):
    source, again = source_of(name, world), source_of(name, world)
    first = [source.draw(index, CPU) for index in (0, 1, 2)]
    later = [again.draw(index, CPU) for index in (2, 0)]
    assert equal(first[2], later[0]) and equal(first[0], later[1])
    assert any(not equal(first[0], other) for other in first[1:])


@every_source
def test_validation_is_the_same_every_time(name, world):
    source = source_of(name, world)
    before = source.validation(CPU)
    source.draw(3, CPU)
    assert len(before) == 2 and all(equal(*both) for both in zip(before, source.validation(CPU)))


@every_source
def test_too_little_data_is_one_sentence(name, world, tmp_path):
    if name == "shapes":
        pytest.skip("shapes are made, not read: there is no data to miss")
    run = run_of(name, world)
    (tmp_path / "empty").mkdir()
    table = tmp_path / "pairs.csv"
    table.write_text("moving,fixed\n")
    data = run.to_dict()["data"] | {"folder": str(tmp_path / "empty"), "table": str(table)}
    with pytest.raises(DiffuseMorphError) as caught:
        build_sources(settings_from(run.to_dict() | {"data": data}))
    assert str(tmp_path) in str(caught.value)
