"""`diffusemorph demo` on the bundled pair, with whatever model comes with the package."""

from __future__ import annotations

import json
import os

from DiffuseMorphCore.command_line import main
from DiffuseMorphCore.networks import available_models


def test_the_demo_registers_the_bundled_pair(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = "default" if any(entry.ndim == 3 for entry in available_models()) else "none"
    assert main(["demo", "--frames", "2", "--model", model, "--device", "cpu"]) == 0
    output = capsys.readouterr().out
    assert "Colin 27" in output and "ICBM 152" in output
    assert os.path.join("diffusemorph-demo", "report.html") in output
    folder = tmp_path / "diffusemorph-demo"
    assert {"moved.nii.gz", "preview.png", "report.html", "trajectory.gif", "transform.h5", "report.json"} <= set(
        os.listdir(folder)
    )
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    similarity = report["similarity"]
    assert similarity["registered"] > similarity["aligned"] + 0.1
    assert report["folding"]["share"] == 0
