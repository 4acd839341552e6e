import numpy as np
import slicer
import vtk

from .OutputTransform import OutputTransform


class VolumeWriter:
    """Writes images on the grid of a volume node into volume nodes, and leaves every other node alone."""

    @staticmethod
    def newVolume(name, nodeClass="vtkMRMLScalarVolumeNode"):
        return slicer.mrmlScene.AddNewNodeByClass(nodeClass, slicer.mrmlScene.GenerateUniqueName(name))

    @staticmethod
    def write(node, image, reference, like=None):
        """image: SimpleITK image on the grid of the volume node `reference`, 2-D for a single slice.

        It is put under the parent that the reference has, or had before it came under an output of this module. The
        scalar type is the image's. like: volume node whose window, level and colours the output takes over.
        """
        import SimpleITK as sitk

        array = sitk.GetArrayFromImage(image)
        dimensions = reference.GetImageData().GetDimensions()
        array = np.ascontiguousarray(array.reshape(dimensions[::-1]))
        matrix = vtk.vtkMatrix4x4()
        reference.GetIJKToRASMatrix(matrix)
        with slicer.util.NodeModify(node):
            slicer.util.updateVolumeFromArray(node, array)
            node.SetIJKToRASMatrix(matrix)
            parent = OutputTransform.originalParent(reference)
            node.SetAndObserveTransformNodeID(parent.GetID() if parent is not None else None)
        if node.GetDisplayNode() is None:
            node.CreateDefaultDisplayNodes()
        if like is not None:
            VolumeWriter.showLike(node, like)
        return node

    @staticmethod
    def showLike(node, like):
        """Let a volume node have the window, level and colours of another."""
        display, source = node.GetDisplayNode(), like.GetDisplayNode()
        if display is not None and source is not None and source.IsA("vtkMRMLScalarVolumeDisplayNode"):
            with slicer.util.NodeModify(display):
                display.SetAutoWindowLevel(False)
                display.SetWindowLevel(source.GetWindow(), source.GetLevel())
                display.SetAndObserveColorNodeID(source.GetColorNodeID())
