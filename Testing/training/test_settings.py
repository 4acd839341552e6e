"""Settings: what TOML says arrives, what is wrong is named in one sentence, and the examples are valid."""

from __future__ import annotations

from pathlib import Path

import pytest

import DiffuseMorphCore.training as training
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.networks import PRESETS
from DiffuseMorphCore.training import read_settings, settings_from

CONFIGURATIONS = sorted((Path(training.__file__).parent / "configurations").glob("*.toml"))


def test_defaults_follow_the_preset():
    run = settings_from({"model": {"preset": "cardiac3d"}})
    assert run.loss.registration == PRESETS["cardiac3d"].training.registration_weight == 20
    assert settings_from({"model": {"preset": "cardiac3d"}, "loss": {"registration": 3}}).loss.registration == 3


def test_values_of_every_kind_arrive(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(
        'device = "cpu"\n[geometry]\nshape = [16, 16, 16]\nflips = ["x", "z"]\npermute = true\n'
        "[geometry.own]\nrotation = 7\n[data]\nwhole_head = 0.3\n"
        "[optimisation]\nbetas = [0.5, 0.99]\nsteps = 12\n"
        "[[stages]]\nuntil = 5\nshape = [8, 8, 8]\nspacing = 9\n"
    )
    run = read_settings(file)
    assert run.device == "cpu" and run.geometry.shape == (16, 16, 16) and run.geometry.flips == ("x", "z")
    assert run.geometry.own.rotation == 7.0 and run.data.whole_head == 0.3
    assert run.geometry.permute and run.optimisation.betas == (0.5, 0.99)
    assert run.stages[0].until == 5 and run.stages[0].spacing == 9.0
    assert settings_from(run.to_dict()) == run


WRONG = [
    ("[model]\npreset = 'brain'", "'model.preset' is 'brain': allowed are .*brain3d"),
    ("[loss]\nlamda = 3", "'loss.lamda' is unknown: allowed are .*registration"),
    ("[loss]\nregistration_steps = 'zeros'", "allowed are same, zero, both, alternate"),
    ("[optimisation]\nsteps = 'many'", "'optimisation.steps' must be a whole number, not 'many'"),
    ("[optimisation]\nsteps = 0", "must be at least 1"),
    ("[optimisation]\nseed = true", "must be a whole number"),
    ("[geometry]\nshape = 40", "must be a list in square brackets"),
    ("[geometry]\nshape = [40, 40]", "needs 3 sides"),
    ("[geometry]\nflips = ['w']", "allowed are x, y, z"),
    ("[appearance]\nblur = [1.0]", "two values"),
    ("[[stages]]\nuntil = 3", "'stages.shape' is missing"),
    (
        "[[stages]]\nuntil = 9\nshape = [8, 8, 8]\nspacing = 5\n[[stages]]\nuntil = 3\nshape = [8, 8, 8]\nspacing = 5",
        "sort",
    ),
    ("data = 3", "'data' must be a table"),
    ("[data", "no valid TOML"),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG)
def test_what_is_wrong_is_named_in_one_sentence(tmp_path, text, sentence):
    file = tmp_path / "wrong.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DiffuseMorphError, match=sentence) as caught:
        read_settings(file)
    assert "wrong.toml" in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DiffuseMorphError, match="nowhere.toml"):
        read_settings(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_examples_are_valid_and_commented(path):
    run = read_settings(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ") and len(lines[0]) < 100
    assert sum("#" in line for line in lines) > 12
    if path.stem in PRESETS:
        assert run.model.preset == path.stem


def test_there_is_an_example_for_every_need():
    assert {path.stem for path in CONFIGURATIONS} >= {
        "face2d",
        "cardiac3d",
        "brain3d",
        "default2d",
        "default3d",
        "own_images",
    }
