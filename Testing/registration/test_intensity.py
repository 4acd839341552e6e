"""What intensities mean: Hounsfield units are told from other signed numbers, the background from the object."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore import DiffuseMorphError, register
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.intensity import find_background, intensity_range, outside_value
from DiffuseMorphCore.registration.prepare import prepare


def like(array, image, kind=np.float32):
    result = sitk.GetImageFromArray(np.asarray(array).astype(kind))
    result.CopyInformation(image)
    return result


def array(image):
    return sitk.GetArrayFromImage(image).astype(np.float64)


def thorax(padding=None, noise=12.0):
    """Hounsfield units of a body with lungs and bone in air, as a scanner gives them, `padding` outside its circle."""
    random = np.random.default_rng(0)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in (24, 64, 64)], indexing="ij")
    values = np.full(z.shape, -1000.0)
    values[(x / 0.8) ** 2 + (y / 0.6) ** 2 < 1] = 40
    values[((np.abs(x) - 0.35) / 0.25) ** 2 + (y / 0.4) ** 2 < 1] = -850
    values[x**2 + (y - 0.4) ** 2 < 0.01] = 700
    values = np.round(values + random.normal(0, noise, values.shape))
    if padding is not None:
        values[x**2 + y**2 > 1] = padding
    return values.astype(np.int16)


@pytest.mark.parametrize("padding", [None, -1024, -2000, -3024, -2048, -32768])
def test_hounsfield_units_are_recognised_with_any_padding(padding):
    values = np.maximum(thorax(padding), -1024 if padding == -1024 else -32768)
    values[10, 30, 30] = 3071  # a clip of metal
    assert intensity_range(values, find_background(values)) == (-1000, 1000)


@pytest.mark.parametrize("low, high", [(-32768, 32767), (-4096, 4094), (-500, 2000), (-2000, 2000), (-0.3, 0.4)])
def test_signed_numbers_that_are_no_hounsfield_units_keep_their_range(pair_3d, low, high):
    for image in pair_3d:
        values = low + array(image) / 215 * (high - low)
        kept = intensity_range(values, find_background(values))
        assert kept[0] == pytest.approx(values.min()) and kept[1] > low + 0.9 * (values.max() - low)


def test_susceptibility_maps_around_zero_keep_both_signs():
    random = np.random.default_rng(1)
    values = np.zeros((40, 40, 40))
    values[8:32, 8:32, 8:32] = random.normal(0, 800, (24, 24, 24))
    low, high = intensity_range(values, find_background(values))
    assert low < -2000 and high > 2000


def test_the_modality_of_dicom_decides_where_it_is_known():
    values = thorax()
    assert intensity_range(values, modality="MR") != (-1000, 1000)
    soft = np.clip(values, -100, 3000) + 0
    assert intensity_range(soft, modality="CT") == (-100, 1000 if soft.max() > 1000 else soft.max())
    image = sitk.GetImageFromArray(np.where(values > 600, 3000, values))
    image.SetMetaData("0008|0060", "CT")
    assert float(prepare(image, "image").values[0, 0][values == 40].mean()) == pytest.approx(0.52, abs=1e-3)


def test_full_range_numbers_are_registered_as_well_as_others(textured_pair_3d):
    found = {}
    for low, high in ((0, 1000), (-32768, 32767), (-4096, 4094)):
        images = [
            like(np.round(low + np.clip(array(image), 0, 300) / 300 * (high - low)), image, np.int16)
            for image in textured_pair_3d
        ]
        found[low] = register(*images, model=None, align="none").path.end.on(Grid.of(images[0])).vectors()
    object_ = array(textured_pair_3d[0]) > 60
    for low in (-32768, -4096):
        assert np.linalg.norm(found[low] - found[0], axis=-1)[object_].mean() < 0.25, "millimetres"


def test_a_given_range_takes_the_place_of_the_guess(pair_2d):
    fixed, moving = pair_2d
    spoiled = array(moving)
    spoiled[5:9, 5:40] = 1e6  # burnt into the picture
    spoiled = like(spoiled, moving)
    kept = register(fixed, spoiled, model=None, align="none", intensity_range=(0, 200))
    both = register(fixed, spoiled, model=None, align="none", intensity_range=(0, 200), moving_intensity_range=(0, 200))
    np.testing.assert_array_equal(kept.vectors(), both.vectors())
    assert kept.report["settings"]["intensity_range"] == (0, 200)
    scan = prepare(spoiled, "image", window=(0, 100))
    np.testing.assert_allclose(scan.values[0, 0].numpy(), np.clip(array(spoiled) / 100, 0, 1), atol=1e-6)


@pytest.mark.parametrize("wrong", [(5, 5), (7, 3), (0,), "0 1", (0, float("nan")), (1, 2, 3), 5])
def test_a_range_that_makes_no_sense_is_refused(pair_2d, wrong):
    with pytest.raises(DiffuseMorphError, match="intensity_range .* two finite numbers"):
        register(*pair_2d, model=None, intensity_range=wrong)


def test_a_range_without_the_image_is_refused(pair_2d):
    with pytest.raises(DiffuseMorphError, match="fixed image has only one value between the intensities 500 and 600"):
        register(*pair_2d, model=None, intensity_range=(500, 600))


BACKGROUNDS = {
    "dark": lambda x: x,
    "white": lambda x: 255 - x,
    "z-score": lambda x: np.where(x > 5, (x - 100) / 40, 0),
    "noisy dark": lambda x: x + np.abs(np.random.default_rng(0).normal(0, 3, x.shape)),
    "noisy white": lambda x: 250 - x - np.abs(np.random.default_rng(0).normal(0, 3, x.shape)),
}
VALUES = {"dark": 0, "white": 255, "z-score": 0, "noisy dark": 2, "noisy white": 248}


@pytest.mark.parametrize("kind", BACKGROUNDS)
@pytest.mark.parametrize("ndim", [2, 3])
def test_the_background_is_what_the_border_shows(pair_2d, pair_3d, kind, ndim):
    image = (pair_2d if ndim == 2 else pair_3d)[0]
    values = np.where(array(image) < 5, 0, array(image))
    changed = like(BACKGROUNDS[kind](values), image)
    assert outside_value(changed) == pytest.approx(VALUES[kind], abs=0.5)
    scan = prepare(changed, "image")
    corner = float(scan.values[0, 0].flatten()[0])
    assert scan.background == pytest.approx(corner, abs=0.05)
    assert kind == "z-score" or scan.background < 0.05, "a bright background is turned into a dark one"


def test_an_image_without_background_falls_back_on_its_lowest_value():
    values = np.random.default_rng(0).uniform(10, 90, (30, 40))
    assert outside_value(sitk.GetImageFromArray(values)) == values.min()


def shifted(image, millimetres):
    return sitk.Resample(
        image, image, sitk.TranslationTransform(2, (millimetres,) * 2), sitk.sitkLinear, outside_value(image)
    )


@pytest.mark.parametrize("kind", ["white", "z-score", "noisy white"])
def test_the_moved_image_has_no_frame(pair_2d, kind):
    fixed, moving = (like(BACKGROUNDS[kind](np.where(array(image) < 5, 0, array(image))), image) for image in pair_2d)
    moving = shifted(moving, 6.0)[3:-3, 3:-3]
    result = register(fixed, moving, model=None)
    moved = array(result.warp())
    assert np.abs(moved - array(fixed))[:3].max() < 0.05 * np.ptp(array(fixed))
    for eta in (0.0, 0.5):
        assert np.abs(array(result.warp(eta=eta)) - array(fixed))[:3].max() < 0.05 * np.ptp(array(fixed))


def test_white_is_registered_as_well_as_black(pair_2d):
    inverted = [like(200 - array(image), image) for image in pair_2d]
    black, white = (array(register(*images, model=None).warp()) - array(images[0]) for images in (pair_2d, inverted))
    assert np.sqrt((white**2).mean()) < 1.1 * np.sqrt((black**2).mean())


def test_a_fill_value_takes_the_place_of_the_background(pair_2d):
    fixed, moving = (sitk.Cast(image, sitk.sitkUInt8) for image in pair_2d)
    start = sitk.TranslationTransform(2, (30.0, 0.0))
    result = register(fixed, moving, model=None, align="none", refine=0, initial_transform=start, fill=77)
    assert (array(result.warp())[:, -20:] == 77).all() and result.report["settings"]["fill"] == 77
    assert (array(result.warp(fill=5))[:, -20:] == 5).all()
    assert (array(result.warp(moving + 0))[:, -20:] == 0).all()
    for wrong, words in (
        (300, "does not fit"),
        (0.5, "does not fit"),
        (-1, "does not fit"),
        (float("nan"), "finite"),
        ("white", "finite"),
    ):
        with pytest.raises(DiffuseMorphError, match=words):
            register(fixed, moving, model=None, fill=wrong)
    with pytest.raises(DiffuseMorphError, match="whose numbers end at 3.4"):
        result.warp(sitk.Cast(moving, sitk.sitkFloat32), fill=1e300)
