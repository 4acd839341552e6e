"""The scripts for a machine with a GPU: they run on a CPU at a small size, where there is hardly more than torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from DiffuseMorphCore.networks import load_model
from DiffuseMorphCore.training.label_files import FORMAT
from Testing.gpu.checks import CHECKS

REPOSITORY = Path(__file__).resolve().parents[2]
MISSING = ("SimpleITK", "tqdm", "matplotlib", "monai", "pytest", "vtk")


def visit(name, *arguments):
    """Run a visit where only torch, numpy and scipy can be imported; returns what it printed."""
    code = "\n".join(
        (
            f"import runpy, sys\nfor name in {MISSING!r}: sys.modules[name] = None",
            f"sys.argv[1:] = {[*map(str, arguments)]!r}",
            f"runpy.run_module('Testing.gpu.{name}', run_name='__main__')",
        )
    )
    job = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code], capture_output=True, encoding="utf-8", cwd=REPOSITORY
    )
    assert job.returncode == 0, job.stdout + job.stderr
    return job.stdout


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", CHECKS)
def test_a_gpu_computes_what_the_cpu_does(name):
    wrong = [each for each in CHECKS[name](torch.device("cuda")) if not each.holds]
    assert not wrong


def test_the_first_visit(tmp_path):
    printed = visit("visit_speed", "--device", "cpu", "--small", "--out", tmp_path / "speed.json")
    content = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert set(CHECKS) <= {name.removeprefix("check: ") for name in content["parts"]}
    for name, part in content["parts"].items():
        assert "failed" not in part and "skipped" not in part
        assert all(each["holds"] for each in part.get("differences", [])), name
    found = content["parts"]["registration"]
    assert set(found["bounds"]) == {"predict", "refine"} and found["runs"][0]["refine"] > found["bounds"]["refine"]
    assert printed.splitlines()[-1].startswith("peak memory, 96×28×32")


def test_the_second_visit_brings_a_model(tmp_path):
    axes = np.meshgrid(*[np.arange(48) - 23.5] * 3, indexing="ij")
    heads = {"format": np.array(FORMAT)}
    for person in range(5):
        distance = np.sqrt(sum((axis / (1 + 0.04 * person * number)) ** 2 for number, axis in enumerate(axes)))
        labels = np.zeros(distance.shape, np.uint16)
        for radius, label in ((19, 511), (17, 515), (15, 24), (14, 3), (11, 2), (5, 4)):
            labels[distance < radius] = label
        heads |= {f"head{person}/labels": labels, f"head{person}/spacing": np.full(3, 4.0)}
    np.savez_compressed(tmp_path / "heads.npz", **heads)
    out = tmp_path / "out"
    printed = visit(
        "visit_training",
        *("--labels", tmp_path / "heads.npz", "--device", "cpu", "--small", "--batch", "1", "--out", out),
    )
    content = json.loads((out / "training.json").read_text(encoding="utf-8"))
    assert content["parts"]["training"]["steps"] == content["parts"]["training"]["planned"] == 6
    assert content["parts"]["throughput"]["pairs_per_second"] > 0 and "pairs/s" in printed
    model, before = load_model(out / "model.pt", ndim=3), load_model("canonical3d")
    assert model.is_canonical and model.configuration == before.configuration
    changed = [key for key, value in model.state_dict().items() if not torch.equal(value, before.state_dict()[key])]
    assert changed


def test_a_part_that_fails_does_not_end_a_visit(tmp_path, capsys):
    from Testing.gpu.visit import Visit

    visit = Visit("trial", torch.device("cpu"), 1, tmp_path / "trial.json")
    assert visit.part("broken", lambda: {}["key"]) is None
    assert visit.part("sound", lambda: {"value": 3})["value"] == 3
    assert visit.part("long", dict, needs=1e6) is None
    assert visit.finish() == 1
    parts = json.loads((tmp_path / "trial.json").read_text(encoding="utf-8"))["parts"]
    assert "KeyError" in parts["broken"]["failed"] and parts["sound"]["value"] == 3 and "skipped" in parts["long"]
    assert "FAILED" in capsys.readouterr().out
