"""Reverse diffusion: recovers the fixed image from ideal noise estimates, is seeded, and can be cancelled."""

from types import SimpleNamespace

import pytest
import torch

from DiffuseMorphCore.errors import Cancelled, DiffuseMorphError
from DiffuseMorphCore.samplers import NoiseSchedule, synthesize


def ideal(schedule, visited, latents):
    """A model whose noise estimate is the true one: the noise that is in x_t if the fixed image is under it."""

    def noise(moving, fixed, noisy, step):
        bar = float(schedule.alpha_bars[step])
        estimate = (noisy - bar**0.5 * fixed) / (1 - bar) ** 0.5
        visited.append(step)
        latents.append(estimate)
        return estimate

    return SimpleNamespace(schedule=schedule, noise=noise, moving_input=lambda moving, fixed: moving)


@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("start, steps", [(200, 201), (200, 80), (1999, 50), (30, 1)])
def test_ideal_noise_estimates_lead_to_the_fixed_image(start, steps, clamp):
    torch.manual_seed(0)
    moving, fixed = torch.rand(2, 1, 1, 24, 28, 20, dtype=torch.float64) * 2 - 1
    visited, latents = [], []
    found = synthesize(ideal(NoiseSchedule(), visited, latents), moving, fixed, start, steps, clamp=clamp)
    assert torch.allclose(found, fixed, atol=1e-9)
    # The first step undoes the noise level that was put in: no step in between is lost.
    assert visited[0] == start and visited == sorted(visited, reverse=True) and len(visited) == steps
    assert steps == 1 or visited[-1] == 0


@pytest.mark.parametrize("steps", [201, 80, 12])
def test_the_noise_on_the_way_has_the_strength_of_its_index(steps):
    # From the fixed image itself, x_t must be distributed as equation 3 says at every index that is visited.
    fixed = torch.linspace(-1, 1, 32**3, dtype=torch.float64).reshape(1, 1, 32, 32, 32)
    visited, latents = [], []
    synthesize(ideal(NoiseSchedule(), visited, latents), fixed, fixed, 200, steps, clamp=False)
    for latent in latents:
        assert float(latent.mean()) == pytest.approx(0, abs=5 / 32**1.5)
        assert float(latent.std()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_network_generates_repeatably(small_model, ndim):
    model = small_model(ndim)
    torch.manual_seed(0)
    moving, fixed = torch.rand(2, 2, 1, *(9, 12, 10)[:ndim]) * 2 - 1
    first = synthesize(model, moving, fixed, start=20, steps=5, seed=3)
    torch.manual_seed(77)  # the global generator plays no part
    assert torch.equal(first, synthesize(model, moving, fixed, start=20, steps=5, seed=3))
    assert not torch.equal(first, synthesize(model, moving, fixed, start=20, steps=5, seed=4))
    assert first.shape == moving.shape and float(first.abs().max()) <= 1 and not first.requires_grad
    assert not torch.equal(first[0], first[1])


def test_progress_is_told_and_cancels(small_model):
    model, image = small_model(2), torch.zeros(1, 1, 8, 8)
    seen = []
    synthesize(model, image, image, start=20, steps=4, progress=lambda *call: seen.append(call))
    assert seen == [("synthesize", fraction) for fraction in (0.0, 0.25, 0.5, 0.75, 1.0)]
    seen.clear()

    def stop(stage, fraction):
        seen.append(fraction)
        return fraction < 0.5

    with pytest.raises(Cancelled):
        synthesize(model, image, image, start=20, steps=4, progress=stop)
    assert seen == [0.0, 0.25, 0.5]


@pytest.mark.parametrize("start, steps", [(2000, 80), (-1, 1), (200, 0), (200, 202)])
def test_impossible_steps_are_refused(small_model, start, steps):
    image = torch.zeros(1, 1, 8, 8)
    with pytest.raises(DiffuseMorphError, match="choose"):
        synthesize(small_model(2), image, image, start, steps)
