"""A job that is stopped leaves nothing half-written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from DiffuseMorphCore.command_line.result_folder import complete_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")


@pytest.fixture()
def job(tmp_path, sample_pair, repository):
    """A registration that would take minutes, running, with the folder it writes into already there."""
    for name, path in zip(("fixed", "moving"), sample_pair):
        shutil.copy(path, tmp_path / f"{name}.nii.gz")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "DiffuseMorphCore",
            "register",
            "fixed.nii.gz",
            "moving.nii.gz",
            "-o",
            "made/result",
            "--model",
            "none",
            "--align",
            "none",
            "--modality",
            "different",
            "--refine",
            "200",
            "--frames",
            "200",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("made/result/.*/new")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)
    yield process, tmp_path
    if process.poll() is None:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGTERM, 0.0), (signal.SIGINT, 4.0)])
def test_a_stopped_job_says_so_and_leaves_nothing(job, number, seconds):
    process, folder = job
    time.sleep(seconds)  # at once, while libraries are loaded, and later, in the midst of the work
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors == "diffusemorph register: Stopped: nothing was written.\n" and output == ""
    assert sorted(os.listdir(folder)) == ["fixed.nii.gz", "moving.nii.gz"]


def test_a_killed_job_leaves_nothing_to_be_seen_and_its_folder_can_be_used_again(job):
    process, folder = job
    process.kill()
    process.communicate()
    target = folder / "made" / "result"
    assert all(path.name.startswith(".") for path in target.iterdir())
    with complete_folder(target, False, lambda name: True) as new:
        (new / "moved.nii.gz").write_text("new")
    assert os.listdir(target) == ["moved.nii.gz"]
