import importlib
import sys

import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from .ExplorePanel import ExplorePanel
from .ExportPanel import ExportPanel
from .Logic import DiffuseMorphSlicerLogic
from .ModelPanel import ModelPanel
from .OutputTransform import OutputTransform
from .ParameterConnection import ParameterConnection
from .ParameterNode import ViewMode
from .ResultText import ResultText
from .RunPanel import RunPanel
from .SequencePanel import SequencePanel


class DiffuseMorphSlicerWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The module's panel: connects the widgets of the .ui file, the parameter node and the logic."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._connection = None
        self._shownReport = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/DiffuseMorphSlicer.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = DiffuseMorphSlicerLogic()
        self.runPanel = RunPanel(self.ui, self._onRunStateChanged)
        self.modelPanel = ModelPanel(self.ui)
        self.explorePanel = ExplorePanel(self.ui, self.logic, self._startExport)
        self.exportPanel = ExportPanel(self.ui, self.logic, self._startExport, self.runPanel.say)
        self.sequencePanel = SequencePanel(self.ui, self.logic, self.runPanel)
        self.ui.registerButton.connect("clicked(bool)", lambda *_clicked: self.onRegister())
        self.ui.recomputeButton.connect("clicked(bool)", lambda *_clicked: self.onRegister(recompute=True))
        self.ui.synthesizeButton.connect("clicked(bool)", lambda *_clicked: self.onSynthesize())
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEnd)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEnd)
        # Reloaded, the panel is on screen already and enter() is not called.
        self.onSceneEnd()

    def enter(self):
        self.initializeParameterNode()
        self.modelPanel.readInformation()

    def exit(self):
        """A registration goes on while another module is shown; playing stops."""
        self.explorePanel.stop()
        self.setParameterNode(None)

    def cleanup(self):
        # First of all, for an observer left behind would call a panel that is gone.
        self.removeObservers()
        self.setParameterNode(None)
        self.runPanel.abandon()
        self.modelPanel.stop()
        self.explorePanel.clear()
        self.logic.cleanup()

    def onReload(self):
        """Reload the module with its library and the core, not the module file alone."""
        for name in [
            name for name in sys.modules if name.split(".")[0] in ("DiffuseMorphSlicerLib", "DiffuseMorphCore")
        ]:
            del sys.modules[name]
        importlib.invalidate_caches()
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event):
        self.runPanel.abandon()
        self.explorePanel.leaveScene()
        self.setParameterNode(None)

    def onSceneEnd(self, caller=None, event=None):
        """A scene was closed or imported. A panel that nobody sees leaves scene and views alone until it is entered."""
        self.setParameterNode(None)
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode):
        if self._connection is not None:
            self._connection.end()
            self._connection = None
        self._parameterNode = parameterNode
        for panel in (self.modelPanel, self.explorePanel, self.exportPanel, self.sequencePanel):
            panel.setParameterNode(parameterNode)
        if parameterNode is not None:
            self._connection = ParameterConnection(parameterNode, self.ui, self.update)
            self.update()

    def update(self):
        """Bring buttons, result and views to what the parameter node and the logic say."""
        parameters = self._parameterNode
        if parameters is None:
            return
        missing = self._missing()
        self.ui.registerButton.enabled = not missing
        self.ui.registerButton.text = missing or _("Register")
        self.ui.registerButton.toolTip = missing or _("Register the moving volume to the fixed volume.")
        hindrance = self._missingForSynthesis()
        self.ui.synthesizeButton.enabled = not hindrance
        self.ui.synthesizeButton.text = hindrance or _("Synthesize")
        recompute = (
            OutputTransform.isOutput(parameters.outputTransform)
            and not self.runPanel.busy
            and not self.logic.hasTrajectory(parameters.outputTransform)
        )
        self.ui.recomputeLabel.visible = self.ui.recomputeButton.visible = recompute
        self.ui.recomputeButton.enabled = recompute and None not in OutputTransform.pair(parameters.outputTransform)
        if self._shownReport != parameters.report:
            self._shownReport = parameters.report
            self.ui.resultLabel.text = ResultText.toHtml(parameters.report)
        self.modelPanel.update()
        self.explorePanel.update()
        self.exportPanel.update()
        self.sequencePanel.update()

    def _onRunStateChanged(self):
        # PyTorch may have been installed meanwhile.
        self.modelPanel.readInformation()
        self.update()

    def _missingVolumes(self):
        parameters = self._parameterNode
        if parameters.fixedVolume is None and parameters.movingVolume is None:
            return _("Select a fixed and a moving volume")
        if parameters.fixedVolume is None:
            return _("Select a fixed volume")
        if parameters.movingVolume is None:
            return _("Select a moving volume")
        if parameters.fixedVolume == parameters.movingVolume:
            return _("Select two different volumes")
        return ""

    def _missing(self):
        """What stands in the way of registering, for the text of the button; empty when nothing does."""
        if self.runPanel.busy:
            return _("Computing")
        if not (self._parameterNode.makeTransform or self._parameterNode.makeVolume):
            return self._missingVolumes() or _("Select at least one output")
        return self._missingVolumes()

    def _missingForSynthesis(self):
        p = self._parameterNode
        if self.runPanel.busy:
            return _("Computing")
        if self._missingVolumes():
            return self._missingVolumes()
        if p.model == "none":
            return _("Select a model")
        if p.synthesisSteps > p.synthesisStart + 1:
            return _("Select at most {count} steps").format(count=p.synthesisStart + 1)
        return ""

    def onRegister(self, recompute=False):
        """recompute: only bring the trajectory of the saved transform back, at its eta, and leave the volume."""
        p = self._parameterNode
        pair = OutputTransform.pair(p.outputTransform) if recompute else (p.fixedVolume, p.movingVolume)
        first = not p.report

        def begin():
            return self.logic.startRegistration(
                *pair,
                model=p.model,
                device=p.device,
                align=p.alignment.value,
                refine="auto" if p.refinement < 0 else p.refinement,
                modality=p.modality.value,
                quality=p.quality.value,
                trajectory=p.trajectoryForm.value,
                seed=p.seed,
                fixedMask=p.fixedMask,
                movingMask=p.movingMask,
                initialTransform=p.initialTransform,
                fixedLandmarks=p.fixedLandmarks,
                movingLandmarks=p.movingLandmarks,
                movingLabels=p.movingLabels,
                fixedLabels=p.fixedLabels,
                eta=p.eta if recompute else 1.0,
                outputTransform=self._reusable(p.outputTransform, pair),
                outputVolume=self._reusable(p.outputVolume, pair),
                makeTransform=recompute or p.makeTransform,
                makeVolume=p.makeVolume and not recompute,
            )

        self.runPanel.attempt(begin, lambda result: self._onRegistered(result, first))

    @staticmethod
    def _reusable(node, pair):
        """An output chosen in the panel, unless it is the result of another pair: that is kept, and None returned."""
        owners = OutputTransform.pair(node) if node is not None else (None, None)
        return node if owners in (pair, (None, None)) else None

    def _onRegistered(self, result, first):
        """first: nothing was registered in this scene before. The views are changed only while the panel is open."""
        p = self._parameterNode
        if first and p is not None and p.viewMode == ViewMode.keep and result.transformNode is not None:
            p.viewMode = ViewMode.blend
            if slicer.app.layoutManager() is not None:
                slicer.util.setSliceViewerLayers(background=result.fixedNode, fit=True, rotateToVolumePlane=True)
        self.update()

    def onSynthesize(self):
        p = self._parameterNode
        self.runPanel.attempt(
            lambda: self.logic.startSynthesis(
                p.fixedVolume,
                p.movingVolume,
                model=p.model,
                device=p.device,
                align=p.alignment.value,
                start=p.synthesisStart,
                steps=p.synthesisSteps,
                seed=p.synthesisSeed,
                outputVolume=p.synthesizedVolume,
            ),
            self._onSynthesized,
        )

    def _onSynthesized(self, node):
        self.logic.getParameterNode().synthesizedVolume = node
        if self._parameterNode is not None and slicer.app.layoutManager() is not None:
            self.explorePanel.showBackground(node)
            slicer.util.setSliceViewerLayers(fit=True)

    def _startExport(self, kind, done, quiet=False):
        p = self._parameterNode
        return self.runPanel.attempt(
            lambda: self.logic.startExport(kind, frames=p.frames, transformNode=p.outputTransform), done, quiet
        )
