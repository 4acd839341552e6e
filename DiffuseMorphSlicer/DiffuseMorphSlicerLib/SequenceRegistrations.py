import logging

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from DiffuseMorphCore.errors import DiffuseMorphError

from .OutputTransform import OutputTransform
from .SequenceEta import SequenceEta
from .SequenceJob import SequenceJob
from .SequenceOutput import SequenceOutput
from .SequenceText import SequenceText
from .TorchProvider import TorchProvider


class SequenceResult:
    """What a registration of a sequence gives.

    browser: of the frames and of what was made. transformSequence, volumeSequence, labelSequence: sequence nodes, with
    a transform, a registered volume and labels for each frame, None for what was not asked for. transformNode,
    volumeNode, labelNode: the nodes that show the browser's current item of them. registration: DiffuseMorphCore's
    result. report: dictionary of figures.
    """

    def __init__(self, job, apply):
        volumes, self.registration = job.volumes, job.registration
        self.browser, self.report = volumes.browser, job.registration.report
        self.volumeSequence = self.volumeNode = self.labelSequence = self.labelNode = None
        self.transformSequence, self.transformNode = SequenceOutput.write(
            volumes, SequenceOutput.TRANSFORMS, SequenceOutput.transforms(job.fields)
        )
        if job.registered is not None:
            self.volumeSequence, self.volumeNode = SequenceOutput.write(
                volumes, SequenceOutput.VOLUMES, SequenceOutput.registeredVolumes(volumes, job.registered)
            )
        if job.carried is not None:
            self.labelSequence, self.labelNode = SequenceOutput.write(
                volumes, SequenceOutput.LABELS, job.labels.nodes(volumes, job.carried), job.labels.className
            )
            job.labels.style(self.labelNode)
        SequenceOutput.place(volumes, self.transformNode, self.volumeNode, self.labelNode, apply)


