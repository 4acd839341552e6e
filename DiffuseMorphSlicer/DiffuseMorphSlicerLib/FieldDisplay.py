import slicer
import vtk

FARTHEST = 1000.0


class FieldDisplay:
    """The deformation in the slice views, as a grid or as arrows, drawn by Slicer's own transform display."""

    @staticmethod
    def show(transformNode, visible=True, *, glyphs=False, spacing=None, color=None):
        """spacing: mm between grid lines or arrows, see suggestedSpacing if None.

        color: (r, g, b) in 0 to 1 for one colour, None to colour by the size of the displacement in mm.
        """
        display = transformNode.GetDisplayNode()
        if display is None:
            if not visible:
                return
            transformNode.CreateDefaultDisplayNodes()
            display = transformNode.GetDisplayNode()
        spacing = spacing or FieldDisplay.suggestedSpacing(transformNode)
        with slicer.util.NodeModify(display):
            display.SetVisualizationMode(display.VIS_MODE_GLYPH if glyphs else display.VIS_MODE_GRID)
            display.SetGridSpacingMm(spacing)
            display.SetGridResolutionMm(spacing / 3)
            display.SetGlyphSpacingMm(spacing)
            # An arrow at a point that hardly moves is noise.
            display.SetGlyphDisplayRangeMinMm(spacing / 100)
            if color is None:
                display.SetDefaultColors()
            else:
                oneColor = vtk.vtkColorTransferFunction()
                oneColor.AddRGBPoint(0.0, *color)
                oneColor.AddRGBPoint(FARTHEST, *color)
                display.SetColorMap(oneColor)
            display.SetVisibility(visible)
            display.SetVisibility2D(visible)
            display.SetVisibility3D(False)

    @staticmethod
    def suggestedSpacing(transformNode):
        """A twentieth of the longest side of the grid, in mm."""
        transform = transformNode.GetTransformFromParentAs("vtkOrientedGridTransform", False)
        if transform is None or transform.GetDisplacementGrid() is None:
            return 15.0
        grid = transform.GetDisplacementGrid()
        return max(size * step for size, step in zip(grid.GetDimensions(), grid.GetSpacing())) / 20
