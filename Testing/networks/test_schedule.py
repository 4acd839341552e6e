"""The noise schedule against published values, closed forms and MONAI's DDPM scheduler."""

import numpy as np
import pytest
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.samplers import NoiseSchedule

monai = pytest.importorskip("monai.networks.schedulers")


@pytest.fixture
def schedule():
    return NoiseSchedule()


@pytest.fixture
def library():
    """MONAI's scheduler, its float32 tables replaced by float64 ones."""

    def make(clip):
        oracle = monai.DDPMScheduler(2000, "linear_beta", beta_start=1e-6, beta_end=1e-2, clip_sample=clip)
        oracle.betas = torch.from_numpy(np.linspace(1e-6, 1e-2, 2000))
        oracle.alphas = 1 - oracle.betas
        oracle.alphas_cumprod = torch.cumprod(oracle.alphas, 0)
        return oracle

    return make


def images(seed, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_published_noise_levels(schedule):
    assert len(schedule) == 2000 and schedule.alpha_bars.dtype == torch.float64
    assert float(schedule.alpha_bars[0]) == pytest.approx(0.999999, abs=1e-12)
    assert float(schedule.alpha_bars[199]) == pytest.approx(0.9050, abs=5e-5)
    assert float(schedule.alpha_bars[200]) == pytest.approx(0.9041, abs=5e-5)
    assert float(schedule.alpha_bars[1999]) == pytest.approx(4.4e-5, rel=0.01)
    assert torch.equal(schedule.alpha_bars, schedule.alpha_bars.sort(descending=True).values)


def test_tables_are_those_of_the_library(schedule):
    oracle = monai.DDPMScheduler(2000, "linear_beta", beta_start=1e-6, beta_end=1e-2)
    assert torch.allclose(schedule.betas, oracle.betas.double(), rtol=1e-6, atol=1e-10)
    assert torch.allclose(schedule.alpha_bars, oracle.alphas_cumprod.double(), rtol=1e-3, atol=1e-7)


def test_adding_noise(schedule, library):
    clean, noise, steps = images(0, 3, 1, 4, 5, 6), images(1, 3, 1, 4, 5, 6), torch.tensor([0, 200, 1999])
    noisy = schedule.add_noise(clean, steps, noise)
    assert torch.allclose(noisy, library(False).add_noise(clean, noise, steps), atol=1e-12)
    for index, step in enumerate(steps.tolist()):
        one = slice(index, index + 1)
        assert torch.allclose(schedule.add_noise(clean[one], step, noise[one]), noisy[one], atol=1e-15)
    assert schedule.add_noise(clean.float(), 5, noise.float()).dtype == torch.float32


def test_one_step_at_a_time_gives_the_same_distribution(schedule):
    # Equation 2 applied t times has the mean and variance of equation 3.
    mean, variance = 1.0, 0.0
    for step, beta in enumerate(schedule.betas.tolist()):
        mean, variance = mean * (1 - beta) ** 0.5, variance * (1 - beta) + beta
        if step in (0, 7, 200, 1999):
            assert mean == pytest.approx(float(schedule.alpha_bars[step]) ** 0.5, rel=1e-10)
            assert variance == pytest.approx(1 - float(schedule.alpha_bars[step]), rel=1e-9)


def test_the_true_noise_gives_the_clean_image_back(schedule):
    clean, noise = images(0, 2, 1, 6, 6), images(1, 2, 1, 6, 6)
    for step in (0, 200, 1999):
        noisy = schedule.add_noise(clean, step, noise)
        assert torch.allclose(schedule.clean_estimate(noisy, step, noise), clean, atol=1e-10)
        assert torch.allclose(schedule.clean_estimate(noisy, step, noise, clamp=True), clean.clamp(-1, 1), atol=1e-10)
    assert torch.allclose(schedule.posterior_mean(schedule.add_noise(clean, 0, noise), 0, noise), clean, atol=1e-10)


@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("step", [0, 1, 200, 1999])
def test_a_reverse_step_is_that_of_the_library(schedule, library, step, clamp):
    noisy, latent = images(2, 2, 1, 5, 5), images(3, 2, 1, 5, 5)
    expected, _ = library(clamp).step(latent, step, noisy, generator=torch.Generator().manual_seed(9))
    # The step's own noise: the library draws it from the generator it is given.
    assert torch.allclose(schedule.reverse_step(noisy, step, latent, images(9, 2, 1, 5, 5), clamp), expected, atol=1e-9)
    assert torch.allclose(
        float(schedule.posterior_variances[step]) * torch.ones(1, dtype=torch.float64),
        library(clamp)._get_variance(step),
        atol=1e-15,
    )


def test_clamping_changes_nothing_while_nothing_is_cut(schedule):
    clean, noise = images(0, 1, 1, 8, 8).clamp(-0.9, 0.9), images(1, 1, 1, 8, 8)
    noisy = schedule.add_noise(clean, 200, noise)
    assert torch.allclose(
        schedule.posterior_mean(noisy, 200, noise, clamp=True),
        schedule.posterior_mean(noisy, 200, noise, clamp=False),
        atol=1e-12,
    )


def test_the_posterior_is_that_of_bayes(schedule):
    # q(x_(t-1) | x_t, x_0) from the product of two Gaussians in x_(t-1).
    step, clean, noisy = 700, 0.3, -0.8
    beta, before = float(schedule.betas[step]), float(schedule.alpha_bars[step - 1])
    precision = (1 - beta) / beta + 1 / (1 - before)
    mean = ((1 - beta) ** 0.5 * noisy / beta + before**0.5 * clean / (1 - before)) / precision
    bar = float(schedule.alpha_bars[step])
    latent = torch.full((1, 1, 1, 1), (noisy - bar**0.5 * clean) / (1 - bar) ** 0.5, dtype=torch.float64)
    found = schedule.posterior_mean(torch.full_like(latent, noisy), step, latent)
    assert float(found) == pytest.approx(mean, abs=1e-10)
    assert float(schedule.posterior_variances[step]) == pytest.approx(1 / precision, rel=1e-9)


@pytest.mark.parametrize("start, steps", [(200, 80), (200, 201), (200, 2), (0, 1), (1999, 7), (50, 1)])
def test_strided_schedule_keeps_alpha_bars(schedule, start, steps):
    thinned = schedule.strided(start, steps)
    kept = thinned.original
    assert len(thinned) == steps and int(kept[-1]) == start and (steps == 1 or int(kept[0]) == 0)
    assert bool((kept.diff() > 0).all()) and (steps < 2 or int(kept.diff().max() - kept.diff().min()) <= 1)
    assert torch.allclose(thinned.alpha_bars, schedule.alpha_bars[kept], rtol=1e-13)
    assert torch.allclose(torch.cumprod(1 - thinned.betas, 0), schedule.alpha_bars[kept], rtol=1e-13)
    if steps == start + 1:
        assert torch.allclose(thinned.betas, schedule.betas[:steps], rtol=1e-9)


def test_a_strided_schedule_can_be_thinned_again(schedule):
    again = schedule.strided(200, 81).strided(80, 11)
    assert torch.equal(again.original, schedule.strided(200, 11).original)


@pytest.mark.parametrize(
    "start, steps, problem",
    [
        (-1, 1, "choose 0 to 1999"),
        (2000, 5, "choose 0 to 1999"),
        (200, 0, "choose 1 to 201"),
        (200, 202, "choose 1 to 201"),
    ],
)
def test_impossible_strides_are_refused(schedule, start, steps, problem):
    with pytest.raises(DiffuseMorphError, match=problem):
        schedule.strided(start, steps)
