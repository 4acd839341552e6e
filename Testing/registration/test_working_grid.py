"""The grid registration works on, and what happens when memory is short."""

import math

import pytest
import torch

from DiffuseMorphCore import DiffuseMorphError, register
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration import deform as deform_step
from DiffuseMorphCore.registration import pipeline, working_grid
from DiffuseMorphCore.registration.presets import PRESETS, Preset
from DiffuseMorphCore.registration.refine import levels
from DiffuseMorphCore.registration.working_grid import (
    DELIVERED_VOXELS,
    choose_grid,
    delivered_grid,
    wanted_shape,
    working_shape,
)
from DiffuseMorphCore.similarity import MODALITIES

VOXELS = PRESETS["default"].voxels
BRAIN = Grid((224, 192, 160), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
THICK = Grid((512, 512, 30), (0.5, 0.5, 6.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
SMALL = Grid((35, 51, 35), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


@pytest.mark.parametrize("grid", [BRAIN, THICK, SMALL])
def test_working_grid_fits_the_budget_and_spans_the_image(grid):
    shape = working_shape(grid, VOXELS[3])
    assert math.prod(shape) <= VOXELS[3]
    assert all(size <= own for size, own in zip(shape, grid.shape))
    working = grid.resampled(shape)
    for axis in range(3):
        assert working.spacing[axis] * (working.size[axis] - 1) == pytest.approx(
            grid.spacing[axis] * (grid.size[axis] - 1)
        )


def test_working_grid_is_about_isotropic_but_keeps_thick_slices():
    brain = BRAIN.resampled(wanted_shape(BRAIN, "default"))
    assert max(brain.spacing) / min(brain.spacing) < 1.1 and 1.1 < brain.spacing[0] < 1.5
    thick = THICK.resampled(working_shape(THICK, VOXELS[3]))
    assert thick.spacing[2] == 6.0 and math.prod(thick.size) > 0.8 * VOXELS[3]
    assert working_shape(SMALL, VOXELS[3]) == SMALL.shape


def test_best_is_as_fine_as_the_image_and_fast_is_coarser_than_the_default():
    assert wanted_shape(BRAIN, "best") == BRAIN.shape and wanted_shape(THICK, "best") == THICK.shape
    assert math.prod(wanted_shape(BRAIN, "fast")) < math.prod(wanted_shape(BRAIN, "default")) / 2
    assert {wanted_shape(SMALL, name) for name in PRESETS} == {SMALL.shape}


def test_delivered_grid_is_small_enough_to_follow_a_slider():
    delivered = delivered_grid(BRAIN.resampled(wanted_shape(BRAIN, "default")))
    assert math.prod(delivered.shape) <= DELIVERED_VOXELS[3]


def test_levels_halve_from_fine_to_coarse():
    shapes = levels((107, 129, 113), 28)
    assert shapes[-1] == (107, 129, 113) and max(shapes[0]) <= 28
    assert all(a <= b for coarse, fine in zip(shapes, shapes[1:]) for a, b in zip(coarse, fine))
    assert levels((3, 20), 28) == [(3, 20)]


def test_little_memory_means_a_coarser_grid_said_aloud(monkeypatch):
    monkeypatch.setattr(working_grid, "free_memory", lambda device: 200 * 2**20)
    notes = []
    grid = choose_grid(BRAIN, torch.device("cpu"), MODALITIES["same"], notes)
    assert math.prod(grid.size) < VOXELS[3] / 2
    assert len(notes) == 1 and "coarser grid" in notes[0] and "×".join(map(str, grid.size)) in notes[0]
    monkeypatch.setattr(working_grid, "free_memory", lambda device: 2**20)
    with pytest.raises(DiffuseMorphError, match="MiB are free"):
        choose_grid(BRAIN, torch.device("cpu"), MODALITIES["same"], [])


def cpu_failure():
    """What torch really raises when the system has no memory left to give."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    return caught.value


FAILURES = {
    "cuda": lambda: torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "cpu": cpu_failure,
    "numpy": lambda: MemoryError("Unable to allocate 2.00 GiB"),
    "ITK": lambda: RuntimeError("Exception thrown in SimpleITK Resample: Failed to allocate memory for image."),
}
each_failure = pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())


@each_failure
def test_memory_that_runs_out_is_met_by_a_coarser_grid(monkeypatch, pair_3d, failure):
    sizes = []

    def exhausted_once(pair, *arguments):
        sizes.append(pair.fixed.numel())
        if len(sizes) == 1:
            raise failure()
        return deform_step.deform(pair, *arguments)

    monkeypatch.setitem(PRESETS, "default", Preset({3: 40_000}, 3, (2, 5e-3)))
    monkeypatch.setattr(pipeline, "deform", exhausted_once)
    result = register(*pair_3d, model=None, refine=3)
    assert sizes[1] < sizes[0] / 3
    assert any("memory did not suffice" in note for note in result.report["notes"])


@each_failure
def test_memory_that_never_suffices_is_one_sentence(monkeypatch, pair_3d, failure):
    def exhausted(*arguments):
        raise failure()

    monkeypatch.setattr(pipeline, "deform", exhausted)
    with pytest.raises(DiffuseMorphError, match="not enough memory"):
        register(*pair_3d, model=None, refine=3)


def test_other_errors_are_not_taken_for_want_of_memory(monkeypatch, pair_3d):
    def broken(*arguments):
        raise RuntimeError("shape '[3]' is invalid for input of size 4")

    monkeypatch.setattr(pipeline, "deform", broken)
    with pytest.raises(RuntimeError, match="is invalid"):
        register(*pair_3d, model=None, refine=3)
