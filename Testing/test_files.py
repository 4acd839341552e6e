"""A file appears whole or not at all."""

from __future__ import annotations

import pytest

from DiffuseMorphCore.files import completed, reason_not_written


def test_a_file_gets_its_name_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "a.nii.gz"
    with pytest.raises(FileNotFoundError), completed(path) as part:
        part.write_text("first")
    assert not path.parent.exists()
    with completed(path, make_folder=True) as part:
        part.write_text("first")
        assert part.parent == path.parent and part.name.endswith("a.nii.gz") and not path.exists()
    assert path.read_text() == "first" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("begun", [False, True])
def test_what_was_there_stays_when_something_fails(tmp_path, begun):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), completed(path) as part:
        if begun:
            part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_the_reason_is_the_systems_and_the_writers_only_where_the_system_has_none(tmp_path):
    assert reason_not_written(PermissionError(13, "Permission denied"), tmp_path, 1) == "permission denied"
    assert reason_not_written(RuntimeError("bad type\nat line 3"), tmp_path, 1) == "bad type"
    too_large = reason_not_written(RuntimeError("unexpected pos 64"), tmp_path, 1 << 60)
    assert "unexpected" not in too_large and ("space" in too_large or "large" in too_large)
    assert "no such file" in reason_not_written(RuntimeError("unexpected pos 64"), tmp_path / "absent", 1)
    assert not list(tmp_path.iterdir())
