"""Slicer's MRML with stand-ins for the application; see standins/__init__.py."""
import importlib
import sys
import types
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODULE = ROOT / "DiffuseMorphSlicer"


@pytest.fixture(scope="session")
def application():
    pytest.importorskip("slicer", reason="the package slicer-core is not installed")
    pytest.importorskip("PySide6", reason="the package PySide6-Essentials is not installed")
    sys.path.insert(0, str(HERE))
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
