"""A job that is stopped leaves nothing half-written."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from DiffuseMorphCore.command_line.result_folder import complete_folder
from Testing.stopping import begun

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")


# The command, which tells through a pipe that it has begun, and that it refines; there it stays until it is stopped,
# however fast the machine is.
PROGRAM = """
import os, sys, time
from DiffuseMorphCore.command_line import main, register
class Told(register.ProgressBar):
    told = set()
    def __call__(self, stage, fraction):
        super().__call__(stage, fraction)
        if stage in ("read", "refine") and stage not in self.told:
            self.told.add(stage)
            os.write(int(sys.argv[1]), b".")
        while stage == "refine":
            time.sleep(0.01)
register.ProgressBar = Told
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture()
def job(tmp_path, sample_pair, repository):
    """A registration that never ends by itself, with the folder it writes into already there.

    Gives the process, the folder, and a function that waits until it refines.
    """
    for name, path in zip(("fixed", "moving"), sample_pair):
        shutil.copy(path, tmp_path / f"{name}.nii.gz")
    options = ["-o", "made/result", "--model", "none", "--align", "none", "--modality", "different"]
    command = ["register", "fixed.nii.gz", "moving.nii.gz", *options]
    with begun(["-c", PROGRAM], command, tmp_path, repository) as (process, wait):
        yield process, tmp_path, wait


@pytest.mark.parametrize(("number", "working"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_a_stopped_job_says_so_and_leaves_nothing(job, number, working):
    """At once, while libraries are loaded, and in the midst of the work."""
    process, folder, wait_for_refinement = job
    if working:
        assert wait_for_refinement() == b"."
    process.send_signal(number)
    output, errors = process.communicate()
    assert process.returncode == 1
    assert errors == "diffusemorph register: Stopped: nothing was written.\n" and output == ""
    assert sorted(os.listdir(folder)) == ["fixed.nii.gz", "moving.nii.gz"]


def test_a_killed_job_leaves_nothing_to_be_seen_and_its_folder_can_be_used_again(job):
    process, folder, _ = job
    process.kill()
    process.communicate()
    target = folder / "made" / "result"
    assert all(path.name.startswith(".") for path in target.iterdir())
    with complete_folder(target, False, lambda name: True) as new:
        (new / "moved.nii.gz").write_text("new")
    assert os.listdir(target) == ["moved.nii.gz"]
