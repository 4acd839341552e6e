"""A result folder stays the folder it is, and holds complete results only."""

from __future__ import annotations

import os
import stat

import pytest

from DiffuseMorphCore.command_line.result_folder import complete_folder
from DiffuseMorphCore.errors import DiffuseMorphError


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
    assert (target / "moved.nii.gz").read_text(encoding="utf-8") == "new" and (target / "notes.txt").read_text(encoding="utf-8") == "mine"
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
