"""The latents of the bundled models, measured on drawn heads whose two contrasts are one."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.__main__ import main
from DiffuseMorphCore.evaluation.datasets.brain_t1_flair import PEOPLE
from DiffuseMorphCore.evaluation.released_latents import run_released_latents


def head(size):
    """Nested ellipsoids of a head of that size, 24 voxels of 8 mm a side."""
    grid = (np.indices((24, 24, 24)) - 11.5) / np.array([9, 10, 8.5])[:, None, None, None] / size
    distance = np.sqrt((grid**2).sum(0))
    folded = distance + 0.08 * np.sin(9 * grid[0]) * np.cos(8 * grid[1]) * np.sin(7 * grid[2])
    return np.select([folded < 0.3, folded < 0.75, folded < 0.85, folded < 1], [40, 140, 90, 220], 0).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    for number, person in enumerate(person for people in PEOPLE.values() for person in people):
        image = sitk.GetImageFromArray(head(1 + 0.02 * number))
        image.SetSpacing((8.0,) * 3)
        for kind in ("t1", "flair"):
            sitk.WriteImage(image, str(tmp_path / f"{person}_{kind}.nii.gz"))
        for kind in ("labels", "labels_flair"):
            sitk.WriteImage(sitk.Cast(image > 100, sitk.sitkInt16), str(tmp_path / f"{person}_{kind}.nii.gz"))
    return tmp_path


def test_one_contrast_twice_has_one_latent_and_one_field(folder, tmp_path):
    out = tmp_path / "out"
    options = ["--data", str(folder), "--out", str(out), "--pairs", "1", "--threads", "1", "--device", "cpu"]
    assert main(["latents", *options]) == 0
    page = (out / "latents.md").read_text(encoding="utf-8")
    assert "| correlation of | default3d | canonical3d |" in page and "Mean over 1 pairs" in page
    with open(out / "latents.csv", newline="") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"default3d", "canonical3d"}
    for row in rows.values():
        assert float(row["two_images"]) > 0.98 and float(row["two_contrasts"]) > 0.9
        assert float(row["other_end"]) < 0.25 and 0.7 < float(row["two_contrasts_locally"]) <= 1
        assert float(row["anchored_0"]) == 0 and float(row["faithful_1"]) > 0.05
        assert float(row["anchored_1"]) == pytest.approx(float(row["faithful_1"]), rel=1e-4)


def test_models_without_a_latent_of_volumes_are_refused(folder, tmp_path):
    for name in ("default2d", "voxelmorph3d"):
        with pytest.raises(DiffuseMorphError, match=name):
            run_released_latents(folder, tmp_path / "out", models=(name,))
