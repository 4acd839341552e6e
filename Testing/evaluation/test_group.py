"""A template of labelled people, scored: overlap of any two against the definition, and a run from end to end."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.evaluation.group import met, run_group
from DiffuseMorphCore.images import dice_of_each, write_image


def test_any_two_people_are_compared_over_the_structures_that_both_have():
    random = np.random.default_rng(0)
    maps = [random.integers(0, 5, (6, 7, 8)).astype(np.uint16) * 10 for _ in range(3)]
    maps[2][maps[2] == 40] = 0
    found = met(maps, [10, 20, 40])
    expected = []
    for one, other in ((0, 1), (0, 2), (1, 2)):
        each = dice_of_each(maps[one], maps[other])
        shared = [label for label in (10, 20, 40) if (maps[one] == label).any() and (maps[other] == label).any()]
        expected.append(np.mean([each[label] for label in shared]))
    np.testing.assert_allclose(found, expected)


@pytest.fixture()
def people(pair_3d, tmp_path):
    """Three made people in the form of the labelled brains."""
    third = sitk.Resample(pair_3d[1], pair_3d[1], sitk.TranslationTransform(3, (4.0, -3.0, 2.0)), sitk.sitkLinear)
    for name, image in zip(("1", "2", "3"), (*pair_3d, third)):
        write_image(image, tmp_path / f"{name}_t1.nii.gz")
        write_image(sitk.Cast(image > 60, sitk.sitkUInt8), tmp_path / f"{name}_labels.nii.gz")
    (tmp_path / "labels.csv").write_text("label,name\n1,all\n")
    return tmp_path


def test_the_page_holds_what_was_measured(people, tmp_path):
    page = run_group(people, tmp_path / "out", rounds=1, threads=1).read_text(encoding="utf-8")
    assert "3 people, 3 pairs" in page and "| affine mean |" in page and "| template |" in page
    assert (tmp_path / "out" / "template.nii.gz").exists() and (tmp_path / "out" / "template.csv").exists()
