"""The trajectory: identity at eta = 0, the paper's field at 1, keyframes that are exact."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.samplers import Trajectory, even_etas, interpolate, latent_at
from DiffuseMorphCore.warp import exponential, warp


@pytest.fixture
def pair():
    """Makes a pair of smooth images (1, 1, *spatial)."""

    def make(ndim):
        shape = (11, 14, 9)[:ndim]
        axes = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in shape), indexing="ij")
        distance = sum(axis.square() for axis in axes)
        return tuple((0.9 * torch.tanh(4 * (radius - distance)))[None, None] for radius in (0.5, 0.7))

    return make


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("output", ["velocity", "displacement"])
def test_eta_zero_is_exactly_the_moving_image(small_model, pair, ndim, output):
    moving, fixed = pair(ndim)
    trajectory = Trajectory(small_model(ndim, output), moving, fixed)
    displacement = trajectory.exact(0)
    assert displacement.shape == (1, ndim, *moving.shape[2:])
    assert not displacement.any()
    assert torch.allclose(warp(moving, displacement), moving, atol=1e-6)  # up to the rounding of grid coordinates
    assert float(trajectory.exact(1).abs().max()) > 0.1


def test_forms_are_what_they_say(small_model, pair):
    model, (moving, fixed) = small_model(3), pair(3)
    anchored, faithful = (Trajectory(model, moving, fixed, form) for form in ("anchored", "faithful"))
    with torch.no_grad():
        latent = model.latent(moving, fixed)
        rest = model.field(moving, torch.zeros_like(latent))
        assert float(rest.abs().max()) > 0.01  # otherwise anchoring would show nothing
        for eta in (0.0, 0.3, 1.0):
            network = model.field(moving, eta * latent)
            assert torch.allclose(faithful.field(eta), network, atol=1e-5)
            assert torch.allclose(anchored.field(eta), network - (1 - eta) * rest, atol=1e-5)
        assert torch.equal(anchored.field(1.0), faithful.field(1.0))
        assert torch.allclose(anchored.exact(0.3), exponential(anchored.field(0.3)), atol=1e-6)


@pytest.mark.parametrize("form", ["anchored", "faithful"])
def test_a_stack_of_etas_is_its_etas_one_by_one(small_model, pair, form):
    trajectory = Trajectory(small_model(2), *pair(2), form)
    stack = trajectory.field([0.0, 0.4, 1.0, 0.0])
    for row, eta in zip(stack, (0.0, 0.4, 1.0, 0.0)):
        assert torch.allclose(row, trajectory.field(eta)[0], atol=1e-5)
    assert form == "faithful" or not stack[0].any() and not stack[3].any()
    assert trajectory.field([0.0, 0.0]).shape == stack[:2].shape


def test_the_trajectory_is_continuous_and_moves_on(small_model, pair):
    trajectory = Trajectory(small_model(3), *pair(3))
    frames = trajectory.keyframes(even_etas(41))
    steps = frames.diff(dim=0).abs().flatten(1).amax(1)
    assert float(steps.max()) < 0.2 * float(frames[-1].abs().max()) and float(steps.max()) > 0


def test_nothing_keeps_a_graph(small_model, pair):
    trajectory = Trajectory(small_model(2), *pair(2))
    assert not trajectory.latent.requires_grad and not trajectory.exact(0.5).requires_grad


def test_keyframes_are_exact_and_met_exactly(small_model, pair):
    trajectory, etas = Trajectory(small_model(3), *pair(3)), even_etas(4)
    frames = trajectory.keyframes(etas)
    assert frames.shape == (4, 3, 11, 14, 9)
    for index, eta in enumerate(etas):
        assert torch.equal(frames[index : index + 1], trajectory.exact(eta))
        assert torch.equal(interpolate(frames, etas, eta), frames[index : index + 1])


@pytest.mark.parametrize("eta", [-0.01, 1.01, float("nan")])
def test_eta_outside_is_refused(small_model, pair, eta):
    with pytest.raises(DiffuseMorphError, match="must be from 0"):
        interpolate(torch.zeros(2, 2, 3, 3), (0.0, 1.0), eta)
    with pytest.raises(DiffuseMorphError, match="must be from 0"):
        Trajectory(small_model(2), *pair(2)).exact(eta)


def test_a_drawn_latent_depends_on_its_seed_and_level(small_model, pair):
    model, (moving, fixed) = small_model(3), pair(3)
    one = latent_at(model, moving, fixed, step=300, seed=1)
    assert one.shape == fixed.shape and torch.equal(one, latent_at(model, moving, fixed, step=300, seed=1))
    assert not torch.equal(one, latent_at(model, moving, fixed, step=300, seed=2))
    assert not torch.equal(one, latent_at(model, moving, fixed, step=900, seed=1))
    drawn, free = Trajectory(model, moving, fixed, latent=one), Trajectory(model, moving, fixed)
    assert drawn.latent is one and not torch.equal(drawn.exact(1), free.exact(1))
    # Index 0 has almost no noise, so its latent is close to the noise-free one.
    near = latent_at(model, moving, fixed, step=0, seed=1)
    assert float((near - free.latent).abs().mean()) < 0.1 * float((one - free.latent).abs().mean())
    for step in (-1, 2000):
        with pytest.raises(DiffuseMorphError, match="choose 0 to 1999"):
            latent_at(model, moving, fixed, step=step, seed=0)


def test_misuse_is_refused(small_model, pair):
    model, (moving, fixed) = small_model(2), pair(2)
    with pytest.raises(DiffuseMorphError, match="anchored, faithful"):
        Trajectory(model, moving, fixed, form="straight")
    with pytest.raises(ValueError, match="one pair"):
        Trajectory(model, moving.repeat(2, 1, 1, 1), fixed.repeat(2, 1, 1, 1))
    with pytest.raises(ValueError, match="as many etas"):
        interpolate(torch.zeros(3, 2, 4, 4), (0.0, 1.0), 0.5)


class ElementsWritten(TorchDispatchMode):
    """Counts the numbers that operations write, views apart: what a computation costs on every machine."""

    VIEWS = ("select", "slice", "view", "unsqueeze", "expand", "detach", "alias", "as_strided")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and not any(name in str(function) for name in self.VIEWS):
            self.count += result.numel()
        return result


@pytest.mark.parametrize("eta", [0.0, 0.13, 0.2, 0.71, 1.0])
def test_any_eta_costs_one_blend_and_no_memory(eta):
    """Milliseconds on a field of half the size in every direction: each vector is written once, into what is there."""
    frames, etas, out = torch.randn(6, 3, 8, 9, 11), even_etas(6), torch.empty(1, 3, 8, 9, 11)
    with ElementsWritten() as written:
        result = interpolate(frames, etas, eta, out)
    assert written.count <= out.numel()
    assert result.data_ptr() == out.data_ptr()
