"""The parts of MSDIRNet: gates, dilated inception, the two scales, and a critic that pays for itself alone."""

import pytest
import torch
from torch.nn.functional import softplus

from DiffuseMorphCore.evaluation.paper.arrangement import tiny_networks
from DiffuseMorphCore.evaluation.paper.baselines import build_objective
from DiffuseMorphCore.evaluation.paper.msdirnet import AttentionGate, Critic, DilatedInception, MultiscaleNetwork
from DiffuseMorphCore.training.objective import LossWeights
from DiffuseMorphCore.warp.sampling import compose, resize, resize_displacement, warp


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def network(ndim):
    """Both networks with fields large enough to matter."""
    made = MultiscaleNetwork(ndim, tiny_networks(ndim).deformation)
    with torch.no_grad():
        for scale in (made.whole, made.local):
            scale.exit.weight.mul_(200)
    return made


def images(*sides):
    return (resize(torch.rand(1, 1, *[4] * len(sides)), sides) * 2 - 1 for _ in range(2))


def test_a_gate_lets_a_share_through_that_depends_on_both():
    gate = AttentionGate(2, 4, 6)
    kept, asking = torch.randn(2, 4, 8, 9), torch.randn(2, 6, 8, 9)
    with torch.no_grad():
        share = gate(kept, asking) / kept
    assert share.min() >= 0 and share.max() <= 1 and share.std() > 1e-3
    # One share a voxel, the same for all channels; another for another question.
    assert share == pytest.approx(share[:, :1].expand_as(share), abs=1e-5)
    assert not torch.allclose(gate(kept, asking), gate(kept, -asking))
    with torch.no_grad():
        for parameter in gate.parameters():
            parameter.zero_()
    assert torch.allclose(gate(kept, asking), kept / 2)


@pytest.mark.parametrize("ndim", [2, 3])
def test_dilated_inception_reaches_three_voxels_and_keeps_the_grid(ndim):
    layer = DilatedInception(ndim, 3)
    features = torch.randn(1, 3, *[11] * ndim)
    changed = features.clone()
    changed[(0, slice(None), *[5] * ndim)] += 1
    difference = (layer(changed) - layer(features)).abs().sum(1)[0]
    reached = torch.nonzero(difference > 1e-7) - 5
    # Along each axis to 0, 1, 2 or 3 voxels, all axes by the same dilation or not at all.
    assert difference.shape == features.shape[2:] and reached.abs().max() == 3
    seen = {tuple(sorted(set(offset.abs().tolist()) - {0})) for offset in reached}
    assert seen == {(), (1,), (2,), (3,)}


@pytest.mark.parametrize("sides", [(24, 21), (12, 10, 14)])
def test_the_local_network_corrects_what_the_global_one_has_moved(sides):
    made = network(len(sides))
    moving, fixed = images(*sides)
    half = [side // 2 for side in sides]
    with torch.no_grad():
        coarse = resize_displacement(made.whole(resize(moving, half), resize(fixed, half)), sides)
        whole = made(moving, fixed)
        assert whole.shape == (1, len(sides), *sides) and coarse.norm(dim=1).mean() > 0.05
        assert torch.allclose(whole, compose(coarse, made.local(warp(moving, coarse), fixed)), atol=1e-6)
        made.local.exit.weight.zero_()
        assert torch.allclose(made(moving, fixed), coarse, atol=1e-6)
    with pytest.raises(ValueError, match="MSDIRNet"):
        made(moving, fixed[:, :, 1:])


def test_network_and_critic_each_pay_for_themselves():
    objective = build_objective("msdirnet", tiny_networks(2), LossWeights())
    moving, fixed = images(24, 20)
    moved = warp(moving, objective.network(moving, fixed))
    deceived, told = objective.opinions(moved, fixed)
    gradients = [
        [
            torch.autograd.grad(term, list(part.parameters()), retain_graph=True, allow_unused=True)
            for part in (objective.network, objective.critic)
        ]
        for term in (deceived, told)
    ]
    moves = [[any(g is not None and g.abs().max() > 0 for g in part) for part in term] for term in gradients]
    assert moves == [[True, False], [False, True]]


def test_the_critic_learns_to_tell_and_its_opinion_leads_away_from_what_it_tells():
    critic = Critic(2)
    sharp, blurred = (resize(torch.rand(4, 1, side, side), (24, 24)) for side in (24, 5))
    optimiser = torch.optim.Adam(critic.parameters(), lr=5e-3)
    for _ in range(30):
        loss = softplus(-critic(sharp)).mean() + softplus(critic(blurred)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert critic(sharp).shape == (4, 1, 3, 3)
    assert float((critic(sharp) > 0).float().mean()) > 0.9 and float((critic(blurred) < 0).float().mean()) > 0.9
    objective = build_objective("msdirnet", tiny_networks(2), LossWeights())
    objective.critic = critic
    with torch.no_grad():
        found_out, passed = objective.opinions(blurred, sharp)[0], objective.opinions(sharp, sharp)[0]
    assert float(found_out) > float(passed) + 0.5