class SequenceRegistrations(VTKObservationMixin):
    """Sequences, from the Python console and for the panel: logic.sequences."""

    def __init__(self, checkFree, begin, wait, getParameterNode):
        """checkFree, begin, wait: how the logic sees to it that there is one run at a time."""
        VTKObservationMixin.__init__(self)
        self._checkFree, self._begin, self._wait = checkFree, begin, wait
        self._getParameterNode = getParameterNode
        self._live = {}
        self._closing = False
        scene = slicer.mrmlScene
        for event, method in (
            (scene.NodeAboutToBeRemovedEvent, self._onNodeAboutToBeRemoved),
            (scene.StartCloseEvent, self._onStartClose),
            (scene.EndCloseEvent, self._onSceneEnd),
            (scene.EndImportEvent, self._onSceneEnd),
            (scene.EndRestoreEvent, self._onSceneEnd),
        ):
            self.addObserver(scene, event, method)
        self._onSceneEnd()

    def start(
        self,
        browser,
        *,
        sequence=None,
        reference="first",
        makeVolumes=True,
        labels=None,
        labelsFrame="current",
        apply=True,
        **options,
    ):
        """Begin to register the volumes of a sequence to one of them. The scene changes only when the result is taken.

        browser: vtkMRMLSequenceBrowserNode. sequence: one of its sequences, needed where it is not clear which.
        reference: "first", "current" for the frame that the browser shows, the number of a frame from 0, or "mean".
        makeVolumes: also a sequence of the registered volumes. labels: segmentation or label map that was drawn on one
        frame: it is carried to all, as a sequence of such nodes. labelsFrame: that frame, "current" for the one that
        the browser shows, "reference", or its number from 0. apply: put the volume that the browser shows, and the
        labels, under the transform, so that they follow frame and eta.
        options: all others of DiffuseMorphCore.register_sequence (periodic, smoothing, modality, quality, device ...).
        Outputs of an earlier registration of the same sequence in this browser are replaced.

        Returns a BackgroundRun whose result is a SequenceResult. Raises DiffuseMorphError for a sequence that cannot be
        registered, and when PyTorch is missing.
        """
        self._checkFree()
        job = SequenceJob(
            browser,
            sequence=sequence,
            reference=reference,
            makeVolumes=makeVolumes,
            labels=labels,
            labelsFrame=labelsFrame,
            **options,
        )
        SequenceOutput.checkBrowser(browser)
        TorchProvider.ensure()
        logging.info(f"DiffuseMorph registers the sequence {job.volumes.sequence.GetName()}")

        def deliver(finished):
            finished.volumes.checkUnchanged()
            SequenceOutput.checkBrowser(browser)
            result = SequenceResult(finished, apply)
            self._attach(browser)
            self._live[browser.GetID()].setEta(1.0)
            parameters = self._getParameterNode()
            with slicer.util.NodeModify(parameters):
                parameters.sequenceBrowser, parameters.sequenceEta = browser, self.eta(browser)
                parameters.sequenceReport = SequenceText.toJson(result.report)
            return result

        return self._begin(job.run, SequenceJob.WEIGHTS, deliver)

    def register(self, browser, *, progress=None, **options):
        """Register and wait: start's options; returns a SequenceResult.

        progress: function of (stage, fraction of the whole) called now and then; answering False cancels.
        """
        return self._wait(self.start(browser, **options), progress)

    def isRegistered(self, browser):
        """Whether a browser shows transforms that this module made."""
        return browser is not None and SequenceOutput.find(browser, SequenceOutput.TRANSFORMS) is not None

    def eta(self, browser):
        """Where the transforms of a browser stand, 0 (the frames as they are) to 1 (registered)."""
        sequence = SequenceOutput.find(browser, SequenceOutput.TRANSFORMS)
        return 1.0 if sequence is None else SequenceEta.of(sequence)

    def setEta(self, eta, browser=None):
        """Move the frames of a browser to eta, whichever it shows now or later. Returns whether anything changed.

        browser: the only one with registered frames if None. Works in reopened scenes without a new registration.
        """
        if browser is None:
            found = [each for each in self._browsers() if self.isRegistered(each)]
            if len(found) != 1:
                raise DiffuseMorphError(
                    _("{count} browsers have registered frames: name one of them.").format(count=len(found))
                )
            browser = found[0]
        self._attach(browser)
        if browser.GetID() not in self._live:
            raise DiffuseMorphError(
                _("The browser '{name}' has no registered frames: register its sequence first.").format(
                    name=browser.GetName()
                )
            )
        changed = self._live[browser.GetID()].setEta(eta)
        parameters = self._getParameterNode()
        if parameters.sequenceBrowser is browser and parameters.sequenceEta != self.eta(browser):
            parameters.sequenceEta = self.eta(browser)
        return changed

    def cleanup(self):
        self.removeObservers()
        self._letGo()

    @staticmethod
    def _browsers():
        return slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")

    def _attach(self, browser):
        """Let the transforms of a browser follow its frames at their eta, if it has any."""
        sequence, live = SequenceOutput.find(browser, SequenceOutput.TRANSFORMS), self._live.get(browser.GetID())
        if live is not None and live.sequence is not sequence:
            live.end()
            del self._live[browser.GetID()]
            live = None
        if sequence is not None and live is None:
            self._live[browser.GetID()] = SequenceEta(browser, sequence)

    def _letGo(self):
        for live in self._live.values():
            live.end()
        self._live.clear()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeAboutToBeRemoved(self, caller, event, node):
        if node is None or self._closing:
            return
        if OutputTransform.isOfSequence(node):
            SequenceOutput.release(node)
        for key, live in list(self._live.items()):
            if node in (live.browser, live.sequence):
                live.end()
                del self._live[key]

    def _onStartClose(self, caller, event):
        self._closing = True
        self._letGo()

    def _onSceneEnd(self, caller=None, event=None):
        """A scene was closed, read or restored by an undo: what it has of registered sequences is live again."""
        self._closing = False
        self._letGo()
        for browser in self._browsers():
            self._attach(browser)
