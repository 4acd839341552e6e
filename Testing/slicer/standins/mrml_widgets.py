"""The two qMRML widgets that the panel uses."""

from __future__ import annotations

import slicer
from PySide6 import QtCore, QtWidgets

from .python_qt import MANNERS


class qMRMLWidget(QtWidgets.QWidget):
    name, connect, disconnect = MANNERS["name"], MANNERS["connect"], MANNERS["disconnect"]
    mrmlSceneChanged = QtCore.Signal(object)

    def setMRMLScene(self, scene) -> None:
        for selector in self.findChildren(qMRMLNodeComboBox):
            selector.setMRMLScene(scene)
        self.mrmlSceneChanged.emit(scene)


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """A choice among the scene's nodes of some classes."""

    name, connect, disconnect = MANNERS["name"], MANNERS["connect"], MANNERS["disconnect"]
    currentNodeChanged = QtCore.Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene, self._nodes, self._current = None, [], None
        self._types: list[str] = []
        self._flags, self._policy = {}, "QComboBox::AdjustToContentsOnFirstShow"
        self.box = QtWidgets.QComboBox()
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.box)
        self.box.setProperty("placeholderText", "Select a node")
        self.box.activated.connect(lambda index: self.setCurrentNode(self._nodes[index]))

    def setMRMLScene(self, scene) -> None:
        self._scene = scene
        scene.AddObserver(scene.NodeAddedEvent, lambda *_: self._refresh())
        scene.AddObserver(scene.NodeRemovedEvent, lambda *_: self._refresh())
        self._refresh()

    def _refresh(self) -> None:
        if self._scene is None:
            return
        nodes = []
        for name in self._types:
            found = slicer.util.getNodesByClass(name)
            nodes += [n for n in found if self.showChildNodeTypes or n.GetClassName() == name]
        nodes = [n for n in nodes if self.showHidden or not n.GetHideFromEditors()]
        self._nodes = ([None] if self.noneEnabled else []) + nodes
        self.box.clear()
        for node in self._nodes:
            self.box.addItem(node.GetName() if node else self.noneDisplay or "None")
        gone = self._current is not None and self._current not in self._nodes
        if gone:
            self._current = None
        self.box.setProperty("currentIndex", self._nodes.index(self._current) if self._current in self._nodes else -1)
        if gone:
            self.currentNodeChanged.emit(None)

    def currentNode(self):
        return self._current

    def setCurrentNode(self, node) -> None:
        if node is self._current:
            return
        self._current = node
        self._refresh()
        self.currentNodeChanged.emit(node)

    @QtCore.Property("QStringList")
    def nodeTypes(self):
        return self._types

    @nodeTypes.setter
    def nodeTypes(self, names):
        self._types = list(names)
        self._refresh()

    @QtCore.Property(str)
    def sizeAdjustPolicy(self):
        return self._policy

    @sizeAdjustPolicy.setter
    def sizeAdjustPolicy(self, value):
        self._policy = value
        policy = getattr(QtWidgets.QComboBox.SizeAdjustPolicy, value.split("::")[-1])
        self.box.setProperty("sizeAdjustPolicy", policy)

    def _flag(name, default):
        def read(self):
            return self._flags.get(name, default)

        def write(self, value):
            self._flags[name] = value
            self._refresh()

        return QtCore.Property(type(default), read, write)

    noneEnabled, addEnabled, removeEnabled = _flag("none", False), _flag("add", True), _flag("remove", True)
    renameEnabled, showHidden, editEnabled = _flag("rename", False), _flag("hidden", False), _flag("edit", False)
    showChildNodeTypes, selectNodeUponCreation = _flag("children", True), _flag("select", True)
    noneDisplay, baseName = _flag("noneDisplay", ""), _flag("baseName", "")
    del _flag
