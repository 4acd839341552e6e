"""`diffusemorph cohort` with workers of its own: what is written, kept, made anew, refused and left after Ctrl-C."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from DiffuseMorphCore.command_line import main
from DiffuseMorphCore.command_line.result_folder import locked_folder
from Testing.stopping import begun

QUICK = ["--model", "none", "--device", "cpu", "--threads", "1", "--align", "none"]


def cohort(table: Path, out: Path, *more: str) -> int:
    return main(["cohort", str(table), "-o", str(out), *QUICK, *more])


def summary(out: Path) -> dict[str, dict[str, str]]:
    with open(out / "summary.csv", newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def times(out: Path) -> dict[str, int]:
    return {report.parent.name: report.stat().st_mtime_ns for report in out.glob("*/report.json")}


def test_pairs_are_registered_one_that_fails_stops_nobody_and_a_second_run_makes_what_is_new(
    write_table, tmp_path, capsys
):
    rows = [
        "name,fixed,moving,fixed_labels,moving_labels,eta",
        "labelled,a.nii.gz,b.nii.gz,a_labels.nii.gz,b_labels.nii.gz,",
        "bad,a.nii.gz,missing.nii.gz,,,",
        "half,a.nii.gz,c.nii.gz,,,0.5",
    ]
    out = tmp_path / "out"
    assert cohort(write_table(*rows), out) == 1
    told = capsys.readouterr()
    assert "3 pairs: 2 registered, 0 kept as they were, 1 failed." in told.out
    assert told.err == "diffusemorph cohort: 1 of 3 pairs failed: summary.csv says why.\n"
    assert sorted(os.listdir(out)) == ["half", "index.html", "labelled", "summary.csv"]
    found = summary(out)
    assert list(found)[0] == "bad" and "missing.nii.gz' cannot be read" in found["bad"]["reason"]
    report = json.loads((out / "labelled" / "report.json").read_text(encoding="utf-8"))
    assert float(found["labelled"]["dice.moved.mean"]) == report["dice"]["moved"]["mean"] > 0.9
    assert found["half"]["eta"] == "0.5" and found["half"]["state"] == "done"

    alone = tmp_path / "alone"
    pair = [str(tmp_path / name) for name in ("a.nii.gz", "c.nii.gz")]
    assert main(["register", *pair, "-o", str(alone), *QUICK, "--eta", "0.5"]) == 0
    for name in ("moved.nii.gz", "deformation.npz"):  # the others hold the time of the day
        assert (out / "half" / name).read_bytes() == (alone / name).read_bytes(), name

    before = times(out)
    (tmp_path / "missing.nii.gz").symlink_to(tmp_path / "b.nii.gz")
    rows[3] = "half,a.nii.gz,c.nii.gz,,,0.25"
    capsys.readouterr()
    assert cohort(write_table(*rows), out) == 0
    assert "3 pairs: 2 registered, 1 kept as they were, 0 failed." in capsys.readouterr().out
    after = times(out)
    assert after["labelled"] == before["labelled"] and after["half"] > before["half"] and "bad" in after
    assert {name: row["state"] for name, row in summary(out).items()} == {
        "labelled": "kept",
        "half": "done",
        "bad": "done",
    }


def test_folders_of_others_are_refused(write_table, tmp_path, capsys):
    table = write_table("name,fixed,moving", "one,a.nii.gz,b.nii.gz")
    out = tmp_path / "out"
    out.mkdir()
    with locked_folder(out, "out"):
        assert cohort(table, out) == 1
    assert "is being written to by another process" in capsys.readouterr().err
    (out / "summary.csv").write_text("mine", encoding="utf-8")
    assert cohort(table, out) == 1
    assert "summary.csv' is not of a cohort, and would be replaced" in capsys.readouterr().err
    (out / "summary.csv").unlink()
    (out / "one").mkdir()
    (out / "one" / "report.json").write_text("{}", encoding="utf-8")
    assert cohort(table, out, "--row", "1") == 1
    assert "holds a result that no cohort made" in capsys.readouterr().err
    assert cohort(table, tmp_path / "a.nii.gz") == 1
    assert "a.nii.gz' cannot be made (file exists)" in capsys.readouterr().err
    assert cohort(table, out, "--row", "2") == 2
    assert "The table has 1 rows, there is no row 2." in capsys.readouterr().err


# The command, which tells through a pipe that half of the pairs are done; there it stays until it is stopped.
PROGRAM = """
import os, sys, time
from DiffuseMorphCore.command_line import main, cohort
class Told(cohort.ProgressBar):
    def __call__(self, stage, fraction):
        super().__call__(stage, fraction)
        if fraction >= 0.5:
            os.write(int(sys.argv[1]), b".")
            time.sleep(600)
