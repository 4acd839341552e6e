"""Guides pull the right way: their force is the derivative of what they want, as finite differences have it."""

from __future__ import annotations

import pytest
import torch

from DiffuseMorphCore.similarity import ImagePair, LocalCorrelation, Similarity
from DiffuseMorphCore.similarity.kept_volume import KeptVolume
from DiffuseMorphCore.similarity.label_overlap import LabelOverlap, label_codes
from DiffuseMorphCore.similarity.landmarks import LandmarkPull
from DiffuseMorphCore.similarity.other_contrast import OtherContrast
from DiffuseMorphCore.warp import compose, smooth

SHAPE = (18, 20, 16)


def noise(channels: int = 1, seed: int = 0, width: float = 2.0) -> torch.Tensor:
    values = torch.randn((1, channels, *SHAPE), generator=torch.Generator().manual_seed(seed))
    return smooth(values, width)


def displacement(scale: float = 4.0) -> torch.Tensor:
    return scale * noise(3, 5, 3.0)


def guides():
    points = torch.tensor([[4.0, 5.0, 6.0], [12.0, 14.0, 9.0], [9.0, 3.0, 12.0]])
    labels = ImagePair((noise(2, 1) > 0).float(), (noise(2, 2) > 0).float())
    region = torch.zeros((1, 1, *SHAPE))
    region[..., 5:13, 5:14, 4:12] = 1
    return {
        "landmarks": LandmarkPull(points, points + torch.tensor([2.0, -1.0, 0.5]), SHAPE),
        "labels": LabelOverlap(ImagePair(smooth(labels.fixed, 1.0), smooth(labels.moving, 1.0))),
        "volume in the fixed image": KeptVolume(smooth(region, 1.0), None),
        "volume in the moving image": KeptVolume(None, smooth(region, 1.0)),
        "further contrast": OtherContrast(
            ImagePair(noise(1, 7), noise(1, 8)), Similarity(((1.0, LocalCorrelation()),))
        ),
    }


@pytest.mark.parametrize("name", guides())
def test_a_small_step_along_the_force_brings_it_nearer(name):
    pair = ImagePair(noise(1, 3), noise(1, 4))
    start = displacement()
    prepared = guides()[name].prepare(pair, start, SHAPE)
    value, force = prepared.force(start)
    torch.testing.assert_close(value, prepared.value(start))
    assert force.shape == start.shape and bool(force.isfinite().all())
    step = 0.02 * smooth(force, 1.1) / force.abs().amax()
    up, down = prepared.value(compose(start, step)), prepared.value(compose(start, -step))
    assert float(up - value) > 0 > float(down - value)


def test_landmarks_that_have_arrived_pull_no_more():
    points = torch.tensor([[4.0, 5.0, 6.0], [12.0, 14.0, 9.0]])
    shift = torch.tensor([1.0, 2.0, -1.0])
    prepared = LandmarkPull(points, points + shift, SHAPE).prepare(None, None, SHAPE)
    there = shift.view(1, 3, 1, 1, 1).expand(1, 3, *SHAPE)
    value, force = prepared.force(there)
    assert float(value) == pytest.approx(1.0) and float(force.abs().amax()) < 1e-5
    # A voxel and more away the pull is full, straight to the target, and the same on a coarser grid.
    for shape in (SHAPE, (9, 10, 8)):
        _, force = prepared.force(torch.zeros((1, 3, *shape)))
        index = tuple(round(float(p) * (n - 1) / (m - 1)) for p, n, m in zip(points[0], shape, SHAPE))
        pull = force[(0, slice(None), *index)]
        scale = torch.tensor([(n - 1) / (m - 1) for n, m in zip(shape, SHAPE)])
        aim = shift * scale
        torch.testing.assert_close(pull / pull.norm(), aim / aim.norm(), atol=0.05, rtol=0)


def test_codes_tell_all_labels_apart():
    for count in (1, 5, 8, 30, 200):
        codes = label_codes(count)
        distances = torch.cdist(codes, codes) + 2 * torch.eye(count)
        assert codes.shape[1] <= 8 and float(distances.min()) > 0.2
        torch.testing.assert_close(codes.norm(dim=1), torch.ones(count))


def test_without_guides_the_sum_is_as_before_and_unguided_is_of_the_images():
    pair = ImagePair(noise(1, 3), noise(1, 4))
    plain = Similarity(((1.0, LocalCorrelation()),))
    guide = guides()["landmarks"]
    guided = Similarity(plain.terms, guides=((1.0, guide),))
    zero = torch.zeros((1, 3, *SHAPE))
    assert guided.unguided.evaluate(pair, zero) == plain.evaluate(pair, zero)
    both = (plain.evaluate(pair, zero) + float(guide.prepare(pair, zero, SHAPE).value(zero))) / 2
    assert guided.evaluate(pair, zero) == pytest.approx(both)
