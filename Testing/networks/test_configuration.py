"""The presets hold the published settings; impossible configurations are refused in a sentence."""

import dataclasses
from dataclasses import replace

import pytest
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.networks import (
    PRESETS,
    DeformationConfiguration,
    DiffuseMorph,
    DiffusionConfiguration,
    ModelConfiguration,
    ScheduleConfiguration,
)
from DiffuseMorphCore.networks.architectures import DEFORMATION, DIFFUSION


@pytest.mark.parametrize(
    "name, ndim, weight, rate, epochs",
    [("face2d", 2, 2, 5e-6, 40), ("cardiac3d", 3, 20, 2e-4, 800), ("brain3d", 3, 10, 1e-4, 60)],
)
def test_presets_hold_the_published_settings(name, ndim, weight, rate, epochs):
    model, training = PRESETS[name].model, PRESETS[name].training
    assert (model.ndim, model.output, model.working_side) == (ndim, "displacement", None)
    assert (training.registration_weight, training.learning_rate, training.epochs) == (weight, rate, epochs)
    assert (training.smoothness_weight, training.betas, training.batch_size) == (1, (0.5, 0.999), 1)
    assert model.schedule == ScheduleConfiguration(steps=2000, first=1e-6, last=1e-2)


@pytest.mark.parametrize("name", PRESETS)
def test_configurations_survive_a_dictionary(name):
    model = PRESETS[name].model
    values = model.to_dict()
    assert isinstance(values["deformation"]["encoder"], list)
    assert ModelConfiguration.from_dict(values) == model


@pytest.mark.parametrize(
    "part, change, problem",
    [
        (None, {"ndim": 4}, "neither 2 nor 3"),
        (None, {"output": "flow"}, "displacement, velocity"),
        (None, {"colour": 1}, "'colour' is unknown"),
        (None, {"working_side": 48, "finer_sides": [72, 48]}, "finer from one to the next"),
        (None, {"finer_sides": [72]}, "finer from one to the next"),
        (None, {"deformation": None}, "'deformation' must be a table"),
        ("schedule", {"last": 1.0}, "betas"),
        ("schedule", {"steps": "many"}, "'schedule.steps' must be a whole number"),
        ("diffusion", {"width": 10}, "no multiple"),
        ("diffusion", {"heads": 3}, "heads"),
        ("diffusion", {"attention_levels": [4]}, "attention is asked for"),
        ("diffusion", {"attention": "local"}, "softmax, linear"),
        ("diffusion", {"time_width": 5}, "timestep embedding"),
        ("deformation", {"decoder": [8, 8]}, "as many blocks"),
        ("deformation", {"encoder": [16], "decoder": [16]}, "two levels"),
        ("deformation", {"initialisation": "zero"}, "normal, kaiming"),
    ],
)
def test_impossible_configuration_is_refused(part, change, problem):
    values = PRESETS["brain3d"].model.to_dict()
    (values if part is None else values[part]).update(change)
    with pytest.raises(DiffuseMorphError, match=problem) as caught:
        ModelConfiguration.from_dict(values)
    assert str(caught.value).count(". ") == 0 and str(caught.value).endswith(".")


def test_a_missing_part_is_refused():
    values = PRESETS["brain3d"].model.to_dict()
    del values["diffusion"]
    with pytest.raises(DiffuseMorphError, match="'diffusion' is missing"):
        ModelConfiguration.from_dict(values)


def test_configurations_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PRESETS["face2d"].model.ndim = 3
    assert DiffusionConfiguration(width=8, multipliers=[1, 2]).multipliers == (1, 2)
    assert DeformationConfiguration(encoder=[4, 4], decoder=[4, 4]).encoder == (4, 4)


@pytest.mark.parametrize("part", ["diffusion", "deformation"])
def test_an_architecture_is_chosen_by_name(part, small_model):
    configuration = small_model(2).configuration
    changed = replace(configuration, **{part: replace(getattr(configuration, part), architecture="tomorrow")})
    assert ModelConfiguration.from_dict(changed.to_dict()) == changed
    with pytest.raises(DiffuseMorphError, match="'tomorrow' is not one of"):
        DiffuseMorph(changed)
    values = configuration.to_dict()
    del values[part]["architecture"]  # as files have it that were written before there was a choice
    assert ModelConfiguration.from_dict(values) == configuration


@pytest.mark.parametrize("table, part", [(DIFFUSION, "diffusion"), (DEFORMATION, "deformation")])
def test_a_new_architecture_is_one_entry(monkeypatch, small_model, table, part):
    class Fresh(torch.nn.Module):
        def __init__(self, ndim, configuration):
            super().__init__()
            self.ndim = ndim

    monkeypatch.setitem(table, "fresh", Fresh)
    configuration = small_model(2).configuration
    changed = replace(configuration, **{part: replace(getattr(configuration, part), architecture="fresh")})
    assert isinstance(getattr(DiffuseMorph(changed), part), Fresh)
