"""The objective of a training step waits for a GPU only where the exponential asks how long a velocity is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from DiffuseMorphCore.networks.model import DiffuseMorph
from DiffuseMorphCore.networks.presets import PRESETS
from DiffuseMorphCore.seeds import generator
from DiffuseMorphCore.training.canonical_objective import CanonicalObjective
from DiffuseMorphCore.training.objective import JointObjective, LossWeights, draw
from DiffuseMorphCore.training.pair import TrainingPair, stack
from DiffuseMorphCore.training.settings import TrainingRun
from DiffuseMorphCore.training.tissue_maps import TissueMap
from DiffuseMorphCore.training.tissue_pairs import TissuePairs
from Testing.readings import Readings

SHAPE = (24, 24, 24)


def heads():
    """Two people: fluid around cortex around white matter, in a skin."""
    distance = torch.stack(torch.meshgrid(*[torch.arange(44.0) - 21.5] * 3, indexing="ij")).norm(dim=0)
    people = []
    for size in (1.0, 1.1):
        tissues = torch.zeros(distance.shape, dtype=torch.uint8)
        for radius, tissue in ((19, 22), (16, 16), (14, 2), (10, 1), (4, 3)):
            tissues[distance < radius / size] = tissue
        people.append(TissueMap("head", tissues, torch.full((3,), 3.0), torch.full((3,), 21.5)))
    return people


@pytest.mark.parametrize("zero_share", [0.0, 1.0])
def test_the_objective_of_the_canonical_contrast(zero_share):
    torch.manual_seed(0)
    source = TissuePairs(heads(), [], replace(TrainingRun().geometry, shape=SHAPE, spacing=5.0))
    pair = stack([source.draw(0, torch.device("cpu"))])
    weights = LossWeights(zero_share=zero_share)
    model = DiffuseMorph(PRESETS["canonical3d"].model)
    control = DiffuseMorph(replace(model.configuration, diffusion=None))
    objective = CanonicalObjective(model, weights, control)
    drawn = draw(pair, weights, 2000, generator(0))
    with Readings() as readings:
        objective(pair, drawn)["loss"].backward()
    assert readings.counts == {"aten::_local_scalar_dense": 2}  # one field of the model, one of the control
    assert all(weight.grad.isfinite().all() for weight in control.parameters())
    assert any(weight.grad.any() for weight in control.parameters())


@pytest.mark.parametrize("steps, fields", [("same", 1), ("zero", 1), ("both", 2)])
def test_the_joint_objective(steps, fields):
    torch.manual_seed(0)
    labels = torch.randint(4, (1, 1, *SHAPE)).float()
    image = torch.rand(1, 1, *SHAPE) * 2 - 1
    pair = TrainingPair(image, image.flip(2), image, image.flip(2), labels, labels.flip(2))
    weights = LossWeights(registration=1.0, labels=1.0, folding=0.1, registration_steps=steps)
    objective = JointObjective(DiffuseMorph(PRESETS["default3d"].model), weights)
    drawn = draw(pair, weights, 2000, generator(0))
    with Readings() as readings:
        objective(pair, drawn)["loss"].backward()
    assert readings.counts == {"aten::_local_scalar_dense": fields}
