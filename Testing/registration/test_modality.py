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
from DiffuseMorphCore.registration.modality import choose_modality, signed_correlation, tissue_profile
from DiffuseMorphCore.similarity import ImagePair
from DiffuseMorphCore.warp import smooth

GRID = Grid((40, 40, 40), (2.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel()))


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


def test_a_profile_says_how_bright_fluid_grey_and_white_matter_are():
    canonical = torch.zeros(1, 1, 30, 30, 30)
    canonical[..., :10], canonical[..., 10:20], canonical[..., 20:] = 0.12, 0.62, 1.0
    weights = {"T1": (0.1, 0.5, 0.9), "FLAIR": (0.1, 0.7, 0.6), "T2": (0.9, 0.5, 0.3)}
    profiles = {}
    for name, (fluid, grey, white) in weights.items():
        image = torch.where(canonical < 0.3, fluid, torch.where(canonical < 0.8, grey, white))
        profiles[name] = tissue_profile(image, canonical)
        assert profiles[name] == pytest.approx(
            (
                (grey - fluid) / (max(weights[name]) - min(weights[name])),
                (white - grey) / (max(weights[name]) - min(weights[name])),
            ),
            abs=1e-5,
        )
    assert math.dist(profiles["T1"], profiles["FLAIR"]) > 0.3
    assert tissue_profile(canonical, torch.full_like(canonical, 0.3)) is None
    assert tissue_profile(torch.full_like(canonical, 0.5), canonical) is None


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


BRIGHTNESS = {"T1": (0.1, 0.5, 0.9), "FLAIR": (0.1, 0.7, 0.72), "T2": (0.9, 0.5, 0.3)}  # fluid, grey, white


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
    canonical = torch.zeros(1, 1, 40, 40, 40)
    canonical[..., :10], canonical[..., 10:20], canonical[..., 20:] = 0.12, 0.62, 1.0
    shared = 2.5 * (tissue() - 0.5) * (torch.arange(40) < 16)[:, None, None]
    images = []
    for contrast in contrasts:
        fluid, grey, white = BRIGHTNESS[contrast]
        image = torch.where(canonical < 0.3, fluid, torch.where(canonical < 0.8, grey, white))
        images.append(torch.where(shared != 0, 0.5 + shared, image).clamp(0, 1))
    seen = torch.where(shared != 0, 0.3, canonical)
    monkeypatch.setattr(
        "DiffuseMorphCore.registration.modality.with_canonical",
        lambda model, pair, grid: replace(pair, fixed_canonical=seen, moving_canonical=seen),
    )
    noisy = images[1] + 0.1 * torch.randn(images[1].shape)
    chosen = choose_modality(ImagePair(images[0], noisy), replace(GRID, spacing=(4.0,) * 3), lambda: "a model")
    assert chosen.name == expected and chosen.profile_distance is not None


def test_tissues_clearly_apart_overrule_a_high_correlation(monkeypatch):
    """As T1 and FLAIR of one person have it; a little apart they do not."""
    image = tissue()
    pair = ImagePair(image, (image + 0.06 * torch.randn(image.shape)).clamp(0, 1))
    monkeypatch.setattr("DiffuseMorphCore.registration.modality.with_canonical", lambda model, pair, grid: pair)
    for distance, expected in ((0.25, "different"), (0.1, "same"), (None, "same")):
        monkeypatch.setattr(
            "DiffuseMorphCore.registration.modality.profile_distance", lambda pair, distance=distance: distance
        )
        chosen = choose_modality(pair, replace(GRID, spacing=(4.0,) * 3), lambda: "a model")
        assert 0.75 < chosen.correlation < 0.98 and chosen.name == expected


@pytest.mark.parametrize(
    "fixed, moving",
    [
        ("04_t1", "07_flair"),
        ("11_t1", "04_flair"),
        ("04_t1", "04_flair"),  # one person: correlation .91
        ("11_t1", "11_flair"),
    ],
)
def test_t1_and_flair_of_real_heads_are_different(shared_data, fixed, moving):
    folder = shared_data / "brain-t1-flair"
    if not folder.is_dir():
        pytest.skip(f"needs the images for testing: '{folder}' is not there")
    images = [sitk.ReadImage(str(folder / f"{name}.nii.gz")) for name in (fixed, moving)]
    assert register(*images, model=None, refine=0).options.modality == "different"


def test_the_brains_of_the_demo_have_one_contrast(sample_pair):
    result = register(*sample_pair, model=None, refine=0)
    assert result.options.modality == "same" and result.report["modality"]["correlation"] > 0.75
