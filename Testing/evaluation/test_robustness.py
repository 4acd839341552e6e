"""Disturbances take every point where they say, and the table counts what survives them."""

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.evaluation.__main__ import main
from DiffuseMorphCore.evaluation.disturbances import (
    DISTURBANCES,
    bias,
    both,
    cropped,
    lesion,
    offset,
    rotation,
    surrounded,
    thick_slices,
    windowed,
)
from DiffuseMorphCore.evaluation.robustness import centroid_error, centroids, coarser, success_limits


def blob():
    image = sitk.GaussianSource(
        sitk.sitkFloat32,
        [40, 44, 48],
        sigma=[4.0] * 3,
        mean=[20.0, 24.0, 40.0],
        scale=100.0,
        origin=[1.0, 2.0, 3.0],
        spacing=[1.0, 1.0, 1.5],
    )
    return image, np.array([20.0, 24.0, 40.0])


def centre_of_mass(image):
    array = sitk.GetArrayFromImage(image)
    index = [float((axis * array).sum() / array.sum()) for axis in np.indices(array.shape)][::-1]
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index))


@pytest.mark.parametrize(
    "change",
    [
        offset(30.0),
        rotation(35.0),
        thick_slices(3.0),
        cropped(0.9),
        windowed(0.95),
        surrounded(10.0),
        both(rotation(40.0), offset(60.0)),
    ],
)
def test_points_go_where_the_disturbance_says(change):
    image, middle = blob()
    changed, places = change(image, np.random.default_rng(1))
    assert centre_of_mass(changed) == pytest.approx(np.array(places.TransformPoint(middle.tolist())), abs=0.6)


def test_how_strong_each_disturbance_is():
    image, middle = blob()
    random = np.random.default_rng(0)
    _, places = offset(30.0)(image, random)
    assert np.linalg.norm(np.array(places.TransformPoint(middle.tolist())) - middle) == pytest.approx(30)
    turned, _ = rotation(90.0)(image, random)
    assert np.trace(np.array(turned.GetDirection()).reshape(3, 3)) == pytest.approx(1, abs=1e-6)
    assert cropped(0.5)(image, random)[0].GetSize() == (40, 44, 24)
    assert windowed(0.75)(image, random)[0].GetSize() == (30, 33, 36)
    assert surrounded(6.0)(image, random)[0].GetSize() == (52, 56, 56)
    assert thick_slices(4.0)(image, random)[0].GetSpacing() == pytest.approx((1, 1, 6))
    ratio = np.log(sitk.GetArrayFromImage(bias(0.7)(image, random)[0]) / sitk.GetArrayFromImage(image))
    assert np.abs(ratio).max() == pytest.approx(0.7, abs=1e-3)
    bright = sitk.GetArrayFromImage(lesion(6.0)(image, random)[0]) - sitk.GetArrayFromImage(image)
    assert (bright > 10).sum() * 1.5 == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.35)


def test_the_error_is_a_distance_in_millimetres():
    array = np.zeros((10, 10, 10), np.uint8)
    array[2:4, 2:4, 2:4], array[6:8, 6:8, 6:8] = 1, 5
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((2.0, 2.0, 2.0))
    found = centroids(image, {1: "a", 5: "b", 9: "c"})
    assert set(found) == {1, 5} and found[1] == pytest.approx([5, 5, 5])
    shifted = {label: centre + (3, 0, 0) for label, centre in found.items()}
    off = sitk.TranslationTransform(3, (3.0, 4.0, 0.0))
    moved = {1: found[1] + (0, 0, 2)}
    assert centroid_error(found, moved, off, shifted) == pytest.approx((2 + 4) / 2), (
        "5 got lost: its centre is 4 mm off"
    )
    assert centroid_error(found, found, off, {1: shifted[1]}) == 0


def test_coarser_voxels_keep_the_image_in_place():
    image, _ = blob()
    small = coarser(image, 2.0)
    assert small.GetSize() == (20, 22, 36)
    assert centre_of_mass(small) == pytest.approx(centre_of_mass(image), abs=0.1)
    assert coarser(image, 0.1).GetSize() == image.GetSize() and coarser(image, None) is image


def test_success_is_judged_by_the_methods_own_error_unless_that_is_a_failure():
    errors = {("good", "a"): 2.0, ("fair", "a"): 3.0, ("lost", "a"): 50.0, ("good", "b"): 0.3, ("fair", "b"): 0.9}
    rows = [
        {"method": method, "case": case, "disturbance": "none", "error_mm": error}
        for (method, case), error in errors.items()
    ]
    assert success_limits(rows) == {
        ("good", "a"): 4,
        ("fair", "a"): 6,
        ("lost", "a"): 4,
        ("good", "b"): 2,
        ("fair", "b"): 2,
    }


def test_the_table_of_a_small_run(tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    lines = ["person,slice,end_diastole,end_diastole_label,end_systole,end_systole_label"]
    grid = np.indices((40, 40))
    for person in range(7):
        names = [f"p{person}_{kind}.png" for kind in ("ed", "ed_lv", "es", "es_lv")]
        for phase, radius in enumerate((9, 7)):
            disc = ((grid - 20) ** 2).sum(0) < radius**2
            body = np.where(((grid - 20) ** 2).sum(0) < 17**2, 60 + 20 * np.sin(grid[0] / 3) * np.cos(grid[1] / 2), 0)
            sitk.WriteImage(
                sitk.GetImageFromArray(np.where(disc, 220, body).astype(np.uint8)), str(data / names[2 * phase])
            )
            sitk.WriteImage(sitk.GetImageFromArray(disc.astype(np.uint8) * 255), str(data / names[2 * phase + 1]))
        lines.append(f"p{person},1,{','.join(names)}")
    (data / "pairs.csv").write_text("\n".join(lines) + "\n")
    where = ["--data", str(data), "--out", str(out), *"--pairs 1 --threads 1 --device cpu".split()]
    assert main([*"robustness heart".split(), *where, *"--methods initial,affine --spacing 1".split()]) == 0
    table = {
        line.split("|")[1].strip(): line.split("|")[2:4]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("|")
    }
    assert table["none"][0].startswith(" 1/1") and table["60 mm away"][0].startswith(" 0/1")
    assert table["60 mm away"][1].startswith(" 1/1")
    assert set(table) >= {kind.name for kind in DISTURBANCES}
