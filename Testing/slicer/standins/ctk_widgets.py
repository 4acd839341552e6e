"""The four ctk widgets that the panel uses."""

from __future__ import annotations

import types

from PySide6 import QtCore, QtGui, QtWidgets

from .python_qt import MANNERS


class ctkCollapsibleButton(QtWidgets.QFrame):
    """A titled container that folds away."""

    name, connect, disconnect = MANNERS["name"], MANNERS["connect"], MANNERS["disconnect"]
    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._text, self._collapsed = "", False
        self.setProperty("frameShape", QtWidgets.QFrame.Shape.StyledPanel)

    def _resize(self) -> None:
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly):
            if child.property("hiddenBeforeCollapse") is None or not self._collapsed:
                child.setProperty("visible", not self._collapsed and not child.property("startsHidden"))
        self.setProperty("maximumHeight", 26 if self._collapsed else 16777215)

    def event(self, event):
        if event.type() == QtCore.QEvent.Type.Polish and self._collapsed:
            self._resize()
        return super().event(event)

    def paintEvent(self, event):
        super().paintEvent(event)
        painter = QtGui.QPainter(self)
        painter.fillRect(QtCore.QRect(1, 1, self.property("width") - 2, 22), QtGui.QColor(222, 226, 232))
        painter.setPen(QtGui.QColor(30, 30, 30))
        arrow = "\u25b8" if self._collapsed else "\u25be"
        painter.drawText(QtCore.QPointF(8, 16), f"{arrow} {self._text}")

    def mousePressEvent(self, event):
        if event.position().y() < 24:
            self.collapsed = not self._collapsed

    @QtCore.Property(str)
    def text(self):
        return self._text

    @text.setter
    def text(self, value):
        self._text = value
        self.setContentsMargins(0, 24, 0, 2)

    @QtCore.Property(bool)
    def collapsed(self):
        return self._collapsed

    @collapsed.setter
    def collapsed(self, value):
        if value != self._collapsed:
            self._collapsed = value
            self._resize()
            self.contentsCollapsed.emit(value)


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider and a spin box that share a value."""

    name, connect, disconnect = MANNERS["name"], MANNERS["connect"], MANNERS["disconnect"]
    valueChanged = QtCore.Signal(float)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._step, self._tracking = 1.0, True
        self.slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self.box = QtWidgets.QDoubleSpinBox()
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.slider)
        layout.addWidget(self.box)
        self.box.valueChanged.connect(self._box_changed)
        self.slider.valueChanged.connect(lambda position: self.box.setProperty("value", position * self._step))

    def _box_changed(self, value):
        self.slider.blockSignals(True)
        self.slider.setProperty("value", round(value / self._step))
        self.slider.blockSignals(False)
        self.valueChanged.emit(value)

    def _update(self):
        self.slider.setProperty("minimum", round(self.minimum / self._step))
        self.slider.setProperty("maximum", round(self.maximum / self._step))

    def _forwarded(name):
        def read(self):
            return self.box.property(name)

        def write(self, value):
            self.box.setProperty(name, value)
            if name in ("minimum", "maximum"):
                self._update()

        return QtCore.Property({"decimals": int, "suffix": str}.get(name, float), read, write)

    value, minimum, maximum = _forwarded("value"), _forwarded("minimum"), _forwarded("maximum")
    decimals, suffix = _forwarded("decimals"), _forwarded("suffix")
    del _forwarded

    @QtCore.Property(float)
    def singleStep(self):
        return self._step

    @singleStep.setter
    def singleStep(self, value):
        self._step = value
        self.box.setProperty("singleStep", value)
        self._update()

    @QtCore.Property(bool)
    def tracking(self):
        return self._tracking

    @tracking.setter
    def tracking(self, value):
        self._tracking = value


class ctkColorPickerButton(QtWidgets.QPushButton):
    """A button that shows and holds a colour."""

    name, connect, disconnect = MANNERS["name"], MANNERS["connect"], MANNERS["disconnect"]
    colorChanged = QtCore.Signal(QtGui.QColor)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._color = QtGui.QColor("yellow")

    def paintEvent(self, event):
        super().paintEvent(event)
        QtGui.QPainter(self).fillRect(self.rect().adjusted(6, 6, -6, -6), self._color)

    @QtCore.Property(QtGui.QColor)
    def color(self):
        return self._color

    @color.setter
    def color(self, value):
        changed = value != self._color
        self._color = QtGui.QColor(value)
        self.update()
        if changed:
            self.colorChanged.emit(self._color)


class ctkPathLineEdit(QtWidgets.QWidget):
    """A path and a button to browse for it: the dialog is one for opening unless the filters ask for writable files."""

    name, connect, disconnect = MANNERS["name"], MANNERS["connect"], MANNERS["disconnect"]
    currentPathChanged = QtCore.Signal(str)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._filters, self._flags = [], "ctkPathLineEdit::Readable"
        self.edit = QtWidgets.QLineEdit()
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.edit)
        layout.addWidget(QtWidgets.QToolButton())
        self.edit.textChanged.connect(self.currentPathChanged)

    def dialog(self):
        """Which dialog the button would open: the function of QFileDialog and its name filters."""
        flags = {flag.split("::")[-1] for flag in self._flags.split("|")}
        if "Files" not in flags:
            return "getExistingDirectory", []
        return "getSaveFileName" if "Writable" in flags else "getOpenFileName", self._filters

    @QtCore.Property(str)
    def filters(self):
        return self._flags

    @filters.setter
    def filters(self, value):
        self._flags = value

    @QtCore.Property("QStringList")
    def nameFilters(self):
        return self._filters

    @nameFilters.setter
    def nameFilters(self, value):
        self._filters = list(value)

    @QtCore.Property(str)
    def currentPath(self):
        return self.edit.property("text")

    @currentPath.setter
    def currentPath(self, value):
        self.edit.setProperty("text", value)


def module() -> types.ModuleType:
    ctk = types.ModuleType("ctk")
    for widget in (ctkCollapsibleButton, ctkSliderWidget, ctkColorPickerButton, ctkPathLineEdit):
        setattr(ctk, widget.__name__, widget)
    return ctk
