"""Lesions made in a healthy brain: what is made, what is measured, and that ignoring a lesion keeps it as it is."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from DiffuseMorphCore.evaluation import lesion
from DiffuseMorphCore.evaluation.__main__ import main
from DiffuseMorphCore.sample_pair import sample_pair

LESION = lesion.MadeLesion("dark", (-30.0, -15.0, 30.0), 15.0, 0.1)


@pytest.fixture(scope="module")
def pair():
    """The demo's brains on voxels of 4 mm."""
    return tuple(sitk.BinShrink(sitk.ReadImage(str(path), sitk.sitkFloat32), (2, 2, 2)) for path in sample_pair())


def test_a_lesion_lies_where_it_is_said_to_and_changes_nothing_else(pair):
    moving = pair[1]
    image, mask = LESION.into(moving), sitk.GetArrayFromImage(LESION.mask(moving, 6.0)) > 0
    before, after = (sitk.GetArrayFromImage(each) for each in (moving, image))
    np.testing.assert_allclose(after[~mask], before[~mask], atol=0.01)
    middle = moving.TransformPhysicalPointToIndex(LESION.centre)
    assert image[middle] < 0.2 * moving[middle]
    points = np.argwhere(sitk.GetArrayFromImage(LESION.mask(moving)))[:, ::-1].tolist()
    reach = [np.subtract(moving.TransformIndexToPhysicalPoint(point), LESION.centre) for point in points]
    assert LESION.radius - 4 < np.linalg.norm(reach, axis=1).max() < 2 * LESION.radius
    assert np.abs(np.mean(reach, axis=0)).max() < LESION.radius / 2


def test_an_ignored_lesion_keeps_its_volume_and_misleads_less(tmp_path, pair, monkeypatch, capsys):
    for path, image in zip(("fixed.nii.gz", "moving.nii.gz"), pair):
        sitk.WriteImage(image, str(tmp_path / path))
    monkeypatch.setattr(lesion, "sample_pair", lambda: (tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz"))
    monkeypatch.setitem(lesion.run_lesion.__kwdefaults__, "lesions", (LESION,))
    out = tmp_path / "out"
    command = ["lesion", "--out", str(out), "--threads", "1", "--quality", "fast", "--model", "none"]
    assert main(command) == 0
    page = capsys.readouterr().out
    with open(out / "lesion.csv", newline="") as file:
        plain, ignored = csv.DictReader(file)
    assert (plain[""], ignored[""]) == (lesion.PLAIN, lesion.IGNORED) and "dark: ignored" in page
    assert float(plain["volume"]) < 0.7 and 0.9 < float(ignored["volume"]) < 1.1
    assert float(ignored["sd_log_jacobian"]) < 0.1 < float(plain["sd_log_jacobian"])
    assert float(ignored["error inside"]) < 0.8 * float(plain["error inside"])
    assert float(ignored["folded"]) == 0
    picture = np.asarray(Image.open(out / "lesion.png").convert("RGB")).astype(int)
    red = (picture[..., 0] > 220) & (picture[..., 1] < 110) & (picture[..., 2] < 110)
    columns = [int(part.sum()) for part in np.array_split(red[: 2 * len(red) // 3], 4, axis=1)]
    assert columns[0] == 0 and min(columns[1:]) > 50 and columns[3] > columns[2]  # red: the lesion itself
    monkeypatch.setattr(lesion, "register", None)  # nothing is registered again
    assert main(command) == 0 and capsys.readouterr().out == page
