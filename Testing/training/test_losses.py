"""The terms of the objective against closed forms."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from DiffuseMorphCore.networks import PRESETS, DiffuseMorph
from DiffuseMorphCore.seeds import generator
from DiffuseMorphCore.similarity import local_correlation
from DiffuseMorphCore.training.losses import folding_penalty, known_field_loss, noise_loss, smoothness, soft_dice
from DiffuseMorphCore.training.objective import JointObjective, LossWeights, draw
from DiffuseMorphCore.training.pair import TrainingPair
from DiffuseMorphCore.warp import determinant_minimum, resize_displacement, warp


@pytest.mark.parametrize("shape", [(7, 9), (5, 6, 7)])
def test_smoothness_of_a_linear_field_is_its_squared_slope(shape):
    ndim = len(shape)
    slopes = torch.arange(1.0, ndim * ndim + 1).view(ndim, ndim) / 10
    axes = torch.meshgrid(*(torch.arange(side, dtype=torch.float32) for side in shape), indexing="ij")
    field = torch.einsum("ca,a...->c...", slopes, torch.stack(axes))[None]
    # Mean per axis over components and voxels, then over the axes.
    assert smoothness(field).item() == pytest.approx(slopes.square().mean().item(), rel=1e-5)
    assert smoothness(torch.full_like(field, 3.0)).item() == 0


def test_noise_loss_is_a_mean_of_squares():
    assert noise_loss(torch.full((2, 1, 4, 4), 3.0), torch.ones(2, 1, 4, 4)).item() == pytest.approx(4)


def square(corner):
    labels = torch.zeros(1, 1, 16, 16)
    labels[..., corner : corner + 6, 5:11] = 2
    return labels


def test_soft_dice_is_zero_for_a_perfect_warp_and_counts_overlap():
    moving, fixed = square(3), square(6)
    labels = torch.tensor([2.0])
    still, right = torch.zeros(1, 2, 16, 16), torch.zeros(1, 2, 16, 16)
    right[:, 0] = -3
    assert soft_dice(moving, fixed, right, labels).item() == pytest.approx(0, abs=1e-4)
    assert soft_dice(moving, fixed, still, labels).item() == pytest.approx(0.5, abs=1e-3)
    assert soft_dice(moving, fixed, still, torch.tensor([9.0])).item() == pytest.approx(0, abs=1e-6)


def test_soft_dice_pulls_towards_the_overlap():
    shift = torch.zeros(1, 2, 1, 1, requires_grad=True)
    soft_dice(square(3), square(6), shift.expand(1, 2, 16, 16) - 0.4, torch.tensor([2.0])).backward()
    assert shift.grad[0, 0] > 0  # a step against the gradient moves towards -3


@pytest.mark.parametrize("shape", [(12, 14), (8, 9, 10)])
def test_folding_penalty_sees_what_folds(shape):
    torch.manual_seed(0)
    gentle = 0.2 * torch.rand(1, len(shape), *shape)
    wild = 4 * torch.rand(1, len(shape), *shape)
    assert determinant_minimum(gentle).min() > 0.1
    assert folding_penalty(gentle).item() == 0
    assert folding_penalty(wild).item() > 0.1
    # A uniform shrinking to a tenth in one axis has the determinant 0.1, one to nothing has 0.
    squeeze = -torch.arange(shape[0], dtype=torch.float32).view(-1, *[1] * (len(shape) - 1)).expand(shape)
    field = torch.zeros(1, len(shape), *shape)
    field[:, 0] = squeeze
    assert folding_penalty(field).item() == pytest.approx(0.1, rel=1e-4)


def test_known_field_counts_where_it_is_known():
    known = torch.full((1, 2, 8, 8), torch.nan)
    known[..., :4, :] = 1
    found = torch.zeros(1, 2, 8, 8, requires_grad=True)
    loss = known_field_loss(found, known)
    loss.backward()
    assert loss.item() == pytest.approx(2)
    assert found.grad.isfinite().all() and found.grad[..., 4:, :].abs().max() == 0
    assert known_field_loss(found, torch.full_like(known, torch.nan)).item() == 0


@pytest.fixture(scope="module")
def setting():
    torch.manual_seed(1)
    model = DiffuseMorph(PRESETS["default2d"].model)
    moving, fixed = torch.rand(2, 1, 16, 16) * 2 - 1, torch.rand(2, 1, 16, 16) * 2 - 1
    labels = (torch.rand(2, 1, 16, 16) * 3).floor()
    return model, TrainingPair(moving, fixed, labels, labels.flip(2), torch.zeros(2, 2, 16, 16))


def test_the_joint_objective_is_equations_7_to_9(setting):
    model, pair = setting
    weights = LossWeights(registration=20, smoothness=0.5, window=5)
    drawn = draw(pair, weights, 2000, generator(0, 0))
    terms = JointObjective(model, weights)(pair, drawn)
    noisy = model.schedule.add_noise(pair.fixed, drawn.step, drawn.noise)
    latent = model.latent(pair.moving, pair.fixed, noisy, drawn.step)
    field = model.field(pair.moving, latent)
    warped = warp(pair.moving, model.displacement(field))
    expected = (latent - drawn.noise).square().mean() + 20 * (
        1 - local_correlation(warped, pair.fixed, 5) + 0.5 * smoothness(field)
    )
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert set(terms) == {"loss", "noise", "similarity", "smoothness"}


@pytest.mark.parametrize(("steps", "reaches"), [("same", (True, 1)), ("zero", (True, 1)), ("both", (True, 2))])
def test_registration_reaches_the_diffusion_network(setting, steps, reaches):
    model, pair = setting
    weights = LossWeights(noise=0, registration_steps=steps, window=5)
    calls = []
    handle = model.deformation.register_forward_hook(lambda *_: calls.append(1))
    model.zero_grad()
    JointObjective(model, weights)(pair, draw(pair, weights, 2000, generator(0, 0)))["loss"].backward()
    handle.remove()
    # The latent is not detached: that is what makes it carry the deformation.
    assert (model.diffusion.exit.weight.grad.abs().max() > 0) == reaches[0]
    assert len(calls) == reaches[1]


def test_alternating_steps_have_one_objective_each(setting):
    model, pair = setting
    weights = LossWeights(registration_steps="alternate", zero_share=0.5, window=5)
    objective = JointObjective(model, weights)
    seen = set()
    for index in range(12):
        drawn = draw(pair, weights, 2000, generator(0, index))
        assert ("noise" in objective(pair, drawn)) == (not drawn.at_zero)
        seen.add(drawn.at_zero)
    assert seen == {True, False}


def test_handed_networks_learn_apart(setting):
    model, pair = setting
    weights = LossWeights(registration_steps="alternate", warm_up=True, window=5)
    drawn = draw(pair, weights, 2000, generator(0, 0))
    seen = []
    handle = model.deformation.register_forward_hook(lambda module, inputs, output: seen.append(inputs))
    terms = JointObjective(model, weights)(pair, drawn)
    handle.remove()
    ((moving, latent),) = seen
    assert torch.equal(moving, pair.moving) and torch.equal(latent, pair.fixed)
    given = model.latent(pair.moving, pair.fixed)
    assert terms["warm_up"].item() == pytest.approx((given - pair.fixed).square().mean().item(), rel=1e-5)
    assert "noise" not in terms
    (gradient,) = torch.autograd.grad(
        terms["loss"] - terms["warm_up"], model.diffusion.exit.weight, allow_unused=True, retain_graph=True
    )
    assert gradient is None or gradient.abs().max() < 1e-6  # the registration does not reach the diffusion network


def test_networks_go_on_from_their_own_answers(setting):
    """After a pass on a coarser grid the moving image, its labels and its anatomy are those that this pass moved."""
    model, pair = setting
    pair = replace(pair, moving_anatomy=pair.moving.clone(), fixed_anatomy=pair.fixed)
    model.deformation.exit.weight.data.mul_(300)
    weights = LossWeights(registration_steps="zero", passes=(0.0, 1.0), window=5)
    drawn = draw(pair, weights, 2000, generator(0, 0))
    assert drawn.passes == 1 and draw(pair, LossWeights(), 2000, generator(0, 0)).passes == 0
    objective, seen = JointObjective(model, weights), []
    handle = model.deformation.register_forward_hook(lambda module, inputs, output: seen.append((inputs, output)))
    terms = objective(pair, drawn)
    handle.remove()
    (first, field), (second, _) = seen
    assert [side for side in first[0].shape[2:]] == [round(side * 2 / 3) for side in pair.fixed.shape[2:]]
    moved = warp(pair.moving, resize_displacement(model.displacement(field), pair.moving.shape[2:]))
    assert float((moved - pair.moving).abs().amax()) > 0.1
    torch.testing.assert_close(second[0], moved, atol=1e-5, rtol=0)
    assert not field.requires_grad and terms["loss"].requires_grad and terms["loss"].isfinite()
    after = objective._moved(pair, 2 / 3)
    torch.testing.assert_close(after.moving_anatomy, moved, atol=1e-5, rtol=0)
    assert set(after.moving_labels.unique().tolist()) <= set(pair.moving_labels.unique().tolist())
    assert after.displacement is None


def test_further_terms_come_on_request(setting):
    model, pair = setting
    weights = LossWeights(labels=1, label_count=1, known=1, folding=1, random_eta=True, window=5)
    drawn = draw(pair, weights, 2000, generator(3, 1))
    assert len(drawn.labels) == 1
    control = DiffuseMorph(replace(PRESETS["default2d"].model, diffusion=None))
    terms = JointObjective(model, weights, control)(pair, drawn)
    assert {"label_loss", "field_error", "control_similarity"} < set(terms)
    assert all(value.isfinite() for value in terms.values())


def test_time_steps_cover_the_schedule(setting):
    _, pair = setting
    steps = torch.cat([draw(pair, LossWeights(), 2000, generator(0, index)).step for index in range(300)])
    assert steps.min() >= 0 and steps.max() < 2000
    assert torch.histc(steps.float(), 4, 0, 2000).min() > 100
