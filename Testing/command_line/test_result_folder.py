"""A result folder stays the folder it is, and holds complete results only."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk

from DiffuseMorphCore.command_line.result_folder import WORK, check_inputs_stay, complete_folder
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import write_image


def is_result(name: str) -> bool:
    return name in ("moved.nii.gz", "trajectory")


def fill(folder, text="new"):
    (folder / "moved.nii.gz").write_text(text)


def visible(folder):
    return [name for name in os.listdir(folder) if not name.startswith(".")]


def test_the_result_appears_only_when_complete(tmp_path):
    target = tmp_path / "deep" / "er" / "result"
    with complete_folder(target, False, is_result) as folder:
        fill(folder)
        assert visible(target) == []
    assert os.listdir(target) == ["moved.nii.gz"]
    assert os.listdir(target.parent) == ["result"]


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "result").mkdir()
    with complete_folder(tmp_path / "result", False, is_result) as folder:
        fill(folder)
    assert os.listdir(tmp_path) == ["result"] and os.listdir(tmp_path / "result") == ["moved.nii.gz"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX systems")
def test_permissions_are_those_of_any_new_folder(tmp_path):
    (tmp_path / "ordinary").mkdir()
    with complete_folder(tmp_path / "result", False, is_result):
        pass
    assert stat.S_IMODE((tmp_path / "result").stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_failure_leaves_nothing_behind(tmp_path, error):
    with pytest.raises(error):
        with complete_folder(tmp_path / "deep" / "result", False, is_result) as folder:
            fill(folder)
            raise error
    assert os.listdir(tmp_path) == []


def test_full_folder_is_refused_before_any_work(tmp_path):
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "notes.txt").write_text("mine")
    with pytest.raises(DiffuseMorphError, match="exists and is not empty"):
        with complete_folder(tmp_path / "result", False, is_result):
            pytest.fail("the work must not start")
    assert os.listdir(tmp_path) == ["result"]


def test_overwriting_drops_former_results_and_keeps_other_files(tmp_path):
    target = tmp_path / "result"
    (target / "trajectory").mkdir(parents=True)
    (target / "trajectory" / "frame_1.nii.gz").write_text("old")
    fill(target, "old")
    (target / "notes.txt").write_text("mine")
    with complete_folder(target, True, is_result) as folder:
        fill(folder)
        assert (target / "moved.nii.gz").read_text(encoding="utf-8") == "old"
    assert sorted(os.listdir(target)) == ["moved.nii.gz", "notes.txt"]
    assert (target / "moved.nii.gz").read_text(encoding="utf-8") == "new" and (target / "notes.txt").read_text(
        encoding="utf-8"
    ) == "mine"
    assert os.listdir(tmp_path) == ["result"]


def test_failed_overwriting_changes_nothing(tmp_path):
    target = tmp_path / "result"
    target.mkdir()
    fill(target, "old")
    with pytest.raises(RuntimeError):
        with complete_folder(target, True, is_result) as folder:
            fill(folder)
            raise RuntimeError
    assert (target / "moved.nii.gz").read_text(encoding="utf-8") == "old" and os.listdir(tmp_path) == ["result"]


def test_a_file_and_a_place_below_a_file_are_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "result", tmp_path / "file" / "deep" / "result"):
        with pytest.raises(DiffuseMorphError, match="is a file|cannot be made"):
            with complete_folder(path, True, is_result):
                pytest.fail("the work must not start")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with complete_folder(tmp_path / "link", False, is_result) as folder:
        fill(folder)
    assert (tmp_path / "link").is_symlink() and os.listdir(tmp_path / "elsewhere") == ["moved.nii.gz"]


posix = pytest.mark.skipif(os.name != "posix", reason="owners and modes of POSIX systems")


@posix
def test_an_existing_folder_keeps_its_identity_mode_and_group(tmp_path):
    target = tmp_path / "private"
    target.mkdir()
    target.chmod(0o2770)
    before = target.stat()
    with complete_folder(target, False, is_result) as folder:
        fill(folder)
    with complete_folder(target, True, is_result) as folder:
        fill(folder)
    after = target.stat()
    assert (after.st_ino, after.st_mode, after.st_uid, after.st_gid) == (
        before.st_ino,
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert (target / "moved.nii.gz").stat().st_gid == before.st_gid


def test_the_folder_one_stands_in_can_be_written_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with complete_folder(".", False, is_result) as folder:
        fill(folder)
    (tmp_path / "new").write_text("still here")
    assert os.listdir(".") == os.listdir(tmp_path) and sorted(os.listdir(".")) == ["moved.nii.gz", "new"]


@posix
@pytest.mark.skipif(os.name == "posix" and os.getuid() == 0, reason="root may write anywhere")
def test_an_empty_folder_in_a_closed_one_is_used_and_a_closed_folder_refused(tmp_path):
    target = tmp_path / "closed" / "mine"
    target.mkdir(parents=True)
    target.parent.chmod(0o555)
    try:
        with complete_folder(target, False, is_result) as folder:
            fill(folder)
        assert os.listdir(target) == ["moved.nii.gz"]
        for path in (target.parent, target.parent / "other"):
            with pytest.raises(DiffuseMorphError, match="may not be written to|cannot be made"):
                with complete_folder(path, True, is_result):
                    pytest.fail("the work must not start")
    finally:
        target.parent.chmod(0o755)


WORKER = """
import sys
from DiffuseMorphCore.command_line.result_folder import complete_folder
from DiffuseMorphCore.errors import DiffuseMorphError
try:
    with complete_folder("result", sys.argv[1] == "overwrite", lambda name: name == "moved.nii.gz") as folder:
        print("working", flush=True)
        sys.stdin.readline()
        (folder / "moved.nii.gz").write_text("of the other")
