"""From a working pair to a trajectory: what becomes of the network's answer."""
from __future__ import annotations

import sys

import pytest
import torch

from DiffuseMorphCore.registration.deform import Task, deform
from DiffuseMorphCore.registration.stages import Stopwatch
from DiffuseMorphCore.samplers import even_etas
from DiffuseMorphCore.similarity import ImagePair
from DiffuseMorphCore.warp import smooth, warp

SHAPE, PERIOD, SHIFT = (72, 80), 10, 3


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
    etas = torch.tensor(even_etas(5)).view(-1, 1, 1, 1)
    monkeypatch.setattr(sys.modules["DiffuseMorphCore.registration.deform"], "predict",
                        lambda *_, **__: etas * shifted(answer))
    found = deform(striped, SHAPE, SHAPE, small_model(2), torch.device("cpu"), Task("same", "auto", "anchored", 5),
                   Stopwatch(), None)
    assert found.similarity["network"] > found.similarity["aligned"]
    assert len(found.etas) == (5 if used else 2)
    assert any("clearly better without" in note for note in found.notes) is not used
    error = (found.keyframes[-1:] - shifted(SHIFT)).norm(dim=1)[0, 15:-15, 15:-15]
    assert float(error.median()) < 0.3
    assert not found.keyframes[0].any()
