"""Training runs as people make them: started, cut, killed, resumed, shared between processes, exported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from DiffuseMorphCore.errors import Cancelled
from DiffuseMorphCore.networks import load_model
from DiffuseMorphCore.training import export_model, read_checkpoint, settings_from, train

REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_run_leaves_logs_checkpoints_and_figures(unbroken, rows):
    assert unbroken.finished and unbroken.step == unbroken.steps == 8
    log, validation = rows(unbroken.folder), rows(unbroken.folder, "validation.csv")
    assert [int(row["step"]) for row in log] == list(range(1, 9))
    assert [int(row["step"]) for row in validation] == [4, 8]
    assert float(log[0]["rate"]) > float(log[-1]["rate"]) > 0
    for name in ("similarity_before", "similarity", "dice_before", "dice", "folding", "field_at_0", "noise_1999"):
        assert np.isfinite(float(validation[-1][name]))
        assert float(validation[-1][name]) == pytest.approx(unbroken.validation[name], rel=1e-6)
    assert {path.name for path in unbroken.folder.iterdir()} == {"log.csv", "validation.csv", "last.pt", "best.pt"}


def test_training_learns(images, tmp_path, settings, rows):
    run = settings(
        images,
        tmp_path / "run",
        optimisation={"steps": 120, "decay": "constant", "average": 0.0},
        loss={"zero_share": 0.8},
        validation={"every": 120},
        output={"log_every": 20, "checkpoint_minutes": 9.0},
    )
    result = train(settings_from(run), progress=lambda *_: None)
    first, last = rows(result.folder)[0], rows(result.folder)[-1]
    assert float(last["loss"]) < 0.9 * float(first["loss"])
    assert 1 - result.validation["similarity"] < 0.75 * (1 - result.validation["similarity_before"])
    assert result.validation["folding"] < 0.01


def test_a_run_in_pieces_repeats_the_unbroken_one(images, tmp_path, unbroken, settings, rows):
    run = settings_from(settings(images, tmp_path / "pieces"))
    first = train(run, max_steps=3, progress=lambda *_: None)
    assert first.step == 3 and not first.finished
    second = train(run, max_minutes=0.0, progress=lambda *_: None)  # no time: one step, then a checkpoint
    assert second.step == 4
    result = train(run, progress=lambda *_: None)
    assert_same_run(result.folder, unbroken.folder, rows)


def test_a_killed_run_resumes_with_the_losses_of_an_unbroken_one(images, tmp_path, unbroken, settings, rows):
    folder = tmp_path / "killed"
    script = tmp_path / "run.py"
    script.write_text("""
import json, sys, threading
from DiffuseMorphCore.training import settings_from, train
steps = 0
def progress(stage, fraction):
    global steps
    steps += 1
    if steps == 4:
        print("four steps", flush=True)
        threading.Event().wait()  # until it is killed, however fast the machine is
