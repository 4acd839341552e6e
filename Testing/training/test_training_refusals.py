"""Runs that cannot work are refused, and what is damaged or missing is named."""

from __future__ import annotations

import sys

import pytest
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.training import read_checkpoint, settings_from, train


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data": {"folder": "", "source": "images"}}, "data.folder"),
        ({"data": {"held_out": 6}}, "nothing is left to train on"),
        ({"data": {"source": "labelmaps", "folder": "nowhere"}}, "nowhere"),
        ({"data": {"source": "pairs"}}, "data.table"),
        ({"data": {"source": "atlas"}}, "data.atlas"),
        ({"data": {"spacing": [1.0]}}, "data.spacing"),
        ({"model": {"preset": "default3d"}, "geometry": {"shape": [16, 16, 16]}}, "2 dimensions"),
    ],
)
def test_runs_that_cannot_work_are_refused_in_one_sentence(images, tmp_path, changes, sentence, settings):
    with pytest.raises(DiffuseMorphError, match=sentence) as caught:
        train(settings_from(settings(images, tmp_path / "run", **changes)), progress=lambda *_: None)
    assert "\n" not in str(caught.value)


def test_a_folder_with_a_run_is_not_touched_unasked(unbroken, images, settings):
    run = settings_from(settings(images, unbroken.folder))
    with pytest.raises(DiffuseMorphError, match="already holds"):
        train(run, resume="never")
    with pytest.raises(DiffuseMorphError, match="'auto' and 'never'"):
        train(run, resume="perhaps")
    with pytest.raises(DiffuseMorphError, match="other networks"):
        train(settings_from(settings(images, unbroken.folder, model={"preset": "face2d"})))


def test_damaged_checkpoints_are_named(unbroken, tmp_path):
    damaged = tmp_path / "last.pt"
    damaged.write_bytes((unbroken.folder / "last.pt").read_bytes()[:5000])
    with pytest.raises(DiffuseMorphError, match="last.pt.*damaged"):
        read_checkpoint(damaged)
    torch.save({"something": 1}, damaged)
    with pytest.raises(DiffuseMorphError, match="no checkpoint"):
        read_checkpoint(damaged)
    with pytest.raises(DiffuseMorphError, match="does not exist"):
        read_checkpoint(tmp_path / "none.pt")


def test_a_loss_that_explodes_stops_the_run(images, tmp_path, settings):
    run = settings_from(settings(images, tmp_path / "run", optimisation={"learning_rate": 1e30, "decay": "constant"}))
    with pytest.raises(DiffuseMorphError, match="no longer finite"):
        train(run, progress=lambda *_: None)


def test_tensorboard_gets_the_figures_or_is_named_when_missing(images, tmp_path, monkeypatch, settings):
    values = settings(images, tmp_path / "run", optimisation={"steps": 1}, output={"tensorboard": True})
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(DiffuseMorphError, match="pip install tensorboard"):
        train(settings_from(values), progress=lambda *_: None)
    monkeypatch.undo()
    pytest.importorskip("tensorboard")
    train(settings_from(values), progress=lambda *_: None)
    assert list((tmp_path / "run" / "tensorboard").iterdir())
