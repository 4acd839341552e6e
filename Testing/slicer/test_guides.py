"""Point lists and regions of interest of Slicer as guides and masks: where they lie, how they pair, what is refused."""

import numpy as np
import pytest
from ball_volumes import OPTIONS, add_ball, put_under

from DiffuseMorphCore.errors import DiffuseMorphError

pytestmark = pytest.mark.usefixtures("scene")

TURN = np.array([[0.8, -0.6, 0.0, 4.0], [0.48, 0.64, -0.6, -3.0], [0.36, 0.48, 0.8, 2.0], [0, 0, 0, 1.0]])


def add_points(name, points, labels=None):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    for index, point in enumerate(points):
        node.AddControlPoint(*map(float, point), *([labels[index]] if labels else []))
    return node


def add_box(name, center, size, axes=np.eye(3)):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    node.SetSize(*map(float, size))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = axes, center
    node.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(matrix))
    return node


def paired(fixed, moving, volume):
    from DiffuseMorphSlicerLib.LandmarkNodes import LandmarkNodes
    from DiffuseMorphSlicerLib.VolumeImage import VolumeImage

    return LandmarkNodes.pair(fixed, moving, VolumeImage.fromNode(volume))


def region(node, volume):
    from DiffuseMorphSlicerLib.RegionImage import RegionImage
    from DiffuseMorphSlicerLib.VolumeImage import VolumeImage

    return RegionImage.fromNode(node, VolumeImage.fromNode(volume))


def test_points_are_paired_by_label_where_they_are_in_the_world(module):
    fixed = add_points("A", [(1, 2, 3), (4, 5, 6), (7, 8, 9)], ["nose", "left ear", "chin"])
    moving = add_points("B", [(40, 50, 60), (10, 20, 30), (0, 0, 0)], ["left ear", "nose", "crown"])
    put_under(moving, TURN)
    moving.UnsetNthControlPointPosition(2)  # asked for, not placed
    points = paired(fixed, moving, add_ball("Fixed"))
    np.testing.assert_allclose(points[0], [(-1, -2, 3), (-4, -5, 6)])
    world = [np.zeros(3), np.zeros(3)]
    for place, index in zip(world, (1, 0)):
        moving.GetNthControlPointPositionWorld(index, place)
    np.testing.assert_allclose(points[1], np.array(world) * [-1, -1, 1], atol=1e-9)


def test_points_with_the_names_slicer_gives_are_paired_in_their_order(module):
    fixed, moving = add_points("F", [(1, 2, 3), (4, 5, 6)]), add_points("F_1", [(7, 8, 9), (1, 1, 1)])
    assert fixed.GetNthControlPointLabel(0) != moving.GetNthControlPointLabel(0)
    points = paired(fixed, moving, add_ball("Fixed"))
    np.testing.assert_allclose(points[1], [(-7, -8, 9), (-1, -1, 1)])


def test_landmarks_that_cannot_be_used_are_refused_by_name(module):
    volume, three, two = add_ball("Fixed"), add_points("Three", np.eye(3)), add_points("Two", np.eye(3)[:2])
    for fixed, moving, message in (
        (three, None, "moving landmarks that belong to 'Three'"),
        (None, two, "fixed landmarks that belong to 'Two'"),
        (three, three, "'Three' is chosen as the landmarks of both"),
        (three, two, "landmarks 'Three' are 3 and the landmarks 'Two' 2"),
        (add_points("Empty", []), two, "landmarks 'Empty' hold no point"),
    ):
        with pytest.raises(DiffuseMorphError, match=message):
            paired(fixed, moving, volume)
    assert paired(None, None, volume) == (None, None)


def test_landmarks_guide_a_registration_and_their_distances_are_shown(logic):
    from DiffuseMorphSlicerLib.ResultText import ResultText

    fixed, moving = add_ball("Fixed"), add_ball("Moving", (5.0, -3.0, 2.0), 13.0)
    axes = 8.0 * np.vstack([np.eye(3), -np.eye(3)])
    labels = [f"P{index}" for index in range(6)]
    shift = np.array((5.0, -3.0, 2.0))
    result = logic.register(
        fixed,
        moving,
        fixedLandmarks=add_points("A", axes, labels),
        movingLandmarks=add_points("B", axes[::-1] * 13 / 11 + shift, labels[::-1]),
        **OPTIONS,
    )
    found = result.report["landmarks_mm"]
    assert found["number"] == 6 and found["initial"]["mean"] > 4 and found["registered"]["mean"] < 0.8
    assert f"Landmarks (6)</b>&nbsp;&nbsp;</td><td>as loaded {found['initial']['mean']:.2f} mm" in ResultText.toHtml(
        ResultText.toJson(ResultText.figures(result))
    )


@pytest.mark.parametrize("outside", [False, True])
def test_a_region_marks_the_voxels_in_it_however_it_is_turned(module, outside):
    import SimpleITK as sitk

    volume = add_ball("Fixed", geometry="left-handed")
    box = add_box("R", (2.0, 3.0, -4.0), (12.0, 30.0, 18.0), TURN[:3, :3].T)
    put_under(box, TURN)
    box.SetInsideOut(outside)
    mask = region(box, volume)
    worldToObject = np.linalg.inv(
        np.array([[box.GetObjectToWorldMatrix().GetElement(row, column) for column in range(4)] for row in range(4)])
    )
    values = sitk.GetArrayFromImage(mask)
    assert 0 < values.mean() < 1
    for index in np.random.default_rng(0).integers(0, mask.GetSize(), (400, 3)).tolist():
        point = np.array([*mask.TransformIndexToPhysicalPoint(index), 1.0]) * [-1, -1, 1, 1]
        inside = (np.abs((worldToObject @ point)[:3]) <= np.array((12.0, 30.0, 18.0)) / 2).all()
        assert values[tuple(index[::-1])] == (inside != outside)


def test_a_region_that_marks_nothing_is_refused(module):
    import slicer

    volume = add_ball("Fixed")
    with pytest.raises(DiffuseMorphError, match="region 'Far' marks nothing of the volume 'Fixed'"):
        region(add_box("Far", (500.0, 0.0, 0.0), (10.0, 10.0, 10.0)), volume)
    with pytest.raises(DiffuseMorphError, match="region 'New' is not placed yet"):
        region(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "New"), volume)


def test_what_lies_outside_a_region_has_no_part(logic):
    import slicer

    fixed, moving = add_ball("Fixed"), add_ball("Moving", (2.0, 0.0, 0.0))
    box = add_box("R", (0.0, 0.0, 0.0), (34.0, 34.0, 34.0))
    found = []
    for value in (0, 3000):
        array = slicer.util.arrayFromVolume(moving)
        array[:3] = value
        slicer.util.arrayFromVolumeModified(moving)
        result = logic.register(fixed, moving, fixedMask=box, movingMask=box, **OPTIONS)
        found.append(result.registration.vectors(1.0))
        slicer.mrmlScene.RemoveNode(result.transformNode)
    np.testing.assert_array_equal(*found)


def test_the_panel_keeps_landmarks_and_regions_in_the_scene(panel):
    parameters = panel.logic.getParameterNode()
    points, others, box = add_points("A", np.eye(3)), add_points("B", np.eye(3)), add_box("R", (0, 0, 0), (9, 9, 9))
    panel.ui.fixedLandmarksSelector.setCurrentNode(points)
    panel.ui.movingLandmarksSelector.setCurrentNode(others)
    panel.ui.fixedMaskSelector.setCurrentNode(box)
    assert (parameters.fixedLandmarks, parameters.movingLandmarks, parameters.fixedMask) == (points, others, box)
