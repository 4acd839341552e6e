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