except DiffuseMorphError as error:
    print(error, flush=True)
"""


@pytest.mark.parametrize("overwrite", ["overwrite", "new"])
def test_two_processes_do_not_write_into_one_folder(tmp_path, repository, overwrite):
    def start() -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, overwrite],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(repository)},
        )

    first = start()
    assert first.stdout.readline() == "working\n"
    second = start()
    assert "is being written to by another process" in second.communicate("\n")[0]
    first.communicate("\n")
    assert os.listdir(tmp_path / "result") == ["moved.nii.gz"] and os.listdir(tmp_path) == ["result"]
    third = start()
    assert ("working" if overwrite == "overwrite" else "not empty") in third.communicate("\n")[0]


def test_what_appeared_meanwhile_stays_and_the_result_is_kept_beside_it(tmp_path):
    target = tmp_path / "result"
    with pytest.raises(DiffuseMorphError, match=r"the complete result is in '.*result-1' instead\.$"):
        with complete_folder(target, False, is_result) as folder:
            fill(folder)
            (folder / "report.json").write_text("new")
            (target / "report.json").write_text("of somebody else")
    assert (target / "report.json").read_text() == "of somebody else"
    assert sorted(os.listdir(target)) == ["report.json", "result-1"]
    assert sorted(os.listdir(target / "result-1")) == ["moved.nii.gz", "report.json"]


def test_a_failing_job_whose_new_parent_somebody_else_uses_says_its_own_reason(tmp_path):
    with pytest.raises(ValueError, match="the reason"):
        with complete_folder(tmp_path / "deep" / "result", False, is_result):
            (tmp_path / "deep" / "other").mkdir()
            raise ValueError("the reason")
    assert os.listdir(tmp_path / "deep") == ["other"]


@pytest.mark.parametrize("when", ["before", "amid"])
def test_what_a_killed_process_left_is_undone(tmp_path, when):
    """Killed with its work half done, or while it was giving new files the places of former ones."""
    target = tmp_path / "result"
    (target / WORK / "new").mkdir(parents=True)
    (target / WORK / "new" / "report.json").write_text("new")
    fill(target, "former" if when == "before" else "new")
    if when == "amid":
        (target / WORK / "former").mkdir()
        fill(target / WORK / "former", "former")
        (target / "trajectory").mkdir()
    with pytest.raises(KeyError):
        with complete_folder(target, True, is_result):
            raise KeyError
    assert os.listdir(target) == ["moved.nii.gz"] and (target / "moved.nii.gz").read_text() == "former"


def test_the_report_gets_its_name_last(tmp_path, monkeypatch):
    order = []
    rename = Path.rename
    monkeypatch.setattr(
        Path, "rename", lambda path, to: (order.append((path.name, Path(to).parent.name)), rename(path, to))
    )
    for _ in range(2):
        with complete_folder(tmp_path / "result", True, lambda name: True) as folder:
            for name in ("zebra.png", "report.json", "moved.nii.gz"):
                (folder / name).write_text("new")
    into = [name for name, place in order if place == "result"]
    assert into == 2 * ["moved.nii.gz", "zebra.png", "report.json"] or (into[2], into[5]) == (
        "report.json",
        "report.json",
    )
    assert [name for name, place in order if place == "former"][0] == "report.json"


@posix
def test_protected_former_results_make_room_and_leave_nothing_hidden(tmp_path):
    target = tmp_path / "result"
    (target / "trajectory" / "inner").mkdir(parents=True)
    (target / "trajectory" / "inner" / "frame.nii.gz").write_text("old")
    (target / "trajectory" / "inner").chmod(0o555)
    with complete_folder(target, True, is_result) as folder:
        fill(folder)
    assert os.listdir(target) == ["moved.nii.gz"]


def test_inputs_are_not_replaced_by_results(tmp_path):
    fill(tmp_path, "my only scan")
    for path in (tmp_path, f"{tmp_path}/.", tmp_path / "x" / ".."):
        with pytest.raises(DiffuseMorphError, match="moving image '.*moved.nii.gz' lies in the output folder"):
            check_inputs_stay(
                path, {"fixed": "/elsewhere/moved.nii.gz", "moving image": str(tmp_path / "moved.nii.gz")}, is_result
            )
    check_inputs_stay(tmp_path / "result", {"moving": str(tmp_path / "moved.nii.gz")}, is_result)


def test_messages_name_files_where_they_would_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for write in (
        lambda folder: write_image(sitk.Image([9, 9], sitk.sitkFloat32), folder / "moved.png"),
        lambda folder: (folder / "moved.png" / "below").write_text("x"),
    ):
        with pytest.raises(DiffuseMorphError, match="^The file 'deep/result/moved.png.*\\.$") as caught:
            with complete_folder("deep/result", False, is_result) as folder:
                write(folder)
        assert ".diffusemorph" not in str(caught.value)
    assert os.listdir(tmp_path) == []
