"""Folds along a path are found on the fine grid, repaired, and what is left of them is told."""

from __future__ import annotations

import pytest
import torch

from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.repair import CHECKS, MARGIN, folded, unfold
from DiffuseMorphCore.samplers import EtaPath
from DiffuseMorphCore.warp import folding, resize_displacement, smooth


def random_field(shape, sigma, strength, seed):
    generator = torch.Generator().manual_seed(seed)
    field = smooth(torch.randn(1, len(shape), *shape, generator=generator), sigma)
    return field * (strength / field.std())


def path(keyframes, etas=(0.0, 1.0)):
    """Keyframes on a grid of unit voxels."""
    shape = keyframes.shape[2:]
    grid = Grid(shape[::-1], (1.0,) * len(shape), (0.0,) * len(shape), tuple(torch.eye(len(shape)).flatten().tolist()))
    return EtaPath(etas, keyframes, grid)


@pytest.mark.parametrize(
    "shape, fine", [((30, 34), (59, 67)), ((20, 24, 22), (39, 47, 43)), ((20, 24, 22), (57, 30, 31))]
)
@pytest.mark.parametrize("sigma, strength", [(4, 3.0), (2, 1.2)])
def test_repaired_trajectories_have_no_fold_at_any_checked_eta(shape, fine, sigma, strength):
    end = random_field(shape, sigma, strength, 3)
    keyframes = torch.cat([torch.zeros_like(end), 0.3 * end + 0.2 * random_field(shape, sigma, strength, 4), end])
    assert folding(resize_displacement(end, fine)).share > 0
    repair = unfold(path(keyframes, (0.0, 0.5, 1.0)), fine)
    assert repair.converged and repair.folded_before > 0 and not repair.folded_after
    assert float(repair.path.keyframes[0].abs().max()) == 0
    for eta in CHECKS:
        found = folding(repair.path.at(eta).at(fine).values)
        assert found.share == 0 and found.minimum > 0


def test_a_repair_that_does_not_end_says_so_and_where():
    end = random_field((20, 24, 22), 4, 3.0, 3)
    given = path(torch.cat([torch.zeros_like(end), end]))
    started = [unfold(given, (39, 47, 43), rounds=rounds) for rounds in (0, 1)]
    for repair in started:
        assert not repair.converged and repair.folded_before > 0 and repair.folded_after[1.0] > 0
        assert 0.0 not in repair.folded_after
    assert started[0].path is given
    assert sum(started[1].folded_after.values()) < sum(started[0].folded_after.values()) == started[0].folded_before


def test_the_shortcut_of_the_check_misses_no_fold():
    for seed, (sigma, strength) in enumerate([(4, 3.0), (2, 1.2), (1.5, 0.6), (1, 0.4)]):
        end = random_field((20, 24, 22), sigma, strength, seed)
        fine = (57, 30, 31)
        expected = int((_cells_below(resize_displacement(end, fine), MARGIN)).sum())
        _, counts = folded(path(torch.cat([torch.zeros_like(end), end])), (1.0,), fine)
        assert counts.get(1.0, 0) == pytest.approx(expected, abs=max(2, 0.002 * expected))


def _cells_below(displacement, limit):
    from DiffuseMorphCore.warp.folding import _cells

    return torch.stack([value for _, value in _cells(displacement[0])]).amin(0) < limit


def test_fields_without_folds_are_left_alone():
    end = random_field((20, 24, 22), 4, 0.4, 5)
    given = path(torch.cat([torch.zeros_like(end), end]))
    repair = unfold(given, (39, 47, 43))
    assert repair.converged and repair.folded_before == 0 and repair.path is given


@pytest.mark.parametrize("shape, fine", [((24, 26), (45, 50)), ((14, 15, 13), (26, 29, 24))])
def test_a_check_of_some_places_finds_there_what_a_check_of_all_finds(shape, fine):
    given = path(torch.cat([torch.zeros(1, len(shape), *shape), random_field(shape, 1.2, 1.0, 0)]))
    everywhere = folded(given, CHECKS, fine)[0]
    assert bool(everywhere.any())
    bad = everywhere[0, 0].nonzero()
    half, one = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    half[: int(bad[:, 0].median()) + 1] = True
    one[tuple(bad[0])] = True  # so little that all of its fine cells are computed
    for within in (half, one):
        some = folded(given, CHECKS, fine, within=within)[0]
        assert bool(some.any()) and torch.equal(some[0, 0], everywhere[0, 0] & within)
