import numpy as np

from .VolumeImage import VolumeImage


class OutputTransform:
    """What a transform node of this module remembers about its registration, also in a saved scene."""

    ATTRIBUTE = "DiffuseMorph.Output"
    MOVING = "spatialRegistrationMoving"
    FIXED = "spatialRegistrationFixed"
    PARENT = "DiffuseMorph.MovingParent"
    ALIGNMENT = "DiffuseMorph.Alignment"
    LARGEST = "DiffuseMorph.LargestDisplacement"

    @staticmethod
    def mark(node, fixedNode, movingNode, parentNode, alignment, largest):
        """alignment: 4x4 matrix of the map without the deformation. largest: longest displacement at eta 1, in mm."""
        node.SetAttribute(OutputTransform.ATTRIBUTE, "1")
        node.SetAttribute(OutputTransform.ALIGNMENT, " ".join(repr(float(value)) for value in alignment.ravel()))
        node.SetAttribute(OutputTransform.LARGEST, f"{largest:.6g}")
        node.SetNodeReferenceID(OutputTransform.FIXED, fixedNode.GetID())
        node.SetNodeReferenceID(OutputTransform.MOVING, movingNode.GetID())
        node.SetNodeReferenceID(OutputTransform.PARENT, parentNode.GetID() if parentNode else None)

    @staticmethod
    def alignment(node):
        """4x4 matrix from world RAS to the coordinates under the node, without the deformation."""
        return np.array(node.GetAttribute(OutputTransform.ALIGNMENT).split(), dtype=float).reshape(4, 4)

    @staticmethod
    def largestDisplacement(node):
        return float(node.GetAttribute(OutputTransform.LARGEST))

    @staticmethod
    def isOutput(node):
        return node is not None and node.GetAttribute(OutputTransform.ATTRIBUTE) == "1"

    @staticmethod
    def originalParent(node):
        """The parent transform that a node has, or had before it came under an output of this module; None without."""
        parent = node.GetParentTransformNode()
        if OutputTransform.isOutput(parent):
            return parent.GetNodeReference(OutputTransform.PARENT)
        return parent

    @staticmethod
    def originalMatrix(node):
        """4x4 matrix from the node's coordinates to the world, without an output of this module that it is under.

        Raises DiffuseMorphError when the original parent is not linear.
        """
        parent = node.GetParentTransformNode()
        if not OutputTransform.isOutput(parent):
            return VolumeImage.parentMatrix(node)
        original = parent.GetNodeReference(OutputTransform.PARENT)
        return np.eye(4) if original is None else VolumeImage.transformMatrix(original, node.GetName())
