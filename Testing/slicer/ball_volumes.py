"""Volumes with a textured ball, in any geometry, for tests that register."""

import numpy as np

AXES = {
    "oblique": (np.array([[0.9397, -0.3420, 0], [0.3420, 0.9397, 0], [0, 0, 1]]) * [1.5, 1.5, 2.0], (24, 32, 32)),
    "left-handed": (
        np.array([[0.8, -0.6, 0.0], [0.48, 0.64, -0.6], [0.36, 0.48, 0.8]]) * [1.3, 1.7, -1.9],
        (30, 34, 36),
    ),
    "axial": (np.diag([-2.0, -2.0, 3.0]), (18, 28, 26)),
}
OPTIONS = {"model": "none", "device": "cpu", "align": "center", "refine": 15}


def add_ball(name, center=(0.0, 0.0, 0.0), radius=11.0, geometry="oblique", dtype=np.int16, parent=None):
    """A scalar volume node; center and radius in mm of the world, parent a 4x4 matrix to put it under."""
    import slicer

    axes, shape = AXES[geometry]
    local = np.eye(4)
    local[:3, :3] = axes
    local[:3, 3] = -axes @ (np.array(shape[::-1]) - 1) / 2
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    world = local
    if parent is not None:
        put_under(node, parent)
        world = parent @ local
    k, j, i = np.mgrid[tuple(slice(length) for length in shape)]
    points = (np.stack([i, j, k, np.ones_like(i)], axis=-1) @ world.T)[..., :3] - np.asarray(center)
    distance = np.linalg.norm(points, axis=-1)
    texture = 1 + 0.3 * np.sin(6 * points[..., 0] / radius) * np.cos(5 * points[..., 1] / radius)
    values = 800 * texture / (1 + np.exp(1.5 * (distance - radius)))
    slicer.util.updateVolumeFromArray(node, values.astype(dtype))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(local))
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevelMinMax(0, 1100)
    return node


def put_under(node, matrix):
    """A linear transform node with a 4x4 matrix, as the node's parent."""
    import slicer

    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", f"{node.GetName()} parent")
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(parent.GetID())
    return parent


def add_labels(volume, name, segmentation=False, threshold=400):
    """The ball of a volume node as a label map, or as a segmentation with one segment called "ball"."""
    import slicer
    import vtk

    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    slicer.util.updateVolumeFromArray(labels, (slicer.util.arrayFromVolume(volume) > threshold).astype(np.uint8) * 3)
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    labels.SetIJKToRASMatrix(matrix)
    labels.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    if not segmentation:
        return labels
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    image = slicer.vtkSlicerSegmentationsModuleLogic.CreateOrientedImageDataFromVolumeNode(labels)
    image.UnRegister(None)
    threshold = vtk.vtkImageThreshold()
    threshold.SetInputData(image)
    threshold.ThresholdByUpper(1)
    threshold.SetInValue(1)
    threshold.SetOutValue(0)
    threshold.SetOutputScalarTypeToUnsignedChar()
    threshold.Update()
    binary = slicer.vtkOrientedImageData()
    binary.DeepCopy(threshold.GetOutput())
    binary.CopyDirections(image)
    node.AddSegmentFromBinaryLabelmapRepresentation(binary, "ball", [0.9, 0.3, 0.2])
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    slicer.mrmlScene.RemoveNode(labels)
    return node
