import os
import time

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util import numpy_support

from DiffuseMorphCore.errors import DiffuseMorphError

from .ColorScales import colorScale
from .EtaTransform import EtaTransform
from .FieldTrajectory import FieldTrajectory
from .OutputCheck import OutputCheck
from .OutputTransform import OutputTransform
from .VolumeWriter import VolumeWriter

SEQUENCE_POINTS = 600_000


class ResultExporter:
    """Makes nodes and files out of a RegistrationResult that need neither this module nor PyTorch to be used.

    Each kind of output is made in two steps: compute() may run in another thread, deliver() changes the scene.
    """

    KINDS = ("transform", "inverse", "volume", "labels", "trajectory", "jacobian", "uncertainty", "page")

    def __init__(self, result):
        self._result = result

    def transform(self, eta=None, *, inverse=False, node=None):
        """The transform at eta (None: the current one) as a node of its own, a deformation and then a linear alignment.

        inverse: for nodes that lie on the fixed volume, to bring them onto the moving one.
        """
        return self._make("inverse" if inverse else "transform", eta, node)

    def volume(self, eta=None, *, node=None):
        """The moving volume on the fixed grid at eta, in its own scalar type, window and level."""
        return self._make("volume", eta, node)

    def labels(self, eta=None, *, node=None):
        """The labels that were carried along, on the fixed grid at eta: a segmentation or a label map, as they came."""
        return self._make("labels", eta, node)

    def trajectory(self, frames=11, path=None):
        """The trajectory as a Sequence node with index eta, and a browser to play it. Returns the sequence node.

        frames: number of transforms from eta 0 to 1. path: also write it to one .seq.nrrd file. The transforms are on a
        coarser grid of at most SEQUENCE_POINTS points, so that they can be played and kept. Such a file holds one grid
        a step, therefore the alignment is in it: what goes the inverse way, markups and models, is right while the
        alignment turns by less than about 60 degrees. For every angle there is transform().
        """
        if frames < 2:
            raise DiffuseMorphError(_("A trajectory needs at least two frames: ask for 2 or more."))
        if path is not None and not str(path).endswith(".seq.nrrd"):
            raise DiffuseMorphError(
                _("The trajectory cannot be written to '{path}': let the name end in .seq.nrrd.").format(path=path)
            )
        return self._deliverTrajectory(self.compute("trajectory"), frames, path)

    def _make(self, kind, eta, node):
        eta = self._result.eta if eta is None else eta
        return self.deliver(kind, eta, self.compute(kind, eta), node)

    def compute(self, kind, eta=1.0, progress=None):
        """The part of the work that needs no scene. kind: one of KINDS."""
        job, registration = self._result.job, self._result.registration
        if kind == "transform" and (eta < 1 or registration.path.fine_end is None):
            return job.trajectory
        if kind == "transform":
            return FieldTrajectory.ofRegistration(
                registration, job.fixed, job.moving, np.linalg.inv(job.movingToWorld), fineEnd=True
            )
        if kind == "inverse":
            return FieldTrajectory.ofInverse(registration, eta, job.fixed, job.moving)
        if kind == "volume":
            return registration.warp(eta=eta)
        if kind == "labels":
            if job.movingLabels is None:
                raise DiffuseMorphError(
                    _("No labels were carried along: choose a moving segmentation or label map and register again.")
                )
            return registration.warp_labels(job.movingLabels.image, eta=eta)
        if kind == "trajectory":
            return FieldTrajectory.ofRegistration(
                registration, job.fixed, job.moving, np.linalg.inv(job.movingToWorld), maximumPoints=SEQUENCE_POINTS
            )
        if kind == "page":
            return self._page(registration, eta)
        return registration.jacobian(eta) if kind == "jacobian" else registration.uncertainty(progress=progress)

    def deliver(self, kind, eta, computed, node=None, frames=11):
        """The node for what compute() gave, a new one where node is None; of a page its file. Main thread.

        Raises DiffuseMorphError when node belongs to the registration itself.
        """
        if kind == "page":
            return computed
        result = self._result
        carried = result.job.movingLabels
        inputs = (result.fixedNode, result.movingNode, result.transformNode, carried and carried.node)
        OutputCheck.volume(node, inputs)
        OutputCheck.transform(node, (result.fixedNode, result.movingNode))
        if kind == "trajectory":
            return self._deliverTrajectory(computed, frames)
        if kind in ("jacobian", "uncertainty"):
            return self._deliverOverlay(kind, eta, computed)
        names = {
            "transform": _("{node} at eta {eta:.2f}"),
            "inverse": _("{node} inverse at eta {eta:.2f}"),
            "volume": _("{moving} on {fixed} at eta {eta:.2f}"),
            "labels": _("{labels} on {fixed} at eta {eta:.2f}"),
        }
        name = names[kind].format(
            node=self._name,
            eta=eta,
            moving=result.movingNode.GetName(),
            fixed=result.fixedNode.GetName(),
            labels=carried.node.GetName() if carried else "",
        )
        if kind in ("transform", "inverse"):
            node = node or slicer.mrmlScene.AddNewNodeByClass(
                "vtkMRMLTransformNode", slicer.mrmlScene.GenerateUniqueName(name)
            )
            node.SetAndObserveTransformFromParent(EtaTransform(computed, eta).transform)
            return node
        if kind == "volume":
            return VolumeWriter.write(
                node or VolumeWriter.newVolume(name), computed, result.fixedNode, like=result.movingNode
            )
        if carried.node.IsA("vtkMRMLSegmentationNode"):
            return self._segmentation(node, name, computed, carried)
        node = VolumeWriter.write(
            node or VolumeWriter.newVolume(name, "vtkMRMLLabelMapVolumeNode"), computed, result.fixedNode
        )
        if carried.node.GetDisplayNode() and node.GetDisplayNode():
            node.GetDisplayNode().SetAndObserveColorNodeID(carried.node.GetDisplayNode().GetColorNodeID())
        return node

    def _page(self, registration, eta):
        """The file of the page to look at the registration with, among Slicer's temporary files."""
        from DiffuseMorphCore.result_page import write_page

        names = {"fixed": self._result.fixedNode.GetName(), "moving": self._result.movingNode.GetName()}
        folder = os.path.join(slicer.app.temporaryPath, "DiffuseMorph")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"report-{time.time_ns()}.html")
        write_page(registration, path, {**registration.report, "files": names}, eta)
        return path

    def _segmentation(self, node, name, image, carried):
        if node is None:
            node = slicer.mrmlScene.AddNewNodeByClass(
                "vtkMRMLSegmentationNode", slicer.mrmlScene.GenerateUniqueName(name)
            )
            node.CreateDefaultDisplayNodes()
        node.GetSegmentation().RemoveAllSegments()
        labelmap = VolumeWriter.write(
            VolumeWriter.newVolume(name, "vtkMRMLLabelMapVolumeNode"), image, self._result.fixedNode
        )
        merged = slicer.vtkSlicerSegmentationsModuleLogic.CreateOrientedImageDataFromVolumeNode(labelmap)
        merged.UnRegister(None)
        node.SetReferenceImageGeometryParameterFromVolumeNode(self._result.fixedNode)
        node.SetAndObserveTransformNodeID(labelmap.GetTransformNodeID())
        source = carried.node.GetSegmentation()
        for label, segmentName in carried.names.items():
            threshold = vtk.vtkImageThreshold()
            threshold.SetInputData(merged)
            threshold.ThresholdBetween(label, label)
            threshold.SetInValue(1)
            threshold.SetOutValue(0)
            threshold.SetOutputScalarTypeToUnsignedChar()
            threshold.Update()
            segmentImage = slicer.vtkOrientedImageData()
            segmentImage.DeepCopy(threshold.GetOutput())
            segmentImage.CopyDirections(merged)
            original = source.GetSegment(source.GetSegmentIdBySegmentName(segmentName))
            node.AddSegmentFromBinaryLabelmapRepresentation(segmentImage, segmentName, original.GetColor())
        slicer.mrmlScene.RemoveNode(labelmap)
        return node

    def _deliverTrajectory(self, trajectory, frames, path=None):
        live = EtaTransform(trajectory, 0.0)
        whole = slicer.vtkOrientedGridTransform()
        whole.DeepCopy(live.grid)
        frame = slicer.vtkMRMLTransformNode()
        frame.SetAndObserveTransformFromParent(whole)
        sequence = slicer.mrmlScene.AddNewNodeByClass(
            "vtkMRMLSequenceNode", slicer.mrmlScene.GenerateUniqueName(_("{node} trajectory").format(node=self._name))
        )
        sequence.SetIndexName("eta")
        sequence.SetIndexUnit("")
        sequence.SetIndexType(slicer.vtkMRMLSequenceNode.NumericIndex)
        for eta in np.linspace(0.0, 1.0, frames):
            live.setEta(eta)
            grid = vtk.vtkImageData()
            grid.DeepCopy(live.image)
            vectors = numpy_support.vtk_to_numpy(grid.GetPointData().GetScalars())
            vectors[:] = trajectory.whole(live.array).reshape(-1, 3)
            whole.SetDisplacementGridData(grid)
            sequence.SetDataNodeAtValue(frame, f"{eta:.4g}")
        browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", sequence.GetName() + " browser")
        browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
        if path is not None:
            self._write(sequence, str(path), frames * live.array.nbytes)
        return sequence

    @staticmethod
    def _write(sequence, path, size):
        """The sequence, of about so many bytes, as a file that appears whole or not at all."""
        from DiffuseMorphCore.files import completed, fault_of_place

        sequence.AddDefaultStorageNode()
        storage = sequence.GetStorageNode()
        with completed(path) as part:
            storage.SetFileName(str(part))
            if not storage.WriteData(sequence):
                reason = fault_of_place(part.parent, size) or _("Slicer could not write it, see its log")
                raise DiffuseMorphError(
                    _("The trajectory could not be written to '{path}': {reason}.").format(path=path, reason=reason)
                )
        storage.SetFileName(path)

    def _deliverOverlay(self, kind, eta, image):
        """The Jacobian or the uncertainty as a volume with its own colours; an earlier one is replaced."""
        role = f"DiffuseMorph.{kind}"
        transformNode = self._result.transformNode
        node = transformNode.GetNodeReference(role)
        if node is None:
            node = VolumeWriter.newVolume(_("{node} {kind}").format(node=self._name, kind=kind))
            transformNode.SetNodeReferenceID(role, node.GetID())
        VolumeWriter.write(node, image, self._result.fixedNode)
        node.SetAttribute("DiffuseMorph.Eta", f"{eta:.4f}")
        largest = node.GetImageData().GetScalarRange()[1]
        display = node.GetDisplayNode()
        display.SetAndObserveColorNodeID(colorScale(kind).GetID())
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(0.0, 2.0 if kind == "jacobian" else largest or 1.0)
        return node

    @property
    def _name(self):
        node = self._result.transformNode
        return node.GetName() if node is not None else OutputTransform.ATTRIBUTE
