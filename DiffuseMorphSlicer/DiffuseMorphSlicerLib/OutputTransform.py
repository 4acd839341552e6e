import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from DiffuseMorphCore.errors import DiffuseMorphError

from .VolumeImage import VolumeImage


class OutputTransform:
    """What a transform node of this module remembers about its registration, also in a saved scene."""

    ATTRIBUTE = "DiffuseMorph.Output"
    MOVING = "spatialRegistrationMoving"
    FIXED = "spatialRegistrationFixed"
    PARENT = "DiffuseMorph.MovingParent"
    LARGEST = "DiffuseMorph.LargestDisplacement"
    SEQUENCE = "DiffuseMorph.TransformSequence"

    @staticmethod
    def mark(node, fixedNode, movingNode, parentNode, largest):
        """largest: longest displacement at eta 1, in mm."""
        node.SetAttribute(OutputTransform.ATTRIBUTE, "1")
        node.SetAttribute(OutputTransform.LARGEST, f"{largest:.6g}")
        OutputTransform.remember(node, fixedNode, movingNode)
        node.SetNodeReferenceID(OutputTransform.PARENT, parentNode.GetID() if parentNode else None)

    @staticmethod
    def remember(node, fixedNode, movingNode):
        """Note in an output, transform or volume, which pair it belongs to."""
        node.SetNodeReferenceID(OutputTransform.FIXED, fixedNode.GetID())
        node.SetNodeReferenceID(OutputTransform.MOVING, movingNode.GetID())

    @staticmethod
    def pair(node):
        """The fixed and the moving node that an output belongs to, None for what is not known or gone."""
        return node.GetNodeReference(OutputTransform.FIXED), node.GetNodeReference(OutputTransform.MOVING)

    @staticmethod
    def release(node):
        """Take all nodes out of an output transform, each back under the parent it had."""
        if OutputTransform.isOutput(node):
            original = node.GetNodeReferenceID(OutputTransform.PARENT)
            for child in slicer.util.getNodesByClass("vtkMRMLTransformableNode"):
                if child.GetParentTransformNode() is node:
                    child.SetAndObserveTransformNodeID(original)

    @staticmethod
    def restore(node):
        """Take a node out of the output transform it is under, if it is, and back under the parent it had."""
        original = OutputTransform.originalParent(node)
        if node.GetParentTransformNode() is not original:
            node.SetAndObserveTransformNodeID(original.GetID() if original is not None else None)

    @staticmethod
    def deformation(node):
        """The part of an output that deforms: its vtkOrientedGridTransform in fixed space, without the alignment."""
        parts = vtk.vtkCollection()
        slicer.vtkMRMLTransformNode.FlattenGeneralTransform(parts, node.GetTransformFromParent())
        return next(part for part in parts if part.IsA("vtkOrientedGridTransform"))

    @staticmethod
    def largestDisplacement(node):
        return float(node.GetAttribute(OutputTransform.LARGEST))

    @staticmethod
    def isOutput(node):
        return node is not None and node.GetAttribute(OutputTransform.ATTRIBUTE) == "1"

    @staticmethod
    def isOfSequence(node):
        """Whether it shows the transforms of a registered sequence; what lies under it shares its own parent."""
        return node is not None and node.GetNodeReferenceID(OutputTransform.SEQUENCE) is not None

    @staticmethod
    def originalParent(node):
        """The parent transform that a node has, or had before it came under outputs of this module; None without."""
        parent = node.GetParentTransformNode()
        while True:
            if OutputTransform.isOfSequence(parent):
                parent = parent.GetParentTransformNode()
            elif OutputTransform.isOutput(parent):
                parent = parent.GetNodeReference(OutputTransform.PARENT)
            else:
                return parent

    @staticmethod
    def originalMatrix(node):
        """4x4 matrix from the node's coordinates to the world, without outputs of this module that it is under.

        Raises DiffuseMorphError when the original parent is not linear.
        """
        original = OutputTransform.originalParent(node)
        return np.eye(4) if original is None else VolumeImage.transformMatrix(original, node.GetName())

    @staticmethod
    def applyTo(transform, node, harden):
        """Put a node that lies where the moving volume did under an output transform; see Logic.applyTo."""
        if not node.IsA("vtkMRMLTransformableNode") or node.IsA("vtkMRMLTransformNode"):
            raise DiffuseMorphError(
                _("'{name}' cannot be transformed: choose a volume, segmentation, model or markup.").format(
                    name=node.GetName()
                )
            )
        parent = transform.GetNodeReference(OutputTransform.PARENT)
        expected = np.eye(4) if parent is None else VolumeImage.transformMatrix(parent, node.GetName())
        if not np.allclose(OutputTransform.originalMatrix(node), expected, atol=1e-6):
            raise DiffuseMorphError(
                _(
                    "'{name}' is under another transform than the moving volume was: harden that transform first."
                ).format(name=node.GetName())
            )
        node.SetAndObserveTransformNodeID(transform.GetID())
        if harden:
            node.HardenTransform()
        return node
