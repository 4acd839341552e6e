"""What Slicer's factory does with a scripted module: import the file, describe the module, make its panel."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

import slicer

from . import mrml_widgets, python_qt

LIBRARY = "DiffuseMorphSlicerLib"


def load_module(path: Path) -> types.ModuleType:
    name = path.stem
    for module_name in [name, LIBRARY, *(f"{LIBRARY}.{file.stem}" for file in (path.parent / LIBRARY).glob("*.py"))]:
        python_qt.follow_manners(module_name)
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    parent = types.SimpleNamespace(path=str(path))
    getattr(module, name)(parent)
    setattr(slicer.modules, name.lower(), types.SimpleNamespace(path=str(path), name=name, description=parent))
    return module


def make_panel(module: types.ModuleType):
    """The widget representation: the module's widget object, set up in a window of its own."""
    from PySide6 import QtWidgets

    name = module.__name__
    parent = mrml_widgets.qMRMLWidget()
    QtWidgets.QVBoxLayout(parent)

    def reload():
        widget = getattr(sys.modules[name], name + "Widget")(parent)
        setattr(slicer.modules, name + "Widget", widget)
        widget.setup()

    parent.reload = reload
    getattr(slicer.modules, name.lower()).widgetRepresentation = lambda: parent
    reload()
    return getattr(slicer.modules, name + "Widget")
