"""What a terminal cannot show does not decide how a job ends."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import SimpleITK as sitk

from DiffuseMorphCore.command_line.summary import length, summarize

REPORT = {
    "similarity": {"initial": 0.2, "registered": 0.9},
    "folding": {"share": 0.0},
    "seconds": {"refine": 1.0},
    "device": "cpu",
    "displacement_mm": {"mean": 0.0031, "max": 0.0123},
}

pytestmark = pytest.mark.skipif(os.name != "posix", reason="shells of POSIX systems")


@pytest.fixture(scope="module")
def shell(tmp_path_factory, pair_2d, repository):
    """shell(command, **environment) runs a command line in a folder with two images; $D stands for the program."""
    folder = tmp_path_factory.mktemp("terminal")
    for name, image in zip(("fixed", "moving"), pair_2d):
        sitk.WriteImage(image, str(folder / f"{name}.nrrd"))

    def run(command: str, **environment: str) -> tuple[int, str, str]:
        program = f"{sys.executable} -m DiffuseMorphCore"
        quick = "fixed.nrrd moving.nrrd --model none --align none --refine 1 --overwrite -o"
        done = subprocess.run(
            ["bash", "-c", command.replace("$D", program).replace("$Q", quick)],
            cwd=folder,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(repository), **environment},
        )
        return done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1")

    run.folder = folder
    return run


@pytest.mark.parametrize(
    ("number", "command", "environment"),
    [
        (1, "$D register $Q 'Größe 1' ; echo $? >&2", {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}),
        (2, "$D register $Q 'Größe 2' > /dev/full; echo $? >&2", {}),
        (3, "$D register $Q 'Größe 3' | true; echo ${PIPESTATUS[0]} >&2", {}),
        (4, "$D register $Q 'Größe 4' >&-; echo $? >&2", {}),
        (5, "($D register $Q 'Größe 5' 2>&-; echo $?) > code; cat code >&2", {}),
    ],
)
def test_a_complete_result_is_exit_code_0(shell, number, command, environment):
    code, _, errors = shell(command, **environment)
    if command.endswith("cat code >&2"):
        errors = errors.strip().splitlines()[-1]
    assert errors.strip() == "0" and code == 0
    assert sitk.ReadImage(str(shell.folder / f"Größe {number}" / "moved.nrrd")).GetSize() == (64, 56)


def test_text_that_is_the_result_fails_where_it_cannot_be_written(shell):
    assert shell("$D train --example own_images > /dev/full")[0] == 1
    assert shell("$D train --example own_images | head -1; exit ${PIPESTATUS[0]}")[0] == 0
    assert shell("$D --help | true; exit ${PIPESTATUS[0]}")[0] == 0


def test_refusals_keep_their_code_where_nobody_listens(shell):
    assert shell("$D register absent.nrrd moving.nrrd -o result 2>/dev/full")[0] == 1
    assert shell("$D register absent.nrrd moving.nrrd -o result 2>&-")[0] == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0 mm"),
        (3.14159, "3.1 mm"),
        (0.25, "0.2 mm"),
        (0.05, "50.0 µm"),
        (0.0031, "3.1 µm"),
        (2.5e-5, "25.0 nm"),
        (250.0, "250.0 mm"),
        (12000.0, "12.0 m"),
        (2.0e6, "2.0 km"),
    ],
)
def test_lengths_have_the_unit_that_suits_them(value, text):
    assert length(value) == text


def test_lengths_together_have_one_unit():
    assert (length(0.05, 2.0), length(2.0)) == ("0.1 mm", "2.0 mm")


def test_the_summary_of_micrometres_and_of_empty_label_maps(capsys):
    nothing = {"mean": None, "labels": {}}
    summarize("result", REPORT | {"dice": {"aligned": nothing, "moved": nothing}})
    text = capsys.readouterr().out
    assert "3.1 µm on average, 12.3 µm at most" in text and "there is no label" in text
