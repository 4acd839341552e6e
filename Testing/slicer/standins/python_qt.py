"""PySide6 with PythonQt's manners: properties as attributes, connect by signal name, .ui files with our classes."""

from __future__ import annotations

import sys
import types
import xml.etree.ElementTree as ElementTree

import shibokensupport.feature
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

TRUE_PROPERTY = 0x02


def _connect(self, signal: str, receiver) -> None:
    getattr(self, signal.split("(")[0]).connect(receiver)


def _disconnect(self, signal: str, receiver) -> None:
    getattr(self, signal.split("(")[0]).disconnect(receiver)


# What PythonQt adds to every object: its name, and connect by a signal's C++ signature. PySide's own connect would be
# found first in a mix-in, therefore each class gets these in its own body.
MANNERS = {
    "name": property(
        lambda self: self.property("objectName"), lambda self, value: self.setProperty("objectName", value)
    ),
    "connect": _connect,
    "disconnect": _disconnect,
}


CONNECTING = (
    "QWidget",
    "QPushButton",
    "QToolButton",
    "QCheckBox",
    "QLabel",
    "QComboBox",
    "QSpinBox",
    "QDoubleSpinBox",
    "QLineEdit",
    "QProgressBar",
    "QPlainTextEdit",
    "QTextEdit",
    "QSlider",
    "QFrame",
)

classes = {name: type(name, (getattr(QtWidgets, name),), dict(MANNERS)) for name in CONNECTING}
# QTimer has a property and a static method of this name; PythonQt gives the property.
SINGLE_SHOT = property(
    lambda self: self.property("singleShot"), lambda self, value: self.setProperty("singleShot", value)
)
classes["QTimer"] = type("QTimer", (QtCore.QTimer,), MANNERS | {"singleShot": SINGLE_SHOT})


class QUiLoader(QtUiTools.QUiLoader):
    """Creates the classes above, and the stand-ins for ctk and qMRML widgets, from a .ui file."""

    custom: dict[str, type] = {}

    def createWidget(self, className, parent=None, name=""):
        factory = self.custom.get(className) or classes.get(className)
        if factory is None:
            return super().createWidget(className, parent, name)
        widget = factory(parent)
        widget.setProperty("objectName", name)
        return widget

    def load(self, file, parent=None):
        """The panel without the .ui file's connections: their C++ signatures mean nothing here, qMRMLWidget does it.

        Enumerations of ctk and qMRML widgets are given to the stand-ins by name.
        """
        described = ElementTree.fromstring(bytes(file.readAll()))
        file.close()
        described.remove(described.find("connections"))
        for widget in described.iter("widget"):
            if widget.get("class") in self.custom:
                for value in widget.iterfind("property/*"):
                    value.tag = {"enum": "string", "set": "string"}.get(value.tag, value.tag)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(described))
        return super().load(buffer, parent)


def follow_manners(module_name: str) -> None:
    """Let the code of one module read and write Qt properties as attributes, as all code does under PythonQt."""
    # At its first call the feature reads the source of every module; torch's lazy ones raise when asked for theirs.
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "torch"}
    try:
        shibokensupport.feature.set_selection(TRUE_PROPERTY, module_name)
    finally:
        sys.modules.update(hidden)


def module() -> types.ModuleType:
    qt = types.ModuleType("qt")
    for source in (QtCore, QtGui, QtWidgets):
        for name in dir(source):
            if name.startswith("Q"):
                setattr(qt, name, getattr(source, name))
    for name, stand_in in classes.items():
        setattr(qt, name, stand_in)
    qt.QUiLoader = QUiLoader
    return qt
