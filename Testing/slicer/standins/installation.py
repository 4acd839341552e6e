"""Puts the stand-ins where `import slicer`, `import qt` and `import ctk` look for them."""

from __future__ import annotations

import ctypes
import os
import sys
import types


def install():
    """Idempotent; returns the application. Needs the packages slicer-core and PySide6-Essentials."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    import slicer

    if getattr(slicer, "app", None) is not None:
        return slicer.app
    from PySide6 import QtWidgets

    from . import application, ctk_widgets, parameter_node, python_qt

    _keep_constants()
    python_qt.follow_manners("slicer.util")
    qtApplication = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    qtApplication.setStyle("Fusion")
    sys.modules["qt"] = python_qt.module()
    sys.modules["ctk"] = ctk_widgets.module()
    translation = types.ModuleType("slicer.i18n")
    translation.tr = lambda text: text
    translation.translate = lambda context, text: text
    _provide("i18n", translation)
    _provide("parameterNodeWrapper", parameter_node.module())
    from . import mrml_widgets, scripted_module

    _provide("ScriptedLoadableModule", scripted_module.module())
    for widget in (mrml_widgets.qMRMLWidget, mrml_widgets.qMRMLNodeComboBox):
        setattr(slicer, widget.__name__, widget)
    for source in (ctk_widgets, mrml_widgets):
        for name in dir(source):
            if name.startswith(("ctk", "qMRML")):
                python_qt.QUiLoader.custom[name] = getattr(source, name)
    return application.start(qtApplication)


def _provide(name: str, module: types.ModuleType) -> None:
    import slicer

    sys.modules[f"slicer.{name}"] = module
    setattr(slicer, name, module)


def _keep_constants() -> None:
    """Make None, True and False immortal, as they are from Python 3.12 on.

    PySide6 6.12 counts on that: on Python 3.11 each of its calls that returns None gives away a reference that is not
    its own, and after some ten thousand calls the interpreter ends with "deallocating None".
    """
    if sys.version_info < (3, 12):
        for constant in (None, True, False):
            ctypes.c_ssize_t.from_address(id(constant)).value += 1 << 40
