"""The path in eta: exact at its keyframes, linear between, and at home on any grid over the same field of view."""

from __future__ import annotations

import pytest
import torch

from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.samplers import EtaPath, bracket, interpolate
from DiffuseMorphCore.samplers.path import check_eta

GRID = Grid((6, 5), (2.0, 3.0), (-1.0, 4.0), (0.0, -1.0, 1.0, 0.0))


def made(etas=(0.0, 0.2, 1.0)):
    torch.manual_seed(0)
    return EtaPath(etas, torch.randn(len(etas), 2, *GRID.shape), GRID)


def test_interpolation_is_linear_between_uneven_keyframes_and_in_place():
    frames = torch.randn(3, 2, 5, 6)
    etas, out = (0.0, 0.2, 1.0), torch.empty(1, 2, 5, 6)
    assert torch.allclose(interpolate(frames, etas, 0.05), 0.75 * frames[:1] + 0.25 * frames[1:2], atol=1e-6)
    for eta in (0.4, 0.2):
        found = interpolate(frames, etas, eta, out)
        assert found.data_ptr() == out.data_ptr() and torch.equal(found, interpolate(frames, etas, eta))
    before = frames.clone()
    interpolate(frames, etas, 0.2).add_(1)
    assert torch.equal(frames, before)  # a keyframe is handed out as a copy


def test_a_path_is_met_at_its_keyframes_and_ends_where_it_ends():
    path = made()
    for frame, eta in zip(path.keyframes, path.etas):
        assert torch.equal(path.at(eta).values[0], frame)
    assert torch.equal(path.end.values, path.at(1.0).values) and path.at(0.6).grid is GRID
    torch.testing.assert_close(path.at(0.6).values[0], (path.keyframes[1] + path.keyframes[2]) / 2)


def test_a_straight_path_is_in_proportion_to_eta():
    end = Displacement(torch.randn(1, 2, *GRID.shape), GRID)
    path = EtaPath.straight(end)
    assert not path.at(0.0).values.any()
    torch.testing.assert_close(path.at(0.3).values, 0.3 * end.values)


def test_a_correction_is_scaled_with_eta():
    path, correction = made(), torch.randn(1, 2, *GRID.shape)
    corrected = path.plus(correction)
    for eta in (0.0, 0.1, 0.2, 0.7, 1.0):
        torch.testing.assert_close(corrected.at(eta).values, path.at(eta).values + eta * correction)


def test_on_another_grid_it_moves_the_same_points_by_the_same_millimetres():
    path = EtaPath.straight(Displacement(torch.ones(1, 2, *GRID.shape), GRID))
    finer = path.resized((9, 11))
    assert finer.grid == GRID.resampled((9, 11))
    assert path.at(0.5).vectors()[0, 0] == pytest.approx(finer.at(0.5).vectors()[0, 0], rel=1e-5)
    assert finer.at(0.5).vectors()[4, 3] == pytest.approx(path.at(0.5).vectors()[2, 2], rel=1e-5)


@pytest.mark.parametrize(
    "eta, expected",
    [(0.0, (0, 0, 0.0)), (0.1, (0, 1, 0.5)), (0.2, (1, 1, 0.0)), (0.6, (1, 2, 0.5)), (1.0, (2, 2, 0.0))],
)
def test_bracket_finds_the_keyframes_around_an_eta(eta, expected):
    found = bracket((0.0, 0.2, 1.0), eta)
    assert found[:2] == expected[:2] and found[2] == pytest.approx(expected[2])


@pytest.mark.parametrize("eta", [-0.01, 1.01, float("nan")])
def test_eta_outside_is_refused(eta):
    with pytest.raises(DiffuseMorphError, match="must be from 0"):
        made().at(eta)


def test_keyframes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="need keyframes of the shape"):
        EtaPath((0.0, 1.0), torch.zeros(2, 2, 3, 3), GRID)
    with pytest.raises(ValueError, match="has the shape"):
        Displacement(torch.zeros(1, 2, 3, 3), GRID)


@pytest.mark.parametrize("wrong", ["half", None, [0.5, 1.0]])
def test_what_is_no_number_is_no_eta(wrong):
    with pytest.raises(DiffuseMorphError, match="must be a number from 0"):
        check_eta(wrong)
