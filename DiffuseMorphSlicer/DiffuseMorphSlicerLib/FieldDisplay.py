import slicer
import vtk

from .OutputTransform import OutputTransform

FARTHEST = 1000.0
ROLE = "DiffuseMorph.Display"
COLORS = ((0.0, 0.25, 0.45, 1.0), (0.33, 0.2, 0.9, 0.6), (0.66, 1.0, 0.85, 0.2), (1.0, 1.0, 0.25, 0.15))


class FieldDisplay:
    """The deformation in the slice views, as a grid or as arrows, drawn by Slicer's own transform display.

    The transform that the volumes are under has the alignment in it, which would turn and shift the grid. A hidden
    transform node is drawn instead, which holds the very same grid without the alignment, and only while it is shown:
    so a step of eta draws it once, and costs nothing where it is hidden.
    """

    @staticmethod
    def show(transformNode, visible=True, *, glyphs=False, spacing=None, color=None):
        """spacing: mm between grid lines or arrows, at least smallestSpacing; suggestedSpacing if None.

        color: (r, g, b) in 0 to 1 for one colour, None to colour by the size of the displacement in mm.
        """
        node = transformNode.GetNodeReference(ROLE)
        if node is None and not visible:
            return
        node = node or FieldDisplay._newNode(transformNode)
        node.SetAndObserveTransformFromParent(OutputTransform.deformation(transformNode) if visible else None)
        display = node.GetDisplayNode()
        smallest = FieldDisplay.smallestSpacing(transformNode)
        spacing = max(spacing or FieldDisplay.suggestedSpacing(transformNode), smallest)
        with slicer.util.NodeModify(display):
            display.SetVisualizationMode(display.VIS_MODE_GLYPH if glyphs else display.VIS_MODE_GRID)
            display.SetGridSpacingMm(spacing)
            display.SetGridResolutionMm(max(spacing / 3, smallest))
            display.SetGlyphSpacingMm(spacing)
            # An arrow at a point that hardly moves is noise.
            display.SetGlyphDisplayRangeMinMm(spacing / 100)
            display.SetColorMap(FieldDisplay._colors(color, OutputTransform.largestDisplacement(transformNode)))
            display.SetVisibility(visible)
            display.SetVisibility2D(visible)
            display.SetVisibility3D(False)

    @staticmethod
    def remove(transformNode):
        node = transformNode.GetNodeReference(ROLE)
        if node is not None:
            slicer.mrmlScene.RemoveNode(node)

    @staticmethod
    def suggestedSpacing(transformNode):
        """A twentieth of the longest side of the grid, in mm."""
        grid = OutputTransform.deformation(transformNode).GetDisplacementGrid()
        return max(size * step for size, step in zip(grid.GetDimensions(), grid.GetSpacing())) / 20

    @staticmethod
    def smallestSpacing(transformNode):
        """A tenth of the suggested spacing, in mm: lines are sampled on their way, and finer ones stall the views."""
        return FieldDisplay.suggestedSpacing(transformNode) / 10

    @staticmethod
    def _newNode(transformNode):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", transformNode.GetName() + " display")
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetSaveWithScene(False)
        transformNode.SetNodeReferenceID(ROLE, node.GetID())
        return node

    @staticmethod
    def _colors(color, largest):
        function = vtk.vtkColorTransferFunction()
        for place, *shade in COLORS:
            function.AddRGBPoint(FARTHEST * place if color else max(largest, 1e-3) * place, *(color or shade))
        return function
