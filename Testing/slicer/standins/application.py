"""slicer.app, slicer.modules and the layout manager, as far as the module asks them."""

from __future__ import annotations

import tempfile
import types

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from .views import ORIENTATIONS, SliceView


class LayoutManager:
    def __init__(self, scene, applicationLogic, size: int = 320):
        self._logics = vtk.vtkCollection()
        applicationLogic.SetSliceLogics(self._logics)
        self.views = {name: SliceView(scene, applicationLogic, name, size) for name in ORIENTATIONS}

    def sliceViewNames(self):
        return tuple(self.views)

    def sliceWidget(self, name):
        return self.views[name]

    def mrmlSliceLogics(self):
        return self._logics

    def render(self) -> int:
        """Draw the views that asked for it; returns how many did."""
        return sum(view.render() for view in self.views.values())


class Application:
    """The application with no main window. Messages that would open a window are kept in `messages`."""

    applicationName = "Slicer"

    def __init__(self, qtApplication):
        self._qt = qtApplication
        self.messages: list[str] = []
        self.cursors: list = []
        self._layoutManager = None
        self.temporaryPath = None
        self._cacheFolder = tempfile.TemporaryDirectory()
        self.connections: dict[str, list] = {}

    def moduleManager(self):
        return self

    def disconnect(self, signal, receiver):
        self.connections[signal].remove(receiver)

    def layoutManager(self):
        return self._layoutManager

    def applicationLogic(self):
        return self.logic

    def testingEnabled(self):
        return True

    def processEvents(self):
        self._qt.processEvents()

    def pauseRender(self):
        pass

    def resumeRender(self):
        pass

    def setOverrideCursor(self, cursor):
        self.cursors.append(cursor)

    def restoreOverrideCursor(self):
        self.cursors.pop()

    def translate(self, context, text):
        return text

    def connect(self, signal, receiver):
        self.connections.setdefault(signal, []).append(receiver)

    def emit(self, signal):
        for receiver in self.connections.get(signal, []):
            receiver()

    def startScene(self, viewSize: int = 320) -> None:
        """A new scene with three slice views, as after the application's start."""
        scene = slicer.vtkMRMLScene()
        self.logic = slicer.vtkMRMLApplicationLogic()
        self.logic.SetMRMLScene(scene)
        colorLogic = slicer.vtkMRMLColorLogic()
        colorLogic.SetMRMLScene(scene)
        self.logic.SetColorLogic(colorLogic)
        self._colorLogic = colorLogic
        slicer.mrmlScene = scene
        # Bundles (.mrb) are unpacked in the cache.
        self._dataManager, self._cache = slicer.vtkDataIOManager(), slicer.vtkCacheManager()
        self._cache.SetRemoteCacheDirectory(self._cacheFolder.name)
        self._dataManager.SetCacheManager(self._cache)
        scene.SetDataIOManager(self._dataManager)
        scene.SetCacheManager(self._cache)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
        for storage in (
            "vtkMRMLScriptedModuleNode",
            "vtkMRMLSequenceNode",
            "vtkMRMLTransformSequenceStorageNode",
            "vtkMRMLVolumeSequenceStorageNode",
            "vtkMRMLSegmentationNode",
            "vtkMRMLSegmentationDisplayNode",
            "vtkMRMLSegmentationStorageNode",
            "vtkMRMLMarkupsFiducialNode",
            "vtkMRMLMarkupsDisplayNode",
            "vtkMRMLMarkupsFiducialStorageNode",
        ):
            if not scene.IsNodeClassRegistered(storage):
                scene.RegisterNodeClass(getattr(slicer, storage)())
        # Slicer's own: it is what lets the nodes of a browser follow its slider.
        sequencesLogic = slicer.vtkSlicerSequencesLogic()
        sequencesLogic.SetMRMLApplicationLogic(self.logic)
        sequencesLogic.SetMRMLScene(scene)
        slicer.modules.sequences = types.SimpleNamespace(logic=lambda: sequencesLogic)
        self._layoutManager = LayoutManager(scene, self.logic, viewSize)


def start(qtApplication) -> Application:
    application = Application(qtApplication)
    slicer.app = application
    slicer.selfTests = {}
    slicer.modules = types.SimpleNamespace()
    # As the setup of Slicer's Segmentations module does it; without, segmentations cannot be copied.
    converters = slicer.vtkSegmentationConverterFactory.GetInstance()
    for rule in ("vtkBinaryLabelmapToClosedSurfaceConversionRule", "vtkClosedSurfaceToBinaryLabelmapConversionRule"):
        converters.RegisterConverterRule(getattr(slicer, rule)())
    application.startScene()
    return application


def settle(milliseconds: int = 0) -> None:
    """Let Qt deliver what is due, for at least so many milliseconds."""
    loop = QtCore.QEventLoop()
    QtCore.QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()
    QtWidgets.QApplication.instance().processEvents()
