"""The option quality: finer grids for those who have the time, with the end finer than the way there."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore import register
from DiffuseMorphCore.evaluation.datasets.heart_cine import HeartCine
from DiffuseMorphCore.images import dice_of_each
from DiffuseMorphCore.options import QUALITIES, declared
from DiffuseMorphCore.registration import working_grid
from DiffuseMorphCore.registration.descent import RefinementSettings
from DiffuseMorphCore.registration.presets import LARGE_GRID, PRESETS, Preset
from DiffuseMorphCore.registration.saved import read_deformation, write_deformation
from DiffuseMorphCore.similarity import REFERENCE_VOXELS, fineness
from DiffuseMorphCore.similarity.term import fine_window
from DiffuseMorphCore.warp import folding


@pytest.fixture(scope="module")
def fine(pair_3d):
    """A registration whose end lies on a finer grid than its path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(working_grid.DELIVERED_VOXELS, 3, 8_000)
        return register(*pair_3d, model=None, quality="best", align="none")


def test_every_choice_is_a_preset_and_says_what_it_costs():
    assert set(QUALITIES) == set(PRESETS) == set(declared()["quality"].choices)
    assert all(text in declared()["quality"].help for text in QUALITIES.values())


def test_steps_that_are_asked_for_are_those_of_every_preset():
    for preset in PRESETS.values():
        assert preset.settings(7, (10**7, 1))[0] == 7
        assert preset.settings("auto", (LARGE_GRID, 1))[0] >= preset.settings("auto", (LARGE_GRID + 1, 1))[0]


@pytest.mark.parametrize("ndim", [2, 3])
def test_lengths_are_counted_in_voxels_on_coarse_grids_and_in_millimetres_on_fine_ones(ndim):
    side = round(REFERENCE_VOXELS[ndim] ** (1 / ndim))
    assert fineness((side // 2,) * ndim) == 1
    settings = RefinementSettings()
    assert settings.at(fineness((side // 2,) * ndim)) == settings.at(1.0)
    fine, finer = (settings.at(fineness((times * side,) * ndim)) for times in (2, 4))
    assert finer.force_smoothing == pytest.approx(2 * fine.force_smoothing)
    assert finer.field_smoothing == pytest.approx(2 * fine.field_smoothing)
    assert finer.log_jacobian_diffusion == pytest.approx(4 * fine.log_jacobian_diffusion)
    assert finer.largest_step == fine.largest_step
    windows = [fine_window(5, (times * side,) * ndim) for times in (0.5, 1, 2, 4)]
    assert windows[:2] == [5, 5] and all(size % 2 == 1 for size in windows)
    assert abs(windows[3] - 20) <= 1


def test_the_end_is_as_fine_as_the_image_and_folds_nowhere(pair_3d, fine):
    fixed = pair_3d[0]
    assert fine.report["grids"]["working"] == list(fixed.GetSize()) == fine.report["grids"]["delivered_at_eta_1"]
    assert np.prod(fine.report["grids"]["delivered"]) <= 8_000
    end = fine.path.finest
    assert np.prod(end.grid.size) > np.prod(fine.grid.size) and folding(end.values).share == 0
    assert fine.report["folding"]["share"] == 0


def test_the_way_ends_where_the_end_is(fine):
    end, way = (each.on(fine.region).vectors() for each in (fine.path.finest, fine.path.end))
    assert np.linalg.norm(end - way, axis=-1).mean() < 0.3 * np.linalg.norm(end, axis=-1).mean()
    assert torch.equal(fine.path.delivered(0.5).values, fine.path.at(0.5).values)


def test_transform_and_inverse_at_the_end_are_the_fine_ones(pair_3d, fine):
    forward, backward = fine.transform(), fine.inverse_transform()
    fixed = pair_3d[0]
    centre = np.array(fixed.TransformContinuousIndexToPhysicalPoint([size / 2 for size in fixed.GetSize()]))
    for offset in np.random.default_rng(0).uniform(-8, 8, (40, 3)):
        point = (centre + offset).tolist()
        assert np.linalg.norm(np.subtract(backward.TransformPoint(forward.TransformPoint(point)), point)) < 0.2
    moved = sitk.GetArrayFromImage(fine.warp())
    by_hand = sitk.Resample(pair_3d[1], fixed, forward, sitk.sitkLinear, 0.0, pair_3d[1].GetPixelID())
    assert (moved == sitk.GetArrayFromImage(by_hand)).mean() > 0.99


def test_the_fine_end_is_saved_and_read_back(fine, tmp_path):
    write_deformation(fine, tmp_path / "deformation.npz")
    path = read_deformation(tmp_path / "deformation.npz").mapping.path
    assert path.finest.grid == fine.path.finest.grid and torch.equal(path.finest.values, fine.path.finest.values)
    assert path.etas == fine.path.etas and path.grid == fine.path.grid


def test_a_fast_registration_of_a_large_image_is_coarser(pair_3d, monkeypatch):
    monkeypatch.setitem(PRESETS, "fast", Preset({2: 10_000, 3: 5_000}, 4, (2, 5e-3)))
    result = register(*pair_3d, model=None, quality="fast", align="none")
    assert np.prod(result.report["grids"]["working"]) <= 5_000
    assert result.report["settings"]["quality"] == "fast"
    assert result.report["similarity"]["registered"] > result.report["similarity"]["aligned"]


def test_in_two_dimensions_hearts_that_contract_are_followed(shared_data):
    """Two slices of people that methods are chosen on; with the lengths of three dimensions they end at .51 and .45."""
    pairs = HeartCine(shared_data / "heart-cine").pairs("train")
    for pair in (pairs[156], pairs[204]):
        result = register(pair.fixed.image(), pair.moving.image(), model=None)
        moved, target = result.warp_labels(pair.moving.labels()), pair.fixed.labels()
        assert dice_of_each(*(sitk.GetArrayFromImage(each) for each in (moved, target)))[255] > 0.75
