import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util import numpy_support

from DiffuseMorphCore.errors import DiffuseMorphError

from .OutputTransform import OutputTransform
from .VolumeWriter import VolumeWriter


class SequenceOutput:
    """The sequences that a registration adds to the browser of its frames, which shows an item of each in a proxy node.

    A proxy takes over the attributes of every item that it shows, and files of sequences may lose those. So what
    belongs together is noted in the sequence nodes, and in references, which a proxy keeps.
    """

    KIND = "DiffuseMorph.SequenceOutput"
    SOURCE = "DiffuseMorph.SequenceSource"
    TRANSFORMS, VOLUMES, LABELS = "transforms", "volumes", "labels"

    @staticmethod
    def sequences(browser):
        """The sequence nodes of a browser, its master first."""
        nodes = vtk.vtkCollection()
        browser.GetSynchronizedSequenceNodes(nodes, True)
        return [nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems())]

    @staticmethod
    def kind(sequence):
        """TRANSFORMS, VOLUMES or LABELS, None for a sequence that is no output of this module."""
        return sequence.GetAttribute(SequenceOutput.KIND)

    @staticmethod
    def source(sequence):
        """The sequence of volumes that an output was made from; None where it is gone."""
        return sequence.GetNodeReference(SequenceOutput.SOURCE)

    @staticmethod
    def find(browser, kind, source=None):
        """The output of a kind in a browser, made from a source if one is given; None without."""
        for sequence in SequenceOutput.sequences(browser):
            if SequenceOutput.kind(sequence) == kind and source in (None, SequenceOutput.source(sequence)):
                return sequence
        return None

    @staticmethod
    def checkBrowser(browser):
        """Raises DiffuseMorphError while a browser records: its proxies are not to be changed then."""
        if browser.GetRecordingActive():
            raise DiffuseMorphError(
                _("The browser '{name}' is recording: stop that first.").format(name=browser.GetName())
            )

    @staticmethod
    def write(volumes, kind, items, className=None):
        """Put an item for every frame into the output of a kind; a new one comes into the scene when it is whole.

        volumes: FrameVolumes. items: nodes that are in no scene, in the order of the frames. className: of the items,
        where an earlier output may have had others, whose sequence then goes. Returns the sequence and its proxy.
        """
        browser, source = volumes.browser, volumes.sequence
        sequence = SequenceOutput.find(browser, kind, source)
        name = None if sequence is None else sequence.GetName()
        if sequence is not None and className not in (None, sequence.GetDataNodeClassName()):
            proxy = browser.GetProxyNode(sequence)
            for node in (proxy, sequence):
                if node is not None:
                    slicer.mrmlScene.RemoveNode(node)
            sequence = None
        isNew = sequence is None
        if isNew:
            sequence = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSequenceNode")
            sequence.UnRegister(None)
            titles = {
                SequenceOutput.TRANSFORMS: _("{name} transforms"),
                SequenceOutput.VOLUMES: _("{name} registered"),
                SequenceOutput.LABELS: _("{name} labels"),
            }
            title = titles[kind].format(name=source.GetName())
            sequence.SetName(name or slicer.mrmlScene.GenerateUniqueName(title))
            sequence.SetAttribute(SequenceOutput.KIND, kind)
        with slicer.util.NodeModify(sequence):
            sequence.RemoveAllDataNodes()
            sequence.SetIndexName(source.GetIndexName())
            sequence.SetIndexUnit(source.GetIndexUnit())
            sequence.SetIndexType(source.GetIndexType())
            for index, node in zip(volumes.indices, items):
                node.SetName(sequence.GetName())
                sequence.SetDataNodeAtValue(node, index)
        if isNew:
            slicer.mrmlScene.AddNode(sequence)
            sequence.SetNodeReferenceID(SequenceOutput.SOURCE, source.GetID())
        browser.AddSynchronizedSequenceNode(sequence)
        with slicer.util.NodeModify(browser):
            # What is seen at another eta than 1 is not to be written into the sequence.
            browser.SetSaveChanges(sequence, False)
            browser.SetRecording(sequence, False)
            browser.SetPlayback(sequence, True)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        return sequence, browser.GetProxyNode(sequence)

    @staticmethod
    def transforms(fields):
        """A transform node for each field of a FrameFields, from points of the reference to points of the frame."""
        direction = np.eye(4)
        direction[:3, :3] = fields.direction
        for field in fields.fields:
            image = vtk.vtkImageData()
            image.SetDimensions(field.shape[2::-1])
            image.SetSpacing(fields.spacing)
            image.SetOrigin(fields.origin)
            image.AllocateScalars(vtk.VTK_FLOAT, 3)
            numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())[:] = field.reshape(-1, 3)
            grid = slicer.vtkOrientedGridTransform()
            grid.SetGridDirectionMatrix(slicer.util.vtkMatrixFromArray(direction))
            grid.SetInterpolationModeToLinear()
            grid.SetDisplacementGridData(image)
            node = slicer.vtkMRMLTransformNode()
            node.SetAndObserveTransformFromParent(grid)
            yield node

    @staticmethod
    def registeredVolumes(volumes, registered):
        """A volume node for the voxels (k, j, i) of each frame on the reference."""
        for array in registered:
            node = slicer.vtkMRMLScalarVolumeNode()
            slicer.util.updateVolumeFromArray(node, array.reshape(volumes.shape))
            node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(volumes.geometry))
            yield node

    @staticmethod
    def place(volumes, transform, registered, labels, apply):
        """Put the proxies where they belong: transform and registered volume under the parent of the frames, labels
        where the frames are.

        apply: put the frames' own proxy under the transform. Items that were there are put back where not.
        """
        shown = volumes.browser.GetProxyNode(volumes.sequence)
        parent = shown.GetParentTransformNode() if shown is not None else None
        while OutputTransform.isOfSequence(parent):
            parent = parent.GetParentTransformNode()
        parentID = parent.GetID() if parent is not None else None
        for proxy in (transform, registered):
            if proxy is not None:
                proxy.SetAndObserveTransformNodeID(parentID)
        if registered is not None and shown is not None:
            VolumeWriter.showLike(registered, shown)
        if transform is not None:
            transform.SetNodeReferenceID(OutputTransform.SEQUENCE, volumes.browser.GetSequenceNode(transform).GetID())
            if shown is not None and apply:
                shown.SetAndObserveTransformNodeID(transform.GetID())
        if labels is not None:
            labels.SetAndObserveTransformNodeID(shown.GetTransformNodeID() if shown is not None else parentID)

    @staticmethod
    def release(transform):
        """Take all nodes out of the transform of a sequence, back under its own parent."""
        parentID = transform.GetTransformNodeID()
        for child in slicer.util.getNodesByClass("vtkMRMLTransformableNode"):
            if child.GetParentTransformNode() is transform:
                child.SetAndObserveTransformNodeID(parentID)
