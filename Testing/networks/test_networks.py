"""Published sizes and starting weights; any image size, batches, and gradients through both networks."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from DiffuseMorphCore.networks import PRESETS, DeformationNetwork, DiffuseMorph, DiffusionNetwork
from DiffuseMorphCore.networks.blocks import (
    Convolution3d,
    LinearAttention,
    SoftmaxAttention,
    pad_to_multiple,
    timestep_embedding,
)
from DiffuseMorphCore.similarity.local_correlation import local_correlation
from DiffuseMorphCore.warp import warp


def parameters(network: nn.Module) -> int:
    return sum(entry.numel() for entry in network.parameters())


def test_a_narrow_copy_of_the_2d_networks_runs():
    # The published ones have 90 million weights; these differ from them in width only.
    preset = PRESETS["face2d"].model
    model = DiffuseMorph(
        dataclasses.replace(
            preset,
            diffusion=dataclasses.replace(preset.diffusion, width=8, groups=4),
            deformation=dataclasses.replace(preset.deformation, encoder=(4, 4, 8, 8, 8), decoder=(8, 8, 8, 4, 4)),
        )
    )
    latent, field = model(*torch.rand(3, 2, 1, 33, 40), torch.tensor([0, 1999]))
    assert latent.shape == (2, 1, 33, 40) and field.shape == (2, 2, 33, 40)
    assert 0 < float(field.detach().abs().max()) < 0.1  # the authors' start: next to no deformation


def test_published_parameter_counts_2d():
    with torch.device("meta"):  # 90 million weights need not be filled to be counted
        model = DiffuseMorph(PRESETS["face2d"].model)
    assert parameters(model.diffusion) == 15_936_129
    assert parameters(model.deformation) == 74_736_258


@pytest.mark.parametrize("name", ["cardiac3d", "brain3d"])
def test_published_parameter_counts_3d(name):
    model = DiffuseMorph(PRESETS[name].model)
    assert parameters(model.diffusion) == 715_665
    assert parameters(model.deformation) == 361_299


@pytest.mark.parametrize("name, kind", [("face2d", SoftmaxAttention), ("brain3d", LinearAttention)])
def test_the_authors_attend_once_at_the_coarsest_level(name, kind):
    with torch.device("meta"):
        network = DiffusionNetwork(PRESETS[name].model.ndim, PRESETS[name].model.diffusion)
    found = [module for module in network.modules() if isinstance(module, (SoftmaxAttention, LinearAttention))]
    assert found == [network.middle_attention] and isinstance(network.middle_attention, kind)


def test_our_default_attends_where_its_grid_lets_it():
    network = DiffusionNetwork(3, PRESETS["default3d"].model.diffusion)
    assert sum(isinstance(module, LinearAttention) for module in network.modules()) == 4  # level 2: 1 + 2; middle: 1


def test_starting_weights_of_the_diffusion_network_are_orthogonal():
    torch.manual_seed(0)
    network = DiffusionNetwork(3, PRESETS["brain3d"].model.diffusion)
    weight = network.middle_in.convolution_in.weight.detach().flatten(1)
    assert torch.allclose(weight @ weight.T, torch.eye(len(weight)), atol=1e-5)
    assert not network.exit.bias.any() and float(network.exit.weight.detach().norm()) == pytest.approx(1, abs=1e-5)


def test_starting_weights_of_the_deformation_network_are_those_of_the_authors():
    torch.manual_seed(0)
    network = DeformationNetwork(3, PRESETS["brain3d"].model.deformation)
    layers = [module for module in network.modules() if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d))]
    assert len(layers) == 15
    for layer in layers:
        count = layer.weight.numel()
        assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=4 / math.sqrt(2 * count))
        assert not layer.bias.any()


def test_kaiming_start_keeps_the_signal_and_gives_a_small_field():
    torch.manual_seed(0)
    network = DeformationNetwork(3, PRESETS["default3d"].model.deformation)
    sizes = {}
    for name, module in [("first", network.down[0]), ("last", network.up[-1])]:
        module.register_forward_hook(lambda _, __, output, name=name: sizes.update({name: output.detach().std()}))
    field = network(torch.randn(1, 1, 16, 16, 16), torch.randn(1, 1, 16, 16, 16))
    assert 0.3 < float(sizes["last"] / sizes["first"]) < 3
    assert 1e-4 < float(field.detach().abs().max()) < 0.3


def test_time_code_tells_steps_apart():
    code = timestep_embedding(torch.arange(2000), 8)
    assert code.shape == (2000, 8) and torch.equal(code[0], torch.tensor([0.0] * 4 + [1.0] * 4))
    assert torch.allclose(code[7, 0], torch.tensor(7.0).sin()) and torch.allclose(code[7, 4], torch.tensor(7.0).cos())
    assert float(torch.pdist(code[::50]).min()) > 0.01


def test_padding_repeats_the_border_and_is_undone():
    image = torch.arange(5.0).reshape(1, 1, 5, 1)
    padded, window = pad_to_multiple(image, 4)
    assert padded.shape == (1, 1, 8, 4)
    assert torch.equal(padded[0, 0, :, 2], torch.tensor([0.0, 0, 1, 2, 3, 4, 4, 4]))
    assert torch.equal(padded[window], image)


@pytest.mark.parametrize("side", [6, 40])  # one on either side of the size from which PyTorch is quick by itself
@pytest.mark.parametrize("stride", [1, 2])
def test_a_single_image_is_convolved_as_in_a_batch(side, stride):
    torch.manual_seed(0)
    layer, image = Convolution3d(16, 3, 3, stride=stride, padding=1), torch.randn(1, 16, side, 36, 4)
    plain = nn.Conv3d(16, 3, 3, stride=stride, padding=1)
    plain.load_state_dict(layer.state_dict())
    gradients = []
    for network in (layer, plain):
        features = image.clone().requires_grad_()
        found = network(features)
        found.square().mean().backward()
        gradients.append((found.detach(), features.grad, network.weight.grad, network.bias.grad))
    assert all(torch.allclose(one, other, rtol=1e-3, atol=1e-5) for one, other in zip(*gradients))


@torch.no_grad()
@pytest.mark.parametrize("heads", [1, 2])
def test_softmax_attention_is_the_weighted_mean_it_stands_for(heads):
    torch.manual_seed(0)
    layer, features = SoftmaxAttention(2, 8, heads, 4), torch.randn(2, 8, 3, 5)
    query, key, value = layer.split(layer.norm(features)).flatten(2).chunk(3, dim=1)
    mixed = []
    for head in torch.arange(8).chunk(heads):
        scores = torch.einsum("bcp,bcq->bpq", query[:, head], key[:, head]) / 8**0.5
        mixed.append(torch.einsum("bpq,bcq->bcp", scores.softmax(-1), value[:, head]))
    expected = features + layer.join(torch.cat(mixed, 1).reshape(features.shape))
    assert torch.allclose(layer(features), expected, atol=1e-5)


@torch.no_grad()
def test_linear_attention_is_the_weighted_sum_it_stands_for():
    torch.manual_seed(0)
    layer, features = LinearAttention(2, 8, 2, 4), torch.randn(2, 8, 3, 5)
    query, key, value = layer.split(layer.norm(features)).flatten(2).chunk(3, dim=1)
    mixed = torch.zeros_like(value)
    for head in (slice(0, 4), slice(4, 8)):
        for position in range(15):
            for other in range(15):
                share = key[:, head].softmax(-1)[..., other] * query[:, head, position]
                mixed[:, head, position] += share.sum(1, keepdim=True) * value[:, head, other]
    expected = features + layer.join(mixed.reshape(features.shape))
    assert torch.allclose(layer(features), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (7, 13), (16, 12), (1, 1, 1), (5, 9, 17), (8, 4, 12)])
def test_any_size_gives_fields_of_that_size(small_model, shape):
    model = small_model(len(shape))
    moving, fixed = torch.rand(2, 2, 1, *shape) * 2 - 1
    latent = model.latent(moving, fixed, step=3)
    field = model.field(moving, latent)
    assert latent.shape == (2, 1, *shape) and field.shape == (2, len(shape), *shape)
    assert torch.isfinite(field).all() and model.displacement(field).shape == field.shape


@torch.no_grad()
@pytest.mark.parametrize("ndim", [2, 3])
def test_a_batch_is_its_members_one_by_one(small_model, ndim):
    model = small_model(ndim)
    torch.manual_seed(0)
    moving, fixed, noisy = torch.rand(3, 3, 1, *(9, 14, 8)[:ndim]) * 2 - 1
    steps = torch.tensor([0, 700, 1999])
    latents, fields = model(moving, fixed, noisy, steps)
    for index in range(3):
        one = slice(index, index + 1)
        latent, field = model(moving[one], fixed[one], noisy[one], steps[one])
        assert torch.allclose(latent, latents[one], atol=1e-4) and torch.allclose(field, fields[one], atol=1e-3)
    # The members do differ, and so do the steps.
    assert float((latents[0] - latents[1]).abs().mean()) > 1e-2
    assert float((model.latent(moving, fixed, noisy, 0) - model.latent(moving, fixed, noisy, 999)).abs().mean()) > 1e-3


def test_the_order_of_the_inputs_is_moving_fixed_noisy(small_model):
    model = small_model(2)
    moving, fixed, noisy = torch.rand(3, 1, 1, 8, 8)
    seen = []
    model.diffusion.entry.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    model.deformation.down[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    latent = model.latent(moving, fixed, noisy, 0)
    model.field(moving, latent)
    assert torch.equal(seen[0], torch.cat((moving, fixed, noisy), 1))
    assert torch.equal(seen[1], torch.cat((moving, latent), 1))
    model.latent(moving, fixed)
    assert torch.equal(seen[2], torch.cat((moving, fixed, fixed), 1))


@pytest.mark.parametrize("ndim, output", [(2, "velocity"), (3, "displacement")])
def test_the_registration_loss_reaches_the_diffusion_network(small_model, ndim, output):
    model = small_model(ndim, output).train()
    torch.manual_seed(0)
    moving, fixed = torch.rand(2, 1, 1, *(12, 16, 9)[:ndim]) * 2 - 1
    noise = torch.randn(fixed.shape)
    step = torch.tensor([300])
    _, field = model(moving, fixed, model.schedule.add_noise(fixed, step, noise), step)
    loss = -local_correlation(warp(moving, model.displacement(field)), fixed)
    loss.backward()
    silent = [name for name, entry in model.named_parameters() if entry.grad is None or not entry.grad.any()]
    # Group normalisation takes a constant away again, so a bias before it may feel nothing.
    assert not [name for name in silent if not name.endswith("bias")]
    assert model.diffusion.entry.weight.grad.abs().max() > 0


@torch.no_grad()
def test_mixed_precision_stays_close_and_gives_float32(small_model):
    model = small_model(3)
    torch.manual_seed(0)
    moving, fixed = torch.rand(2, 1, 1, 12, 16, 8) * 2 - 1
    exact = model.latent(moving, fixed)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        latent = model.latent(moving, fixed)
        field = model.field(moving, latent)
    assert latent.dtype == field.dtype == torch.float32
    assert float((latent - exact).abs().mean()) < 0.05 * float(exact.std())


def test_images_that_do_not_match_are_refused(small_model):
    model = small_model(3)
    with pytest.raises(ValueError, match="one shape"):
        model.latent(torch.zeros(1, 1, 8, 8, 8), torch.zeros(1, 1, 8, 8, 9))
    with pytest.raises(ValueError, match="3 spatial axes"):
        model.field(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
