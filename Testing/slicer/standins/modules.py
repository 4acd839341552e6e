"""What Slicer's factory does with a scripted module: import the file, describe the module, make its panel."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

import slicer
from PySide6 import QtCore, QtWidgets

from . import mrml_widgets, python_qt

LIBRARY = "DiffuseMorphSlicerLib"


def load_module(path: Path) -> types.ModuleType:
    name = path.stem
    for module_name in [name, LIBRARY, *(f"{LIBRARY}.{file.stem}" for file in (path.parent / LIBRARY).glob("*.py"))]:
        python_qt.follow_manners(module_name)
    # The factory appends the folder of every module that it finds.
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    parent = types.SimpleNamespace(path=str(path))
    getattr(module, name)(parent)
    setattr(slicer.modules, name.lower(), types.SimpleNamespace(path=str(path), name=name, description=parent))
    return module


class qSlicerScriptedLoadableModuleWidget(mrml_widgets.qMRMLWidget):
    """What holds a module's panel; the application enters and exits it."""

    def __init__(self):
        super().__init__()
        self._entered = False
        self.panel = None

    @QtCore.Property(bool)
    def isEntered(self):
        return self._entered

    def enter(self):
        assert not self._entered
        self._entered = True
        self.panel.enter()

    def exit(self):
        assert self._entered
        self._entered = False
        self.panel.exit()


def make_panel(module: types.ModuleType):
    """The widget representation: the module's widget object, set up in a window of its own, not entered yet."""
    name = module.__name__
    parent = qSlicerScriptedLoadableModuleWidget()
    QtWidgets.QVBoxLayout(parent)

    def reload():
        parent.panel = getattr(sys.modules[name], name + "Widget")(parent)
        setattr(slicer.modules, name + "Widget", parent.panel)
        parent.panel.setup()

    parent.reload = reload
    getattr(slicer.modules, name.lower()).widgetRepresentation = lambda: parent
    reload()
    return getattr(slicer.modules, name + "Widget")
