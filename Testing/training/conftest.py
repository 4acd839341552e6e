"""What the tests of training runs share: small images, settings of a run on them, and a run that was not
interrupted."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.training import settings_from, train


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Six discs of different places and sizes, 16 pixels, with their masks."""
    folder = tmp_path_factory.mktemp("images")
    y, x = np.mgrid[:16, :16]
    for number in range(6):
        distance = np.hypot(x - 6 - number % 3, y - 7 - number % 2)
        sitk.WriteImage(
            sitk.GetImageFromArray((220 / (1 + np.exp(distance - 4 - number / 3))).astype(np.uint8)),
            str(folder / f"{number}.png"),
        )
        sitk.WriteImage(
            sitk.GetImageFromArray((distance < 4 + number / 3).astype(np.uint8)), str(folder / f"{number}_mask.png")
        )
    return folder


@pytest.fixture(scope="session")
def settings():
    """settings(images, folder, section=changes) gives those of a quick run."""

    def make(images, folder, **changes):
        values = {
            "device": "cpu",
            "model": {"preset": "default2d"},
            "data": {"source": "images", "folder": str(images), "label_suffix": "_mask", "held_out": 2, "flips": ["x"]},
            "geometry": {"shape": [16, 16], "spacing": 1.0},
            "loss": {"window": 5, "registration_steps": "alternate", "labels": 0.5},
            "optimisation": {
                "steps": 8,
                "batch": 2,
                "learning_rate": 1e-3,
                "average": 0.9,
                "decay": "cosine",
                "seed": 3,
            },
            "validation": {"every": 4, "pairs": 2},
            "output": {"folder": str(folder), "log_every": 1, "checkpoint_minutes": 0.0},
        }
        for section, keys in changes.items():
            values[section] = values[section] | keys
        return values

    return make


@pytest.fixture(scope="session")
def rows():
    """rows(folder, name) reads a table of a run."""

    def read(folder, name="log.csv"):
        with (Path(folder) / name).open(newline="") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture(scope="session")
def unbroken(images, tmp_path_factory, settings):
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    return train(settings_from(settings(images, folder)), progress=lambda *_: None)
