"""From a working pair to a trajectory: what becomes of the network's answer."""

from __future__ import annotations

import sys

import pytest
import torch

from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.options import RegistrationOptions
from DiffuseMorphCore.registration.deform import deform
from DiffuseMorphCore.registration.initialise import Start, choose_starts
from DiffuseMorphCore.registration.repair import unfold
from DiffuseMorphCore.registration.stages import Stopwatch
from DiffuseMorphCore.samplers import EtaPath, even_etas
from DiffuseMorphCore.similarity import MODALITIES, ImagePair
from DiffuseMorphCore.warp import smooth, warp

SHAPE, PERIOD, SHIFT = (72, 80), 10, 3
GRID = Grid((80, 72), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0, 0.0, 1.0))
SAME = MODALITIES["same"]


@pytest.fixture
def striped():
    """A pair of stripes with some texture, `SHIFT` pixels apart."""
    torch.manual_seed(0)
    texture = smooth(torch.rand(1, 1, *SHAPE), 2.0)
    texture = (texture - texture.amin()) / (texture.amax() - texture.amin())
    stripes = 0.5 + 0.5 * torch.sin(torch.arange(SHAPE[1]) * 2 * torch.pi / PERIOD).expand(1, 1, *SHAPE)
    moving = 0.5 * stripes + 0.5 * texture
    return ImagePair(warp(moving, shifted(SHIFT)), moving)


def shifted(pixels):
    displacement = torch.zeros(1, 2, *SHAPE)
    displacement[:, 1] = pixels
    return displacement


@pytest.mark.parametrize("answer, used", [(SHIFT, True), (SHIFT - PERIOD, False)])
def test_an_answer_that_leads_the_refinement_astray_is_dropped(striped, small_model, monkeypatch, answer, used):
    """The stripes match one period off too, better than before; only the texture says that this is not the place."""
    etas = even_etas(5)
    path = EtaPath(etas, torch.tensor(etas).view(-1, 1, 1, 1) * shifted(answer), GRID)
    monkeypatch.setattr(sys.modules["DiffuseMorphCore.registration.deform"], "predict", lambda *_, **__: path)
    found = deform(
        striped, GRID, SHAPE, small_model(2), torch.device("cpu"), SAME, RegistrationOptions(), Stopwatch(), None
    )
    assert found.similarity["network"] > found.similarity["aligned"]
    assert len(found.path.etas) == (5 if used else 2)
    assert any("clearly better without" in note for note in found.notes) is not used
    error = (found.path.end.on(GRID).values - shifted(SHIFT)).norm(dim=1)[0, 15:-15, 15:-15]
    assert float(error.median()) < 0.3
    assert not found.path.keyframes[0].any()


@pytest.mark.parametrize(
    "gained, voxels, names",
    [
        (0.01, 2_000_000, ["zero"]),  # so little may lead astray
        (0.01, 100_000, ["answer", "zero"]),
        (0.045, 2_000_000, ["answer"]),  # as brains do
        (0.10, 100_000, ["answer", "zero"]),  # where it costs little
        (0.01, None, ["answer"]),  # nothing is refined
        (-0.1, 2_000_000, ["zero"]),
    ],
)
def test_what_gained_little_is_not_trusted_alone(gained, voxels, names):
    path = EtaPath.straight(Displacement.zero(GRID))
    zero, answer = Start("zero", path, 0.4), Start("answer", path, 0.4 + 0.6 * gained)
    assert [start.name for start in choose_starts(zero, answer, voxels, [])] == names


def wild():
    """A displacement that tears the image and folds."""
    torch.manual_seed(1)
    return smooth(torch.randn(1, 2, *SHAPE), 1.0) * 8


def answered(striped, small_model, monkeypatch, displacement):
    """What comes of an answer of the network that is not refined."""
    path = EtaPath.straight(Displacement(displacement, GRID))
    monkeypatch.setattr(sys.modules["DiffuseMorphCore.registration.deform"], "predict", lambda *_, **__: path)
    options = RegistrationOptions(refine=0)
    return deform(striped, GRID, SHAPE, small_model(2), torch.device("cpu"), SAME, options, Stopwatch(), None)


@pytest.mark.parametrize("displacement, used", [(shifted(SHIFT), True), (wild(), False)])
def test_an_answer_is_the_result_where_it_helps(striped, small_model, monkeypatch, displacement, used):
    found = answered(striped, small_model, monkeypatch, displacement)
    assert found.grid == GRID
    assert torch.equal(found.path.end.on(GRID).values, displacement if used else torch.zeros_like(displacement))
    assert any("network's answer did not make" in note for note in found.notes) is not used


def test_a_repair_that_does_not_end_is_told(striped, small_model, monkeypatch):
    module = sys.modules["DiffuseMorphCore.registration.deform"]
    monkeypatch.setattr(module, "unfold", lambda *given, **more: unfold(*given, **more, rounds=0))
    monkeypatch.setattr(module, "choose_starts", lambda zero, answer, *_: [answer])
    found = answered(striped, small_model, monkeypatch, wild())
    assert not found.repair.converged and found.repair.folded_after[1.0] > 0
    assert any("did not come to an end" in note for note in found.notes)