train(settings_from(json.loads(sys.argv[1])), progress=progress)
""")
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(
        [sys.executable, str(script), json.dumps(settings(images, folder))],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "four steps\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    stopped = read_checkpoint(folder / "last.pt")["step"]
    assert 1 <= stopped < 8
    result = train(settings_from(settings(images, folder)), progress=lambda *_: None)
    assert result.finished
    assert_same_run(folder, unbroken.folder, rows)


def assert_same_run(folder, reference, rows):
    """The same losses, digit for digit, and the same weights."""
    assert rows(folder) == rows(reference)
    one, other = read_checkpoint(folder / "last.pt"), read_checkpoint(reference / "last.pt")
    for kind in ("model", "average"):
        assert all(torch.equal(value, other[kind][name]) for name, value in one[kind].items())
    assert one["averaged"] == other["averaged"] == 8


def test_cancelling_keeps_the_work(images, tmp_path, settings):
    run = settings_from(settings(images, tmp_path / "run", output={"checkpoint_minutes": 99}))
    seen = []

    def progress(stage, fraction):
        seen.append(fraction)
        return len(seen) < 3

    with pytest.raises(Cancelled):
        train(run, progress=progress)
    assert seen == pytest.approx([1 / 8, 2 / 8, 3 / 8])
    assert read_checkpoint(tmp_path / "run" / "last.pt")["step"] == 3


def test_accumulated_batches_are_what_two_processes_share(images, tmp_path, settings, rows):
    changes = {"optimisation": {"steps": 3, "batch": 1, "accumulation": 2, "average": 0.0}}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes: threads add up in another order, and Adam makes much of small sums
    try:
        alone = train(settings_from(settings(images, tmp_path / "alone", **changes)), progress=lambda *_: None)
    finally:
        torch.set_num_threads(threads)
    changes["optimisation"] |= {"accumulation": 1}
    script = tmp_path / "run.py"
    script.write_text(
        "import json, sys\nfrom DiffuseMorphCore.training import settings_from, train\n"
        "result = train(settings_from(json.loads(sys.argv[1])))\nassert result.step == 3\n"
    )
    shared = settings(images, tmp_path / "shared", **changes)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            str(script),
            json.dumps(shared),
        ],
        env=environment,
        check=True,
        capture_output=True,
    )
    one, other = (read_checkpoint(folder / "last.pt") for folder in (alone.folder, tmp_path / "shared"))
    for name, value in one["model"].items():
        torch.testing.assert_close(other["model"][name], value, rtol=1e-3, atol=2e-5)
    assert [row["step"] for row in rows(tmp_path / "shared")] == ["1", "2", "3"]


def test_the_model_file_holds_the_averaged_weights_and_the_recipe(unbroken, tmp_path):
    path = export_model(unbroken.folder, tmp_path / "mine.pt", {"terms": "mine alone"})
    model = load_model(path)
    assert model.information["terms"] == "mine alone" and model.information["name"] == "mine"
    recipe = model.information["recipe"]
    assert recipe["settings"]["optimisation"]["steps"] == 8 and recipe["step"] in (4, 8)
    assert str(unbroken.folder.parent) not in str(model.information) and "/" not in recipe["settings"]["data"]["folder"]
    average = read_checkpoint(unbroken.folder / "best.pt")["average"]
    name, weight = next(iter(average.items()))
    assert torch.allclose(model.state_dict()[name], weight, atol=1e-3)
    last = load_model(export_model(unbroken.folder / "last.pt", tmp_path / "last.pt"))
    assert last.information["recipe"]["step"] == 8


def test_training_goes_on_from_a_model(unbroken, images, tmp_path, settings):
    start = export_model(unbroken.folder / "last.pt", tmp_path / "start.pt")
    run = settings(
        images,
        tmp_path / "run",
        model={"preset": "default2d", "start": str(start)},
        optimisation={"steps": 1, "learning_rate": 1e-9, "average": 0.0},
    )
    train(settings_from(run), progress=lambda *_: None)
    name, weight = next(iter(load_model(start).state_dict().items()))
    assert torch.allclose(read_checkpoint(tmp_path / "run" / "last.pt")["model"][name], weight, atol=1e-6)


def test_stages_train_on_grids_of_their_own(tmp_path, settings, rows):
    values = settings(
        tmp_path, tmp_path / "run", optimisation={"steps": 3, "batch": 1, "average": 0.0}, validation={"pairs": 1}
    )
    values["data"] = {"source": "shapes"}
    values["geometry"] = {"shape": [24, 24], "spacing": 8.0}
    values["stages"] = [{"until": 2, "shape": [16, 16], "spacing": 12.0, "scales": [3.0], "warm_up": True}]
    values["loss"] |= {"registration_steps": "same"}
    run = settings_from(values)
    from DiffuseMorphCore.training.trainer import Trainer

    trainer = Trainer(run)
    sides = []
    trainer.model.deformation.register_forward_hook(lambda module, inputs, output: sides.append(output.shape[-1]))
    trainer.train(None, 2, lambda *_: None)
    assert sides[:2] == [16, 16]
    assert [source.sources[0].geometry.scales for _, source in trainer.sources] == [(3.0,), run.geometry.scales]
    assert set(sides[2:]) == {24}  # validation is on the last grid
    trainer.train(None, 1, lambda *_: None)
    log = rows(tmp_path / "run")
    assert [bool(row["warm_up"]) for row in log] == [True, True, False]
    assert [bool(row["noise"]) for row in log] == [False, False, True]
