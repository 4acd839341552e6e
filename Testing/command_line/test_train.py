"""`diffusemorph train`: from a file of settings to a model file, in pieces, and stopped by a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from DiffuseMorphCore.command_line import main
from DiffuseMorphCore.networks import load_model

SETTINGS = """
[model]
preset = "default2d"
[data]
source = "shapes"
[geometry]
shape = [32, 32]
spacing = 4.0
scales = [8.0]
[optimisation]
steps = {steps}
batch = 1
[validation]
every = 1000000
pairs = {pairs}
[output]
folder = "run"
log_every = 1
description = "A trial."
"""


@pytest.fixture()
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trial.toml").write_text(SETTINGS.format(steps=3, pairs=1))
    return tmp_path


def test_a_run_in_pieces_ends_in_a_model_that_registers(folder, pair_2d, capsys):
    assert main(["train", "trial.toml", "--device", "cpu", "--max-steps", "1", "--output", "elsewhere"]) == 0
    assert "1 of 3 steps" in capsys.readouterr().out and not (folder / "run").exists()
    assert main(["train", "trial.toml", "--device", "cpu", "--output", "elsewhere"]) == 0
    text = capsys.readouterr().out
    assert "3 of 3 steps" in text and "model.pt" in text
    steps = [line.split(",")[0] for line in (folder / "elsewhere" / "log.csv").read_text(encoding="utf-8").splitlines()]
    assert steps == ["step", "1", "2", "3"]
    model = load_model(folder / "elsewhere" / "model.pt")
    assert model.ndim == 2 and model.information["description"] == "A trial."
    assert main(["train", "trial.toml", "--output", "elsewhere", "--resume", "never"]) == 1
    assert "already holds a training run" in capsys.readouterr().err


def test_examples_are_listed_and_printed(capsys):
    assert main(["train", "--example"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    assert {"face2d", "cardiac3d", "brain3d"} <= set(names) and all(len(line.split()) > 3 for line in lines)
    assert main(["train", "--example", "brain3d"]) == 0
    assert "[model]" in capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")
def test_a_stopped_run_keeps_its_last_step_and_goes_on(folder, repository, capsys):
    (folder / "trial.toml").write_text(SETTINGS.format(steps=100000, pairs=0))
    process = subprocess.Popen(
        [sys.executable, "-m", "DiffuseMorphCore", "train", "trial.toml", "--device", "cpu"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = folder / "run" / "log.csv"
    while not log.exists() or len(log.read_text(encoding="utf-8").splitlines()) < 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate()
    assert process.returncode == 1 and output == ""
    assert errors == "diffusemorph train: Stopped; the same command goes on from the last checkpoint.\n"
    done = int(log.read_text(encoding="utf-8").splitlines()[-1].split(",")[0])
    assert main(["train", "trial.toml", "--device", "cpu", "--max-steps", "1"]) == 0
    assert f"{done + 1} of 100000 steps" in capsys.readouterr().out
