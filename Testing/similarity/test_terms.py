"""What every similarity term must do: a new one is tested by being registered. And sums of terms."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from DiffuseMorphCore.similarity import TERMS, PreparedTerm, SimilarityTerm
from DiffuseMorphCore.warp import compose, downsample, resize_displacement, smooth, warp
from Testing.similarity.made_pairs import SHAPES, deformed, pair_of, random_field, texture

every_term = pytest.mark.parametrize("name", TERMS)
both_dimensions = pytest.mark.parametrize("ndim", [2, 3])


def half_mask(shape):
    mask = torch.ones(1, 1, *shape)
    mask[..., : shape[-1] // 2] = 0
    return mask


@every_term
def test_a_term_says_what_it_is(name):
    term = TERMS[name]
    assert isinstance(term, SimilarityTerm)
    assert term.measure and term.bytes_per_voxel > 0
    pair, field = deformed(2)
    assert isinstance(term.prepare(pair, field, pair.shape), PreparedTerm)


@every_term
@both_dimensions
def test_it_is_one_for_a_perfect_match_and_about_zero_for_strangers(name, ndim):
    torch.manual_seed(1)
    image, other = texture(*SHAPES[ndim]), texture(*SHAPES[ndim])
    identity = torch.zeros(1, ndim, *SHAPES[ndim])
    match = TERMS[name].prepare(pair_of(image, image), identity, SHAPES[ndim]).value(identity)
    strangers = TERMS[name].prepare(pair_of(image, other), identity, SHAPES[ndim]).value(identity)
    assert match.shape == strangers.shape == (1,)
    assert float(match) == pytest.approx(1, abs=0.02)
    assert -0.2 < float(strangers) < 0.45


@every_term
@both_dimensions
def test_the_true_displacement_is_better_than_none_and_the_force_points_to_it(name, ndim):
    pair, field = deformed(ndim)
    prepared = TERMS[name].prepare(pair, field, pair.shape)
    identity = torch.zeros_like(field)
    value, force = prepared.force(identity)
    assert float(prepared.value(field)) > float(value)
    assert force.shape == field.shape and force.dtype == field.dtype
    assert float((smooth(force, 1.0) * field).sum()) > 0


@every_term
@both_dimensions
@pytest.mark.parametrize("masked", [False, True])
def test_the_force_is_the_slope_of_the_value(name, ndim, masked):
    """Central differences of the images stand for their derivatives: hence smooth images, and no equality."""
    torch.manual_seed(2)
    shape = SHAPES[ndim]
    moving = texture(*shape, width=2.5)
    mask = half_mask(shape) if masked else None
    pair = pair_of(warp(moving, random_field(shape, 1.5)), moving, mask)
    inside = torch.ones(shape)
    for axis, size in enumerate(shape):  # at the border the value continues, which a derivative does not see
        inside.narrow(axis, 0, 4).zero_(), inside.narrow(axis, size - 4, 4).zero_()
    start = random_field(shape, 0.5)
    prepared = TERMS[name].prepare(pair, start, shape)
    _, force = prepared.force(start)
    push = force / force.norm(dim=1).amax() * inside
    step = 0.02
    ahead, behind = (prepared.value(compose(start, sign * step * push)) for sign in (1, -1))
    found, expected = float((ahead - behind) / (2 * step)), float((force * push).sum())
    assert found == pytest.approx(expected, rel=0.25)


@every_term
@both_dimensions
def test_the_same_input_gives_the_same_bits(name, ndim):
    pair, field = deformed(ndim)
    first, second = (TERMS[name].prepare(pair, field, pair.shape).force(0.5 * field) for _ in range(2))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


@every_term
@both_dimensions
def test_value_and_force_tell_the_same_value(name, ndim):
    pair, field = deformed(ndim)
    prepared = TERMS[name].prepare(pair, field, pair.shape)
    torch.testing.assert_close(prepared.value(0.5 * field), prepared.force(0.5 * field)[0])


@every_term
@both_dimensions
def test_a_displacement_may_lie_on_a_coarser_grid(name, ndim):
    pair, field = deformed(ndim)
    coarse = tuple(round(size * 2 / 3) for size in pair.shape)
    prepared = TERMS[name].prepare(pair, field, pair.shape)
    small = resize_displacement(field, coarse)
    value, force = prepared.force(small)
    assert force.shape == small.shape
    fine_value, fine = prepared.force(resize_displacement(small, pair.shape))
    torch.testing.assert_close(value, fine_value)
    torch.testing.assert_close(force, downsample(fine, coarse))


@every_term
@both_dimensions
def test_a_batch_of_displacements_is_as_good_as_one_after_the_other(name, ndim):
    pair, field = deformed(ndim)
    batch = torch.cat([0 * field, 0.5 * field, field])
    values, forces = TERMS[name].prepare(pair, batch, pair.shape).force(batch)
    assert values.shape == (3,)
    for index, one in enumerate(batch.split(1)):
        value, force = TERMS[name].prepare(pair, one, pair.shape).force(one)
        torch.testing.assert_close(values[index], value[0])
        torch.testing.assert_close(forces[index], force[0], rtol=1e-4, atol=1e-6 * float(force.abs().amax()))


@pytest.mark.parametrize("name", [name for name, term in TERMS.items() if not term.uses_tissue])
@both_dimensions
def test_two_equal_channels_say_what_one_says(name, ndim):
    pair, field = deformed(ndim)
    double = pair_of(pair.fixed.repeat(1, 2, *[1] * ndim), pair.moving.repeat(1, 2, *[1] * ndim))
    value, force = TERMS[name].prepare(pair, field, pair.shape).force(0.5 * field)
    doubled = TERMS[name].prepare(double, field, pair.shape).force(0.5 * field)
    torch.testing.assert_close(doubled[0], value, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(doubled[1], force, rtol=1e-3, atol=1e-5 * float(force.abs().amax()))


@every_term
@both_dimensions
@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_what_a_mask_leaves_out_does_not_matter_to_the_last_bit(name, ndim, side):
    pair, field = deformed(ndim)
    mask = half_mask(pair.shape)
    found = []
    for filling in (0.0, 1.0, torch.rand(pair.shape)):
        images = {"fixed": pair.fixed, "moving": pair.moving}
        images[side] = torch.where(mask > 0, images[side], filling)
        masked = pair_of(**images, **{f"{side}_mask": mask})
        found.append(TERMS[name].prepare(masked, 0 * field, pair.shape).value(0 * field))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


@every_term
@both_dimensions
def test_constant_images_and_empty_masks_give_finite_values_and_no_force(name, ndim):
    torch.manual_seed(3)
    image, identity = texture(*SHAPES[ndim]), torch.zeros(1, ndim, *SHAPES[ndim])
    flat, nowhere = torch.full_like(image, 0.3), torch.zeros_like(image)
    for pair in (
        pair_of(flat, image),
        pair_of(image, flat),
        pair_of(flat, flat),
        pair_of(image, 1 - image, fixed_mask=nowhere),
        pair_of(image, 1 - image, moving_mask=nowhere),
    ):
        value, force = TERMS[name].prepare(pair, identity, pair.shape).force(identity)
        assert bool(value.isfinite()) and bool(force.isfinite().all())
        if pair.fixed is flat or pair.moving is flat:
            assert float(force.abs().amax()) * force[0].numel() < 1e-3


class PeakMemory(TorchDispatchMode):
    """The most bytes of tensors made inside the block that were alive at a time."""

    def __init__(self):
        super().__init__()
        self.alive, self.now, self.most = {}, 0, 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.alive:
                    self.alive[storage._cdata] = storage.nbytes()
                    self.now += storage.nbytes()
                    weakref.finalize(storage, self._gone, storage._cdata)
        self.most = max(self.most, self.now)
        return result

    def _gone(self, key):
        self.now -= self.alive.pop(key, 0)


@every_term
def test_it_needs_the_memory_it_says(name):
    torch.manual_seed(4)
    shape = (40, 44, 48)
    image, share = texture(*shape), torch.rand(1, 1, *shape)
    tissue = {"fixed_tissue": share, "moving_tissue": share} if TERMS[name].uses_tissue else {}
    pair, identity = pair_of(image, image.flip(2), share, share, **tissue), torch.zeros(1, 3, *shape)
    with PeakMemory() as memory:
        TERMS[name].prepare(pair, identity, shape).force(identity)
    needed = memory.most / image.numel()
    assert 0.3 * TERMS[name].bytes_per_voxel < needed <= TERMS[name].bytes_per_voxel


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_term
def test_a_gpu_gives_the_same_within_rounding(name):
    pair, field = deformed(3)
    value, force = TERMS[name].prepare(pair, field, pair.shape).force(field)
    there = pair.to(torch.device("cuda"))
    gpu_value, gpu_force = TERMS[name].prepare(there, field.cuda(), pair.shape).force(field.cuda())
    torch.testing.assert_close(gpu_value.cpu(), value, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(gpu_force.cpu(), force, rtol=1e-2, atol=1e-2 * float(force.abs().amax()))
