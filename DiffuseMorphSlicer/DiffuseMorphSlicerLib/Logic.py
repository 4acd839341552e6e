import logging

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic
from slicer.util import VTKObservationMixin

from DiffuseMorphCore.errors import DiffuseMorphError

from .BackgroundRun import BackgroundRun
from .FieldDisplay import FieldDisplay
from .OutputCheck import OutputCheck
from .OutputTransform import OutputTransform
from .ParameterNode import DiffuseMorphSlicerParameterNode
from .RegistrationJob import RegistrationJob
from .RegistrationResult import RegistrationResult
from .ResultExporter import ResultExporter
from .SequenceRegistrations import SequenceRegistrations
from .SynthesisJob import SynthesisJob
from .TorchProvider import TorchProvider
from .VolumeWriter import VolumeWriter

EXIT_WAIT_SECONDS = 10.0
EXPORT_WEIGHTS = {"uncertainty": 1}


class DiffuseMorphSlicerLogic(ScriptedLoadableModuleLogic, VTKObservationMixin):
    """Registration from the Python console and for the panel; no widgets, and errors are one-sentence exceptions.

    The start... methods return a BackgroundRun at once; the verbs without start wait for it while the application stays
    usable. One run at a time. Methods that take transformNode mean the latest registration when it is None.
    sequences: SequenceRegistrations, the same for sequences of volumes.
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        VTKObservationMixin.__init__(self)
        self._results = {}
        self._latest = None
        self._run = None
        self._parameters = None
        self._closing = False
        self._observedScene = slicer.mrmlScene
        for event, method in (
            (slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, self._onNodeAboutToBeRemoved),
            (slicer.vtkMRMLScene.StartCloseEvent, self._onSceneStartClose),
            (slicer.vtkMRMLScene.EndCloseEvent, self._onSceneEnd),
            (slicer.vtkMRMLScene.EndImportEvent, self._onSceneEnd),
        ):
            # Before the panel, which asks for the parameter node at the same events.
            self.addObserver(self._observedScene, event, method, priority=1.0)
        self.sequences = SequenceRegistrations(self._checkFree, self._begin, self._wait, self.getParameterNode)

    def getParameterNode(self):
        node = super().getParameterNode()
        if self._parameters is None or self._parameters.parameterNode != node:
            self._parameters = DiffuseMorphSlicerParameterNode(node)
        return self._parameters

    def startRegistration(
        self,
        fixed,
        moving,
        *,
        fixedMask=None,
        movingMask=None,
        initialTransform=None,
        fixedLandmarks=None,
        movingLandmarks=None,
        movingLabels=None,
        fixedLabels=None,
        eta=1.0,
        outputTransform=None,
        outputVolume=None,
        makeTransform=True,
        makeVolume=True,
        apply=True,
        **options,
    ):
        """Begin to register the moving volume node to the fixed one. The scene changes only when the result is taken.

        options: model, device, align, refine, modality and all others of DiffuseMorphCore.register, as declared in
        DiffuseMorphCore.options.
        fixedMask, movingMask: label map, segmentation or region of interest; only what it marks is compared.
        fixedLandmarks, movingLandmarks: point lists, paired by label or order; the alignment starts there, they pull.
        initialTransform: linear transform node that puts the moving volume roughly in place.
        movingLabels: label map or segmentation to carry along; with fixedLabels the Dice overlap is computed too.
        eta: where the outputs stand at first. outputTransform, outputVolume: nodes to write to, new ones if None.
        makeTransform, makeVolume: whether to make them. apply: put the moving volume and labels under the transform.
        A volume under an output of an earlier registration counts as it was before, and a fixed one goes back there.

        Raises DiffuseMorphError for input that cannot be registered, and when PyTorch is missing.
        """
        self._checkFree()
        given = {"fixedMask": fixedMask, "movingMask": movingMask}
        given |= {"fixedLandmarks": fixedLandmarks, "movingLandmarks": movingLandmarks}
        given |= {"movingLabels": movingLabels, "fixedLabels": fixedLabels}
        inputs = (fixed, moving, *given.values())
        OutputCheck.volume(outputVolume if makeVolume else None, inputs)
        OutputCheck.transform(outputTransform if makeTransform else None, inputs, initialTransform)
        job = RegistrationJob(
            fixed, moving, **given, initialTransform=initialTransform, eta=eta, makeVolume=makeVolume, **options
        )
        TorchProvider.ensure()
        logging.info(f"DiffuseMorph registers {moving.GetName()} to {fixed.GetName()}")

        def deliver(finishedJob):
            OutputCheck.inputsStillThere(fixed, moving)
            result = RegistrationResult(finishedJob)
            if makeTransform:
                result.addTransform(OutputCheck.stillThere(outputTransform), eta, apply)
                self._results[result.transformNode.GetID()] = result
                self._latest = result.transformNode.GetID()
            if makeVolume:
                result.addVolume(OutputCheck.stillThere(outputVolume))
            result.writeTo(self.getParameterNode())
            return result

        return self._begin(job.run, RegistrationJob.WEIGHTS, deliver)

    def register(self, fixed, moving, *, progress=None, **options):
        """Register and wait: startRegistration's options; returns a RegistrationResult.

        progress: function of (stage, fraction of the whole) called now and then; answering False cancels.
        """
        return self._wait(self.startRegistration(fixed, moving, **options), progress)

    def startSynthesis(
        self,
        fixed,
        moving,
        *,
        model="default",
        device="auto",
        align="affine",
        start=200,
        steps=80,
        seed=0,
        outputVolume=None,
    ):
        """Begin to draw the moving anatomy in the shape of the fixed one by reverse diffusion (paper, Algorithm 2).

        start: noise level to start from, 1 to 1999. steps: number of reverse steps, at most start + 1. The result is a
        volume node with intensities 0 to 1 on the fixed grid.
        """
        self._checkFree()
        OutputCheck.volume(outputVolume, (fixed, moving))
        job = SynthesisJob(fixed, moving, model=model, device=device, align=align, start=start, steps=steps, seed=seed)
        TorchProvider.ensure()

        def deliver(image):
            OutputCheck.inputsStillThere(fixed, moving)
            name = _("{moving} synthesized on {fixed}").format(moving=moving.GetName(), fixed=fixed.GetName())
            node = OutputCheck.stillThere(outputVolume) or VolumeWriter.newVolume(name)
            return VolumeWriter.write(node, image, fixed)

        return self._begin(job.run, SynthesisJob.WEIGHTS, deliver)

    def synthesize(self, fixed, moving, *, progress=None, **options):
        """Synthesise and wait: startSynthesis's options; returns the volume node."""
        return self._wait(self.startSynthesis(fixed, moving, **options), progress)

    def startExport(self, kind, *, frames=11, transformNode=None):
        """Begin to make an output of a registration at the current eta; the result is a node.

        kind: "transform", "inverse", "volume", "labels", "trajectory" (with so many frames), or a map in color:
        "jacobian" or "uncertainty" (mm). Of "page", which opens in a browser, it is the name of a file.
        """
        self._checkFree()
        result = self.result(transformNode)
        exporter, eta = ResultExporter(result), result.eta

        def deliver(computed):
            OutputCheck.inputsStillThere(result.fixedNode, result.movingNode)
            return exporter.deliver(kind, eta, computed, frames=frames)

        return self._begin(lambda progress: exporter.compute(kind, eta, progress), EXPORT_WEIGHTS, deliver)

    def result(self, transformNode=None):
        """The RegistrationResult behind a transform node.

        Raises DiffuseMorphError when its trajectory is not in memory, for example after a scene was loaded.
        """
        result = self._results.get(self._latest if transformNode is None else transformNode.GetID())
        if result is None:
            raise DiffuseMorphError(
                _("The trajectory is not in memory: register first, or press Recompute trajectory.")
            )
        return result

    def hasTrajectory(self, transformNode):
        return transformNode is not None and transformNode.GetID() in self._results

    def setEta(self, eta, transformNode=None):
        """Move a registration to eta, 0 (aligned only) to 1 (registered). Returns whether anything changed."""
        result = self.result(transformNode)
        changed = result.etaTransform.setEta(eta)
        parameterNode = self.getParameterNode()
        if parameterNode.outputTransform == result.transformNode and parameterNode.eta != result.eta:
            parameterNode.eta = result.eta
        return changed

    def showGrid(self, visible=True, *, glyphs=False, spacing=None, color=None, transformNode=None):
        """Show the deformation in the slice views as a grid, or as glyphs.

        spacing: mm between lines, a twentieth of the volume if None, at least a 200th. color: (r, g, b) in 0 to 1, or
        None to color by the size of the displacement.
        """
        node = transformNode or slicer.mrmlScene.GetNodeByID(self._latest or "")
        if node is None:
            raise DiffuseMorphError(_("There is no transform to show: register first."))
        FieldDisplay.show(node, visible, glyphs=glyphs, spacing=spacing, color=color)

    def applyTo(self, node, *, harden=False, transformNode=None):
        """Put another volume, segmentation, model or markup that belongs to the moving volume under the transform.

        harden: make the deformation at the current eta permanent in the node. Returns the node.
        Raises DiffuseMorphError for a node that lies elsewhere than the moving volume did.
        """
        transform = transformNode or slicer.mrmlScene.GetNodeByID(self._latest or "")
        if transform is None:
            raise DiffuseMorphError(_("There is no transform to apply: register first."))
        return OutputTransform.applyTo(transform, node, harden)

    def exporter(self, transformNode=None):
        """The ResultExporter of a registration: transforms, volumes, labels and trajectories as nodes and files."""
        return ResultExporter(self.result(transformNode))

    def exportTrajectory(self, frames=11, *, path=None, transformNode=None):
        """The trajectory as a Sequence of `frames` transforms with the index eta; see ResultExporter.trajectory."""
        return self.exporter(transformNode).trajectory(frames, path)

    @property
    def running(self):
        return self._run is not None and not self._run.cancelled and not self._run.poll()

    def cancel(self):
        """Stop the run, if there is one, at its next step."""
        if self._run is not None:
            self._run.cancel()

    def releaseMemory(self):
        """Forget every trajectory and give the memory back; the nodes stay as they are."""
        self.cancel()
        self._results.clear()
        self._latest = self._run = None
        TorchProvider.releaseMemory()

    def cleanup(self):
        self.removeObservers()
        self.sequences.cleanup()
        run = self._run
        self.releaseMemory()
        if run is not None:
            # The application may be about to exit, and the thread should not be in the middle of something then.
            run.poll(EXIT_WAIT_SECONDS)

    def _begin(self, work, weights, deliver):
        self._run = BackgroundRun(work, weights, deliver)
        return self._run

    def _wait(self, run, progress):
        def idle():
            slicer.app.processEvents()
            if progress is not None and progress(run.stage, run.fraction) is False:
                run.cancel()

        try:
            return run.wait(idle)
        finally:
            TorchProvider.releaseMemory()

    def _checkFree(self):
        if self.running:
            raise DiffuseMorphError(_("Another computation is running: wait for it or cancel it first."))

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeAboutToBeRemoved(self, caller, event, node):
        if node is None or not OutputTransform.isOutput(node):
            return
        self._results.pop(node.GetID(), None)
        if self._latest == node.GetID():
            self._latest = next(reversed(self._results), None)
        if not self._closing:
            FieldDisplay.remove(node)
            OutputTransform.release(node)

    def _onSceneStartClose(self, caller, event):
        self._closing = True
        self.releaseMemory()

    def _onSceneEnd(self, caller, event):
        """A scene was closed or imported: the typed parameters are read anew, now that every node is there.

        They were read while the scene was being read, and a reference to a node that arrives later would stay None.
        """
        self._closing = False
        self._parameters = None
