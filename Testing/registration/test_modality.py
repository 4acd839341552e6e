"""Which contrasts two aligned images have: told from the images, said in the report, and acted on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore import register
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.modality import (
    choose_modality,
    contrast_direction,
    directions_apart,
    signed_correlation,
)
from DiffuseMorphCore.similarity import ImagePair
from DiffuseMorphCore.warp import smooth

GRID = Grid((40, 40, 40), (2.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel()))


BRIGHTNESS = {"T1": (0.1, 0.5, 0.9), "FLAIR": (0.1, 0.7, 0.72), "T2": (0.9, 0.5, 0.3)}  # fluid, grey, white


def tissue(seed=0):
    torch.manual_seed(seed)
    image = smooth(torch.rand(1, 1, 40, 40, 40), 1.5)
    return 0.2 + 0.8 * (image - image.amin()) / (image.amax() - image.amin())


def no_model():
    return None


def test_the_correlation_is_signed_and_in_range():
    image = tissue()
    assert signed_correlation(ImagePair(image, image)) == pytest.approx(1, abs=1e-3)
    assert signed_correlation(ImagePair(image, 0.5 * image + 0.3)) == pytest.approx(1, abs=1e-3)
    assert signed_correlation(ImagePair(image, 1.2 - image)) == pytest.approx(-1, abs=1e-3)
    assert abs(signed_correlation(ImagePair(image, tissue(1)))) < 0.15
    assert signed_correlation(ImagePair(image, torch.full_like(image, 0.5))) == 0


def test_what_a_mask_leaves_out_has_no_part_in_it():
    image, mask = tissue(), torch.ones(1, 1, 40, 40, 40)
    mask[..., 20:] = 0
    moving = torch.where(mask > 0, image, 1.2 - image)
    assert signed_correlation(ImagePair(image, moving)) < 0.5
    assert signed_correlation(ImagePair(image, moving, moving_mask=mask)) > 0.9


@pytest.mark.parametrize("gain, expected", [(1.0, "same"), (-1.0, "different")])
def test_without_a_model_the_sign_decides(gain, expected):
    image = tissue()
    noisy = 0.6 + gain * (image - 0.6) + 0.06 * torch.randn(image.shape)
    chosen = choose_modality(ImagePair(image, noisy.clamp(0, 1)), GRID, no_model)
    assert chosen.name == expected and f"{chosen.correlation:.2f}" in chosen.reason


def test_nobody_is_asked_where_brightness_tells_or_no_head_fits():
    def asked():
        raise AssertionError("a model was asked for")

    image = tissue()
    assert choose_modality(ImagePair(image, image), replace(GRID, spacing=(4.0,) * 3), asked).name == "same"
    assert choose_modality(ImagePair(image, tissue(1)), GRID, asked).name == "different"


def tissues(brightness, size=30):
    """Layers of fluid, grey and white matter, many times: (canonical, image of that brightness), (1, 1, size³)."""
    canonical = torch.zeros(1, 1, size, size, size)
    layer = torch.arange(size) % 12 // 3  # three voxels each: fluid, grey, white, grey
    image = canonical.clone()
    for index, (value, own) in enumerate(zip((0.12, 0.62, 1.0, 0.62), (*brightness, brightness[1]))):
        canonical[..., layer == index], image[..., layer == index] = value, own
    return canonical, image


def test_a_direction_says_how_brightness_follows_from_fluid_over_grey_to_white_matter():
    directions = {}
    for name, (fluid, grey, white) in BRIGHTNESS.items():
        canonical, image = tissues((fluid, grey, white))
        expected = math.degrees(math.atan2((grey - fluid) / 0.5, (white - grey) / 0.38))
        directions[name] = contrast_direction(image, canonical)
        assert directions[name] == pytest.approx(expected, abs=0.1)
        ramp = torch.linspace(0.8, 1.2, 30)[:, None, None]
        assert contrast_direction(0.3 * image * ramp + 0.2, canonical) == pytest.approx(expected, abs=0.5)
    assert contrast_direction(canonical, canonical) == pytest.approx(45)
    assert directions["T1"] < 45 < directions["FLAIR"] - 30 and directions["T2"] < -90
    assert contrast_direction(canonical, torch.full_like(canonical, 0.3)) is None
    assert contrast_direction(torch.full_like(canonical, 0.5), canonical) is None
    torch.manual_seed(0)
    assert contrast_direction(torch.rand_like(canonical), canonical) is None


def test_the_choice_is_made_by_default_said_and_kept_with_the_result(textured_pair_3d):
    fixed, moving = textured_pair_3d
    same = register(fixed, moving, model=None, refine=1)
    assert same.report["settings"]["modality"] == "auto"
    assert same.report["modality"]["name"] == same.options.modality == "same"
    everywhere = GRID.image(tissue()[0, 0])
    different = register(everywhere, 1.2 - everywhere, model=None, refine=1, align="none")
    assert different.options.modality == "different" and "correlation" in different.report["modality"]["reason"]
    asked = register(fixed, moving, model=None, refine=1, modality="different")
    assert asked.report["modality"] == {"name": "different", "reason": "as asked for"}


@pytest.mark.parametrize(
    "contrasts, expected",
    [
        (("T1", "T1"), "same"),
        (("FLAIR", "FLAIR"), "same"),
        (("T1", "FLAIR"), "different"),
        (("FLAIR", "T1"), "different"),
        (("FLAIR", "T2"), "different"),
    ],
)
def test_in_heads_the_tissues_decide_whatever_the_boundaries_say(monkeypatch, contrasts, expected):
    """The canonical images are given, as what the network makes of slabs is another matter; boundaries of bone and fat
    that both contrasts share are what makes T1 and FLAIR of one person correlate."""
    shared = 2.5 * (tissue() - 0.5) * (torch.arange(40) < 12)[:, None, None]
    images = []
    for contrast in contrasts:
        canonical, image = tissues(BRIGHTNESS[contrast], 40)
        images.append(torch.where(shared != 0, 0.5 + shared, image).clamp(0, 1))
    seen = torch.where(shared != 0, 0.3, canonical)
    monkeypatch.setattr(
        "DiffuseMorphCore.registration.modality.with_canonical",
        lambda model, pair, grid: replace(pair, fixed_canonical=seen, moving_canonical=seen),
    )
    noisy = images[1] + 0.1 * torch.randn(images[1].shape)
    chosen = choose_modality(ImagePair(images[0], noisy), replace(GRID, spacing=(4.0,) * 3), lambda: "a model")
    assert chosen.name == expected and chosen.directions_apart is not None


def test_what_only_one_image_shows_has_no_part_in_the_directions():
    """Beyond the field of view of a moved image its border is repeated."""
    canonical, image = tissues(BRIGHTNESS["T1"], 40)
    beyond = torch.arange(40) < 22
    moving = torch.where(beyond[:, None], tissues(BRIGHTNESS["T2"], 40)[1], image)
    pair = ImagePair(image, moving, fixed_canonical=canonical, moving_canonical=canonical)
    grid = replace(GRID, spacing=(3.0,) * 3)
    seen = (~beyond[:, None]).to(image).expand_as(image)
    assert directions_apart(pair, grid) > 10
    assert directions_apart(replace(pair, moving_mask=seen), grid) < 0.5
    assert directions_apart(replace(pair, moving_mask=0 * seen), grid) is None


def test_tissues_clearly_apart_overrule_a_high_correlation(monkeypatch):
    """As T1 and FLAIR of one person have it; a little apart they do not."""
    image = tissue()
    pair = ImagePair(image, (image + 0.06 * torch.randn(image.shape)).clamp(0, 1))
    monkeypatch.setattr("DiffuseMorphCore.registration.modality.with_canonical", lambda model, pair, grid: pair)
    for apart, expected in ((15.0, "different"), (7.0, "same"), (None, "same")):
        monkeypatch.setattr("DiffuseMorphCore.registration.modality.directions_apart", lambda *_, apart=apart: apart)
        chosen = choose_modality(pair, replace(GRID, spacing=(4.0,) * 3), lambda: "a model")
        assert 0.75 < chosen.correlation < 0.98 and chosen.name == expected


@pytest.mark.parametrize(
    "fixed, moving, expected",
    [
        ("04_t1", "07_flair", "different"),
        ("04_t1", "04_flair", "different"),  # one person: correlation .91
        ("04_t1", "11_t1", "same"),  # correlation .5
        ("07_flair", "04_flair", "same"),
    ],
)
def test_contrasts_of_real_heads_are_told_apart(shared_data, fixed, moving, expected):
    folder = shared_data / "brain-t1-flair"
    if not folder.is_dir():
        pytest.skip(f"needs the images for testing: '{folder}' is not there")
    images = [sitk.ReadImage(str(folder / f"{name}.nii.gz")) for name in (fixed, moving)]
    assert register(*images, model=None, refine=0).options.modality == expected


def test_the_brains_of_the_demo_have_one_contrast(sample_pair):
    result = register(*sample_pair, model=None, refine=0)
    assert result.options.modality == "same" and result.report["modality"]["correlation"] > 0.75
