import slicer
from slicer.i18n import tr as _

from .EtaTransform import EtaTransform
from .FieldDisplay import FieldDisplay
from .OutputTransform import OutputTransform
from .ResultText import ResultText
from .VolumeWriter import VolumeWriter


class RegistrationResult:
    """What register() gives back: the nodes in the scene, and the registration behind them.

    transformNode, volumeNode: output nodes, None where not asked for. registration: DiffuseMorphCore's result.
    report: dictionary of figures. dice: {label: (before, after)} or None. etaTransform: the live transform.
    """

    def __init__(self, job):
        self.job = job
        self.fixedNode, self.movingNode = job.fixedNode, job.movingNode
        self.transformNode = self.volumeNode = self.etaTransform = None

    @property
    def registration(self):
        return self.job.registration

    @property
    def report(self):
        return self.job.registration.report

    @property
    def dice(self):
        return self.job.dice

    @property
    def eta(self):
        return self.etaTransform.eta

    def addTransform(self, node, eta, apply):
        """Put the transform at eta into a node, a new one if None, and the moving volume and its labels under it."""
        self.etaTransform = EtaTransform(self.job.trajectory, eta)
        if node is None:
            name = _("{moving} to {fixed}").format(moving=self.movingNode.GetName(), fixed=self.fixedNode.GetName())
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", slicer.mrmlScene.GenerateUniqueName(name))
        if OutputTransform.pair(node) != (self.fixedNode, self.movingNode):
            OutputTransform.release(node)
        with slicer.util.NodeModify(node):
            node.SetAndObserveTransformNodeID(None)
            OutputTransform.mark(
                node, self.fixedNode, self.movingNode, self.job.movingParentNode, self.report["displacement_mm"]["max"]
            )
            node.SetAndObserveTransformFromParent(self.etaTransform.transform)
        self.transformNode = node
        if apply:
            for fixed in (self.fixedNode, self.job.fixedLabels and self.job.fixedLabels.node):
                if fixed is not None:
                    OutputTransform.restore(fixed)
            self.movingNode.SetAndObserveTransformNodeID(node.GetID())
            if self.job.movingLabelsNode is not None:
                self.job.movingLabelsNode.SetAndObserveTransformNodeID(node.GetID())

    def writeTo(self, parameters):
        """Let the parameters, and with them the panel, name what was registered and what was made of it."""
        with slicer.util.NodeModify(parameters):
            parameters.fixedVolume, parameters.movingVolume = self.fixedNode, self.movingNode
            if self.transformNode is not None:
                if not parameters.report:
                    suggested = FieldDisplay.suggestedSpacing(self.transformNode)
                    parameters.fieldSpacing = min(max(suggested, 0.1), 100.0)
                parameters.outputTransform = self.transformNode
                parameters.eta = self.eta
            if self.volumeNode is not None:
                parameters.outputVolume = self.volumeNode
            parameters.report = ResultText.toJson(ResultText.figures(self))

    def addVolume(self, node):
        """Put the warped volume into a node, a new one if None."""
        if node is None:
            name = _("{moving} on {fixed}").format(moving=self.movingNode.GetName(), fixed=self.fixedNode.GetName())
            node = VolumeWriter.newVolume(name)
        VolumeWriter.write(node, self.job.warped, self.fixedNode, like=self.movingNode)
        OutputTransform.remember(node, self.fixedNode, self.movingNode)
        self.volumeNode = node
