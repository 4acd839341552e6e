import slicer
import vtk

# Place in the range, red, green, blue.
SCALES = {
    "jacobian": (
        (0.0, 0.05, 0.15, 0.6),
        (0.25, 0.35, 0.6, 0.95),
        (0.5, 1.0, 1.0, 1.0),
        (0.75, 0.95, 0.5, 0.3),
        (1.0, 0.6, 0.0, 0.1),
    ),
    "uncertainty": ((0.0, 0.0, 0.0, 0.1), (0.33, 0.45, 0.05, 0.45), (0.66, 0.9, 0.35, 0.2), (1.0, 1.0, 0.95, 0.6)),
    "negative": ((0.0, 1.0, 1.0, 1.0), (1.0, 0.0, 0.0, 0.0)),
}


def colorScale(kind):
    """The colour node of this module for a kind of map, made when it is first asked for in a scene."""
    name = f"DiffuseMorph {kind}"
    node = slicer.mrmlScene.GetFirstNodeByName(name)
    if node is not None:
        return node
    function = vtk.vtkColorTransferFunction()
    for point in SCALES[kind]:
        function.AddRGBPoint(*point)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", name)
    node.SetTypeToUser()
    node.SetNumberOfColors(256)
    for index in range(256):
        node.SetColor(index, str(index), *function.GetColor(index / 255), 1.0)
    node.SetHideFromEditors(True)
    return node
