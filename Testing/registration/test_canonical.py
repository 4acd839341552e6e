"""The canonical contrast: whatever the order of axes, the network sees one anatomy, and everything it drives keeps
working."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore import register
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.networks import DiffuseMorph, load_model, save_model
from DiffuseMorphCore.registration import synthesize_image
from DiffuseMorphCore.registration.canonical import NetworkFrame, with_canonical
from DiffuseMorphCore.registration.predict import drawn_trajectory, predict, trajectory
from DiffuseMorphCore.similarity import TERMS, ImagePair, Similarity


@pytest.fixture(scope="module")
def model(small_model) -> DiffuseMorph:
    """An untrained model whose latent is a mixture of four tissues, on blocks of two voxels."""
    configuration = small_model().configuration
    diffusion = replace(configuration.diffusion, patch=2, tissues=(0.0, 0.3, 0.6, 1.0))
    torch.manual_seed(0)
    made = DiffuseMorph(replace(configuration, diffusion=diffusion, working_side=24))
    made.deformation.exit.weight.data.mul_(300)
    made.diffusion.exit.weight.data.mul_(20)  # so that the shares of tissue differ from voxel to voxel
    return made.eval()


def stored(image: sitk.Image, code: str) -> sitk.Image:
    return sitk.DICOMOrient(image, code)


@pytest.mark.parametrize("code", ["LPS", "RAS", "PIR", "SLA", "ASR"])
def test_the_frame_is_lps_and_is_undone(pair_3d, code):
    image = stored(pair_3d[0], code)
    frame = NetworkFrame.of(Grid.of(image), (1.0, 5.0))
    values = torch.from_numpy(sitk.GetArrayFromImage(image))[None, None]
    expected = torch.from_numpy(sitk.GetArrayFromImage(stored(image, "LPS")))[None, None]
    assert torch.equal(frame.into(values), expected)
    assert torch.equal(frame.back(frame.into(values)), values)


def test_the_frame_has_cubic_voxels_within_the_learnt_range():
    grid = Grid((40, 36, 8), (0.5, 0.5, 4.0), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel()))
    assert NetworkFrame.of(grid, (1.5, 3.0)).shape == (
        round(28 / 1.5) + 1,
        round(17.5 / 1.5) + 1,
        round(19.5 / 1.5) + 1,
    )
    assert NetworkFrame.of(grid, (0.1, 0.2)).shape == (141, 89, 99)


@pytest.mark.parametrize("code", ["RAI", "PSL"])
def test_the_order_of_the_voxels_in_memory_does_not_matter(model, pair_3d, code):
    moved = [
        sitk.GetArrayFromImage(
            stored(
                register(
                    stored(pair_3d[0], each),
                    stored(pair_3d[1], each),
                    model=model,
                    refine=3,
                    align="none",
                    modality="different",
                ).warp(),
                "LPS",
            )
        )
        for each in ("LPS", code)
    ]
    assert np.abs(moved[0] - moved[1]).mean() < 0.02 * np.ptp(moved[0])


def test_images_of_a_pair_get_canonical_ones_in_range(model):
    torch.manual_seed(1)
    pair, grid = (
        ImagePair(*torch.rand(2, 1, 1, 21, 18, 24)),
        Grid((24, 18, 21), (2.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel())),
    )
    seen = with_canonical(model, pair, grid)
    for image in (seen.fixed_canonical, seen.moving_canonical):
        assert image.shape == pair.fixed.shape and 0 <= float(image.min()) < float(image.max()) <= 1
    # Roles exchanged: the moving image's canonical image is what it has as the fixed one.
    swapped = with_canonical(model, ImagePair(pair.moving, pair.fixed), grid)
    assert torch.equal(seen.moving_canonical, swapped.fixed_canonical)
    path = predict(model, seen, grid, (0.0, 0.5, 1.0), "anchored")
    assert not path.at(0.0).values.any() and path.at(1.0).values.abs().max() > 0.01
    drawn = drawn_trajectory(model, seen, grid, 900, seed=1)
    assert not torch.equal(drawn.latent, trajectory(model, seen).latent)


def test_a_sum_leaves_out_terms_without_images_to_compare():
    pair = ImagePair(*torch.rand(2, 1, 1, 8, 8, 8))
    whole = Similarity(((1.0, TERMS["local_correlation"]), (2.0, TERMS["canonical_correlation"])))
    assert [weight for weight, _ in whole.for_pair(pair).terms] == [1.0]
    assert whole.for_pair(replace(pair, fixed_canonical=pair.fixed, moving_canonical=pair.moving)) == whole
    with pytest.raises(ValueError, match="canonical"):
        TERMS["canonical_correlation"].prepare(pair, torch.zeros(1, 3, 8, 8, 8), pair.shape)


def test_a_canonical_model_survives_its_file_synthesises_and_doubts(model, pair_3d, tmp_path):
    loaded = load_model(save_model(tmp_path / "canonical.pt", model, {"description": "test"}))
    assert loaded.is_canonical and loaded.configuration == model.configuration
    images = torch.rand(2, 1, 1, 16, 16, 16) * 2 - 1
    torch.testing.assert_close(loaded.latent(*images), model.latent(*images), atol=2e-2, rtol=0)
    drawn = sitk.GetArrayFromImage(synthesize_image(*pair_3d, model=loaded, start=20, steps=3, align="none"))
    assert drawn.shape == sitk.GetArrayFromImage(pair_3d[0]).shape and np.isfinite(drawn).all()
    result = register(*pair_3d, model=loaded, refine=2, align="none")
    assert np.isfinite(sitk.GetArrayFromImage(result.uncertainty(samples=1))).all()


def test_the_noise_estimate_is_what_is_left_of_x_t_without_the_canonical_image(model):
    moving, fixed, noisy = torch.rand(3, 1, 1, 16, 16, 16) * 2 - 1
    bar = float(model.schedule.alpha_bars[500])
    clean, noise = model.latent(moving, fixed, noisy, 500), model.noise(moving, fixed, noisy, 500)
    torch.testing.assert_close(bar**0.5 * clean + (1 - bar) ** 0.5 * noise, noisy, atol=1e-4, rtol=0)