cohort.ProgressBar = Told
if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")
def test_ctrl_c_keeps_what_is_finished(write_table, tmp_path, repository, capsys):
    table = write_table("name,fixed,moving", "one,a.nii.gz,b.nii.gz", "two,a.nii.gz,c.nii.gz")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    command = ["cohort", str(table), "-o", "out", "--workers", "1", *QUICK]
    with begun(["program.py"], command, tmp_path, repository) as (process, _):
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    out = tmp_path / "out"
    assert (process.returncode, output) == (1, "")
    assert errors == "diffusemorph cohort: Stopped: what is complete is kept when the command is given again.\n"
    states = {name: row["state"] for name, row in summary(out).items()}
    first = next(name for name, state in states.items() if state == "done")
    assert sorted(states.values()) == ["done", "not yet"] and (out / "index.html").exists()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    before = times(out)[first]
    assert cohort(table, out) == 0
    assert times(out)[first] == before and len(times(out)) == 2
    assert summary(out)[first]["state"] == "kept"


# On a disk with room for 64 kB, and then for more; where processes may have no disks of their own (argument "limit"),
# none of them may write more than that into a file.
FULL_DISK = """
import resource, subprocess, sys
from DiffuseMorphCore.command_line import main
if __name__ == "__main__":
    if sys.argv[1] == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, resource.RLIM_INFINITY))
    else:
        subprocess.check_call(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "out"])
    print("exit code", main(["cohort", *sys.argv[2:], "--workers", "1"]))
    subprocess.check_call(["cat", "out/summary.csv"])
    subprocess.check_call(["ls", "-A", "out"])
    print("exit code", main(["cohort", *sys.argv[2:], "--row", "1"]))
    if sys.argv[1] == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        subprocess.check_call(["mount", "-o", "remount,size=64m", "out"])
    print("exit code", main(["cohort", *sys.argv[2:], "--row", "1"]))
"""


@pytest.mark.skipif(os.name != "posix", reason="disks and limits of POSIX systems")
def test_a_full_disk_fails_its_pairs_in_a_sentence_and_with_room_again_they_are_made(write_table, tmp_path, repository):
    table = write_table("name,fixed,moving", "one,a.nii.gz,b.nii.gz", "two,a.nii.gz,c.nii.gz")
    (tmp_path / "program.py").write_text(FULL_DISK, encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir()
    apart = ["unshare", "--map-root-user", "--mount"]
    try:
        subprocess.run([*apart, "mount", "-t", "tmpfs", "tmpfs", str(out)], check=True, capture_output=True)
        program, told = [*apart, sys.executable, "program.py", "disk"], "no space left on device"
    except (OSError, subprocess.CalledProcessError):
        program, told = [sys.executable, "program.py", "limit"], "file too large"
    process = subprocess.run(
        [*program, str(table), "-o", "out", *QUICK],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    first, second, third = process.stdout.split("exit code ")[1:]
    assert (first[0], second[0], third[0]) == ("1", "1", "0"), process.stderr
    assert first.count(told) == 2 and first.endswith("\nindex.html\nsummary.csv\n"), "two rows, and no half result"
    errors = process.stderr.splitlines()
    assert len(errors) == 2 and errors[1].startswith("diffusemorph cohort: The pair 'one' failed: The file '")
    assert errors[1].endswith(f"cannot be written: {told}.")
    assert "The pair 'one' is done." in second


@pytest.mark.skipif(os.name != "posix", reason="a script for a shell")
def test_an_array_script_registers_a_row_a_task_and_then_sums_up(write_table, tmp_path, repository, capsys):
    table = write_table("name,fixed,moving", "one,a.nii.gz,b.nii.gz", "two,a.nii.gz,missing.nii.gz")
    out = tmp_path / "my out"
    assert cohort(table, out, "--print-slurm", "--fill", "-5") == 0
    script = capsys.readouterr().out
    assert "#SBATCH --array=1-2%100\n" in script and "#SBATCH --mem=" in script
    (tmp_path / "job.sh").write_text(script, encoding="utf-8")
    command = tmp_path / "bin" / "diffusemorph"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m DiffuseMorphCore "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(repository), "PATH": f"{command.parent}:{os.environ['PATH']}"}
    for number, code, told in ((1, 0, "The pair 'one' is done."), (2, 1, "The pair 'two' failed: The file")):
        task = subprocess.run(
            ["bash", str(tmp_path / "job.sh")],
            env={**environment, "SLURM_ARRAY_TASK_ID": str(number)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert task.returncode == code and told in task.stdout + task.stderr
    assert json.loads((out / "one" / "report.json").read_text(encoding="utf-8"))["settings"]["fill"] == -5
    assert cohort(table, out, "--summary-only") == 1
    assert {name: row["state"] for name, row in summary(out).items()} == {"two": "failed", "one": "kept"}
