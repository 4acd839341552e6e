"""A made heartbeat as a sequence with its browser, and what tests of it look at."""

import numpy as np
from ball_volumes import add_ball

COUNT = 3
OPTIONS = {"refine": 10, "device": "cpu"}


def add_beat(count=COUNT, slices=False, change=lambda number, node: None):
    """The browser of a sequence "Beat": a ball that swells and moves, at the times 0, 10, 20 ms ...

    slices: its middle slices instead. change: called with every item's number and node before it is put in.
    """
    import slicer

    scene = slicer.mrmlScene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Beat")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("ms")
    for number in range(count):
        phase = np.sin(np.pi * number / count)
        node = add_ball("Beat", (2.5 * phase, -phase, phase), 11 + 1.5 * phase)
        if slices:
            array = slicer.util.arrayFromVolume(node)
            slicer.util.updateVolumeFromArray(node, array[len(array) // 2 :][:1].copy())
        change(number, node)
        sequence.SetDataNodeAtValue(node, str(10 * number))
        scene.RemoveNode(node)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Beat browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    return browser


def sequence_named(name):
    import slicer

    return next(node for node in slicer.util.getNodesByClass("vtkMRMLSequenceNode") if node.GetName() == name)


def displaced(node, point=(6.0, 2.0, 1.0)):
    """By how much a transform node takes a point of the reference away, in mm."""
    return np.array(node.GetTransformFromParent().TransformPoint(point)) - point


def reslice(node, shape):
    """What a volume node under its transform shows at the voxels of its own grid, resampled by VTK: (k, j, i)."""
    import vtk
    from vtk.util import numpy_support

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    transform = vtk.vtkGeneralTransform()
    transform.PostMultiply()
    transform.Concatenate(matrix)
    toNode = vtk.vtkGeneralTransform()
    node.GetParentTransformNode().GetTransformFromWorld(toNode)
    transform.Concatenate(toNode)
    inverse = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(matrix, inverse)
    transform.Concatenate(inverse)
    filter_ = vtk.vtkImageReslice()
    filter_.SetInputData(node.GetImageData())
    filter_.SetResliceTransform(transform)
    filter_.SetInterpolationModeToLinear()
    filter_.SetOutputExtent(0, shape[2] - 1, 0, shape[1] - 1, 0, shape[0] - 1)
    filter_.SetOutputOrigin(0, 0, 0)
    filter_.SetOutputSpacing(1, 1, 1)
    filter_.Update()
    scalars = filter_.GetOutput().GetPointData().GetScalars()
    return numpy_support.vtk_to_numpy(scalars).reshape(shape).astype(float)
