"""What README.md shows for the shell and for Python works as it stands."""

from __future__ import annotations

import re
import shlex

import SimpleITK as sitk

from DiffuseMorphCore.command_line import build_parser
from DiffuseMorphCore.images import write_image


def blocks(repository, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (repository / "README.md").read_text(encoding="utf-8"), flags=re.S)


def test_every_command_is_understood(repository):
    lines = [line for block in blocks(repository, "bash") for line in re.split(r"\n|&&", block)]
    commands = [line.strip() for line in lines if re.match(r"\s*(\S*/)?diffusemorph ", line)]
    assert len(commands) >= 8
    for command in commands:
        arguments = build_parser().parse_args(shlex.split(command, comments=True)[1:])
        assert callable(arguments.run)


def test_the_python_example_runs(repository, pair_3d, tmp_path, monkeypatch):
    (example,) = [block for block in blocks(repository, "python") if "from DiffuseMorphCore import register" in block]
    for name, image in zip(("fixed", "moving"), pair_3d):
        write_image(image, tmp_path / f"{name}.nii.gz")
        write_image(sitk.Cast(image > 60, sitk.sitkUInt8), tmp_path / f"{name}_labels.nii.gz")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["moved"].GetSize() == names["halfway"].GetSize() == names["labels"].GetSize() == pair_3d[0].GetSize()
    assert names["result"].report["similarity"]["registered"] > names["result"].report["similarity"]["initial"]
    there = names["inverse"].TransformPoint((10.0, -20.0, 5.0))
    assert max(abs(a - b) for a, b in zip(there, names["points"][0])) < 1e-6
