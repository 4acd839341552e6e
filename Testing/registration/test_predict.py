"""The network's passes: grids from coarse to fine, the paper's way in the first, the identity scaled with eta."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.predict import network_images, pass_shapes, predict
from DiffuseMorphCore.samplers import Trajectory
from DiffuseMorphCore.similarity import ImagePair
from DiffuseMorphCore.warp import compose, downsample, resize_displacement, warp

ETAS = (0.0, 0.25, 1.0)


def grid(*shape):
    return Grid(shape[::-1], (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return ImagePair(torch.rand(1, 1, 24, 20, 16), torch.rand(1, 1, 24, 20, 16))


@pytest.fixture
def model(small_model):
    """Makes a model with a first grid of 12 voxels and further ones."""

    def make(*finer):
        network = small_model()
        network.configuration = replace(network.configuration, working_side=12, finer_sides=finer)
        return network

    return make


def test_no_grid_is_finer_than_the_images_or_seen_twice(model):
    assert pass_shapes(model(16, 20), (24, 20, 16)) == [(12, 10, 8), (16, 13, 11), (20, 17, 13)]
    assert pass_shapes(model(16, 20), (14, 14, 7)) == [(12, 12, 6), (14, 14, 7)]
    assert pass_shapes(model(16, 20), (9, 5, 4)) == [(9, 5, 4)]


def test_one_pass_is_the_trajectory(model, pair):
    found = predict(model(), pair, grid(12, 10, 8), ETAS, "anchored").keyframes
    expected = Trajectory(model(), *network_images(model(), pair)).keyframes(ETAS)
    torch.testing.assert_close(found, expected)


def test_further_passes_start_where_the_last_one_ended(model, pair):
    shape = (24, 20, 16)
    network = model(16)
    found = predict(network, pair, grid(*shape), ETAS, "anchored").keyframes
    first = predict(model(), pair, grid(*shape), ETAS, "anchored").keyframes
    images = [downsample(image, (16, 13, 11)) * 2 - 1 for image in (warp(pair.moving, first[-1:]), pair.fixed)]
    change = resize_displacement(Trajectory(network, *images).exact(1.0), shape)
    end = compose(first[-1:], change)
    assert float((end - first[-1:]).norm(dim=1).mean()) > 0.1
    torch.testing.assert_close(found[-1:], end, atol=1e-4, rtol=0)
    torch.testing.assert_close(found[1:2] - first[1:2], 0.25 * (end - first[-1:]), atol=1e-4, rtol=0)
    assert not found[0].any()
    torch.testing.assert_close(predict(network, pair, grid(*shape), ETAS, "anchored", further=False).keyframes, first)
