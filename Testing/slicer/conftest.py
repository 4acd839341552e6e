"""Slicer's MRML with stand-ins for the application; see standins/__init__.py."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))
MODULE = ROOT / "DiffuseMorphSlicer"


@pytest.fixture(scope="session")
def application():
    pytest.importorskip("slicer", reason="the package slicer-core is not installed")
    pytest.importorskip("PySide6", reason="the package PySide6-Essentials is not installed")
    from standins import install

    return install()


@pytest.fixture(scope="session")
def module(application):
    """The module file, imported as Slicer does it."""
    from standins.modules import load_module

    return load_module(MODULE / "DiffuseMorphSlicer.py")


@pytest.fixture
def scene(application, tmp_path):
    """An empty scene with three slice views."""
    import slicer

    application.temporaryPath = str(tmp_path)
    application.startScene()
    yield slicer.mrmlScene
    slicer.mrmlScene.Clear(True)


@pytest.fixture
def logic(module, scene):
    logic = module.DiffuseMorphSlicerLogic()
    yield logic
    logic.cleanup()


@pytest.fixture
def panel(module, scene):
    from standins.modules import make_panel

    widget = make_panel(module)
    widget.parent.show()
    widget.parent.enter()
    yield widget
    widget.cleanup()
    widget.parent.close()


@pytest.fixture
def beat(scene):
    """The browser of a made heartbeat."""
    from sequence_driver import add_beat

    return add_beat()


@pytest.fixture(scope="session")
def _found():
    return {}


@pytest.fixture
def known(_found, monkeypatch):
    """The core answers with what it found before, where the question is the same: for tests of what becomes of it."""
    import DiffuseMorphCore

    compute = DiffuseMorphCore.register_sequence

    def register(frames, *, progress=None, **options):
        key = repr((frames.count, sorted(options.items())))
        if key not in _found:
            _found[key] = compute(frames, progress=progress, **options)
        return _found[key]

    monkeypatch.setattr(DiffuseMorphCore, "register_sequence", register)
