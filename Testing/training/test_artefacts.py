"""Artefacts of training images: where they are, how large, and that what the similarity compares is free of them."""

from __future__ import annotations

import pytest
import torch

from DiffuseMorphCore.networks import PRESETS
from DiffuseMorphCore.networks.model import DiffuseMorph
from DiffuseMorphCore.seeds import generator
from DiffuseMorphCore.training.appearance import Appearance
from DiffuseMorphCore.training.artefacts import cut_field_of_view, lesion, thick_slices
from DiffuseMorphCore.training.augmentation import AffineRange
from DiffuseMorphCore.training.objective import Draw, JointObjective, LossWeights
from DiffuseMorphCore.training.pair import Mixture, TrainingPair
from DiffuseMorphCore.training.shapes import RandomShapes
from DiffuseMorphCore.training.synthetic import Geometry, SyntheticPairs

CPU = torch.device("cpu")


def organ(*shape: int) -> torch.Tensor:
    """An image of one brightness, 0.5, with an empty margin of a quarter of each side."""
    image = torch.zeros(1, 1, *shape)
    image[(..., *(slice(side // 4, side - side // 4) for side in shape))] = 0.5
    return image


@pytest.mark.parametrize("shape", [(24, 20, 28), (40, 36)])
def test_a_lesion_is_a_blob_inside_the_organ(shape):
    image = organ(*shape)
    changed = []
    for index in range(12):
        found = lesion(image, generator(0, index))
        assert torch.equal(found[image == 0], image[image == 0]) and 0 <= found.min() and found.max() <= 1
        changed.append(float(((found - image).abs() > 0.01).sum() / (image > 0).sum()))
    assert 0 < sum(changed) / 12 < 0.5 and len(set(changed)) > 6
    empty = torch.zeros(1, 1, *shape)
    assert torch.equal(lesion(empty, generator(0, 0)), empty)


@pytest.mark.parametrize("shape", [(24, 24, 24), (48, 48)])
def test_thick_slices_blur_one_axis_and_keep_the_mean(shape):
    image = torch.rand(1, 1, *shape, generator=generator(0, 0))
    found = thick_slices(image, generator(0, 1))
    assert found.shape == image.shape and float(found.mean()) == pytest.approx(float(image.mean()), rel=0.02)
    roughness = [
        float(found.diff(dim=axis).abs().mean() / image.diff(dim=axis).abs().mean()) for axis in range(2, found.dim())
    ]
    # Averaging lowers the contrast along every axis; only along one are neighbours made alike.
    assert min(roughness) < 0.6 * sorted(roughness)[1]


def test_a_cut_field_of_view_is_empty_from_a_plane_to_the_border():
    image = torch.ones(1, 1, 20, 30, 40)
    for index in range(10):
        found = cut_field_of_view(image, generator(0, index))
        assert 0.03 < float((found == 0).float().mean()) < 0.55 and image.all()
        kept = [
            (found[0, 0] > 0).any(dim=0).any(dim=0),
            (found[0, 0] > 0).any(dim=0).any(dim=1),
            (found[0, 0] > 0).any(dim=1).any(dim=1),
        ]
        assert float(found.sum()) == pytest.approx(float(torch.tensor([side.sum() for side in kept]).prod()))


def test_the_similarity_compares_what_a_perfect_scanner_shows():
    still = AffineRange(0, 0, 0, 0)
    geometry = Geometry(
        (16, 16, 16), 10.0, 0.0, still, still, strength=0.0, flips=(), same_person=1.0, independent_contrast=1.0
    )
    shapes = RandomShapes()
    source = SyntheticPairs(shapes, None, geometry, Appearance(texture=0, bias=1, noise=0.1, lesions=1, cuts=1), seed=4)
    pair = source.draw(0, CPU)
    # One anatomy in one place: in one contrast the two renderings agree, the two images do not.
    assert torch.corrcoef(torch.stack([pair.moving_anatomy.flatten(), pair.fixed_anatomy.flatten()]))[0, 1] > 0.95
    assert torch.corrcoef(torch.stack([pair.moving.flatten(), pair.fixed.flatten()]))[0, 1] < 0.9
    model = DiffuseMorph(PRESETS["cardiac3d"].model)
    drawn = Draw(torch.zeros(1, dtype=torch.int64), torch.zeros_like(pair.fixed), torch.empty(0), True, 0.5)
    objective = JointObjective(model, LossWeights(registration_steps="zero", window=5))
    with torch.no_grad():
        clean = objective(pair, drawn)["similarity"]
        plain = objective(TrainingPair(pair.moving, pair.fixed), drawn)["similarity"]
    assert clean > plain + 0.1


def test_a_mixture_gives_each_source_its_share_by_index():
    class Constant:
        ndim = 2

        def __init__(self, value: float) -> None:
            self.image = torch.full((1, 1, 4, 4), value)

        def draw(self, index: int, device: torch.device) -> TrainingPair:
            return TrainingPair(self.image, self.image)

        def validation(self, device: torch.device) -> list[TrainingPair]:
            return [TrainingPair(self.image, self.image)]

    mixture = Mixture([Constant(1.0), Constant(2.0)], [3, 1], seed=5)
    values = [float(mixture.draw(index, CPU).moving.mean()) for index in range(400)]
    assert values == [float(mixture.draw(index, CPU).moving.mean()) for index in range(400)]
    assert values.count(2.0) / 400 == pytest.approx(0.25, abs=0.07)
    assert float(mixture.validation(CPU)[0].moving.mean()) == 1.0
