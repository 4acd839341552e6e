"""The notebook runs from its top to its end, and what it shows is what came out of it."""

from __future__ import annotations

import os

import pytest

nbclient = pytest.importorskip("nbclient", reason="needs pip install '.[test]'")
nbformat = pytest.importorskip("nbformat", reason="needs pip install '.[test]'")
NAME = "Resources/Documentation/notebook.ipynb"


def cells_of_code(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell) -> list[str]:
    return [output.output_type for output in cell.outputs]


def test_the_notebook_runs_and_gives_the_kinds_of_outputs_that_it_shows(repository, tmp_path, monkeypatch):
    paths = (str(repository), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # pictures belong into the notebook
    shown = nbformat.read(repository / NAME, as_version=4)
    fresh = nbformat.read(repository / NAME, as_version=4)
    for cell in cells_of_code(fresh):
        cell.outputs = []
    nbclient.NotebookClient(
        fresh, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    for old, new in zip(cells_of_code(shown), cells_of_code(fresh)):
        assert kinds(old) == kinds(new), old.source
    text = "".join(output.text for cell in cells_of_code(fresh) for output in cell.outputs if "text" in output)
    assert text.startswith("good - ") and "folded voxels: 0.0" in text
    assert not list(tmp_path.iterdir())


def test_what_the_notebook_shows_was_run_in_order_and_is_small(repository):
    file = repository / NAME
    cells = cells_of_code(nbformat.read(file, as_version=4))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell.outputs and "error" not in kinds(cell) for cell in cells)
    assert file.stat().st_size < 600_000 and str(repository) not in file.read_text(encoding="utf-8")
