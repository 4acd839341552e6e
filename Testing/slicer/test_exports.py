"""What leaves the module: transforms, volumes, labels, sequences and pictures that need neither it nor PyTorch."""

import numpy as np
import pytest

FLIP = np.array([-1.0, -1.0, 1.0])


@pytest.fixture
def simple(logic):
    from ball_volumes import OPTIONS, add_ball

    return logic.register(add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13, geometry="axial"), **OPTIONS)


def to_world_and_back(node):
    import vtk

    transform = vtk.vtkGeneralTransform()
    node.GetTransformFromWorld(transform)
    return transform


def ball_points():
    return np.random.default_rng(2).uniform(-9, 9, (25, 3))


def test_transform_and_inverse_at_the_current_eta(logic, simple):
    logic.setEta(0.5)
    forward, inverse = logic.exporter().transform(), logic.exporter().transform(inverse=True)
    assert forward.GetName() == "Moving to Fixed at eta 0.50"
    assert inverse.GetName() == "Moving to Fixed inverse at eta 0.50"
    logic.setEta(1.0)
    there, back = to_world_and_back(forward), to_world_and_back(inverse)
    core = simple.registration.transform(0.5)
    for point in ball_points():
        moved = np.array(there.TransformPoint(point))
        np.testing.assert_allclose(moved, FLIP * core.TransformPoint((FLIP * point).tolist()), atol=0.02)
        np.testing.assert_allclose(back.TransformPoint(moved), point, atol=0.3)


def test_a_transform_file_means_the_same_to_simpleitk(logic, simple, tmp_path):
    import SimpleITK as sitk
    import slicer

    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(tmp_path / "transform.h5"))
    assert storage.WriteData(logic.exporter().transform(1.0))
    read, core = sitk.ReadTransform(str(tmp_path / "transform.h5")), simple.registration.transform(1.0)
    for point in (FLIP * ball_points()).tolist():
        np.testing.assert_allclose(read.TransformPoint(point), core.TransformPoint(point), atol=0.05)


def test_the_exported_transform_is_as_fine_at_eta_1_as_the_registration(logic, simple):
    from dataclasses import replace

    from DiffuseMorphCore.displacement import Displacement

    path = simple.registration.path
    fine = Displacement(2 * path.end.values, path.grid).at(tuple(2 * size - 1 for size in path.grid.shape))
    object.__setattr__(simple.job.registration, "path", replace(path, fine_end=fine))
    exported, core = to_world_and_back(logic.exporter().transform(1.0)), simple.registration.transform(1.0)
    coarse = to_world_and_back(logic.exporter().transform(0.999))
    differences = []
    for point in ball_points():
        moved = np.array(exported.TransformPoint(point))
        np.testing.assert_allclose(moved, FLIP * core.TransformPoint((FLIP * point).tolist()), atol=0.05)
        differences.append(np.linalg.norm(moved - coarse.TransformPoint(point)))
    assert max(differences) > 0.5


def test_warped_volume_keeps_type_and_window(logic, simple):
    import slicer

    simple.movingNode.GetDisplayNode().SetWindowLevel(321.0, 123.0)
    node = logic.exporter().volume(0.25)
    assert slicer.util.arrayFromVolume(node).dtype == np.int16
    assert slicer.util.arrayFromVolume(node).shape == slicer.util.arrayFromVolume(simple.fixedNode).shape
    assert (node.GetDisplayNode().GetWindow(), node.GetDisplayNode().GetLevel()) == (321.0, 123.0)


@pytest.mark.parametrize("segmentation", [False, True], ids=["label map", "segmentation"])
def test_labels_are_carried_along_and_compared(logic, segmentation):
    import slicer
    from ball_volumes import OPTIONS, add_ball, add_labels

    fixed, moving = add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13)
    fixedLabels = add_labels(fixed, "FixedLabels", segmentation)
    movingLabels = add_labels(moving, "MovingLabels", segmentation)
    result = logic.register(fixed, moving, movingLabels=movingLabels, fixedLabels=fixedLabels, **OPTIONS)
    ((name, (before, after)),) = result.dice.items()
    assert name == ("ball" if segmentation else "3")
    assert after > 0.93 and after > before + 0.02
    assert movingLabels.GetParentTransformNode() is result.transformNode
    node = logic.exporter().labels(1.0)
    assert node.GetClassName() == movingLabels.GetClassName()
    if segmentation:
        segment = node.GetSegmentation().GetNthSegmentID(0)
        assert node.GetSegmentation().GetSegment(segment).GetName() == "ball"
        exported = (slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, segment) > 0).sum()
    else:
        exported = (slicer.util.arrayFromVolume(node) == 3).sum()
    expected = (slicer.util.arrayFromVolume(fixed) > 400).sum()
    assert 0.85 * expected < exported < 1.15 * expected
    again = logic.register(
        fixed,
        moving,
        movingLabels=movingLabels,
        fixedLabels=fixedLabels,
        outputTransform=result.transformNode,
        **OPTIONS,
    )
    assert again.dice[name] == pytest.approx((before, after)), "labels already under the transform count as they were"


def test_labels_that_do_not_go_together_are_refused(logic):
    from ball_volumes import OPTIONS, add_ball, add_labels

    from DiffuseMorphCore.errors import DiffuseMorphError

    fixed, moving = add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13)
    with pytest.raises(DiffuseMorphError, match="two segmentations or two label maps"):
        logic.startRegistration(
            fixed,
            moving,
            fixedLabels=add_labels(fixed, "A", True),
            movingLabels=add_labels(moving, "B", False),
            **OPTIONS,
        )
    with pytest.raises(DiffuseMorphError, match="'Nothing' marks nothing"):
        logic.startRegistration(
            fixed, moving, fixedMask=add_labels(fixed, "Nothing", False, threshold=10000), **OPTIONS
        )


def test_masks_reach_the_core(logic):
    from ball_volumes import OPTIONS, add_ball, add_labels

    fixed, moving = add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13)
    result = logic.register(
        fixed,
        moving,
        fixedMask=add_labels(fixed, "A", True, threshold=50),
        movingMask=add_labels(moving, "B", False, threshold=50),
        **OPTIONS,
    )
    assert result.report["settings"]["masks"] == ["fixed", "moving"]


def test_trajectory_is_one_sequence_file_that_plays_without_us(logic, simple, tmp_path):
    import slicer

    path = tmp_path / "trajectory.seq.nrrd"
    sequence = logic.exportTrajectory(6, path=str(path))
    assert (sequence.GetIndexName(), sequence.GetNumberOfDataNodes()) == ("eta", 6)
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "one file, and no leftovers"
    storage = slicer.vtkMRMLTransformSequenceStorageNode()
    storage.SetFileName(str(path))
    copy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Read")
    assert storage.ReadData(copy)
    assert copy.GetIndexName() == "eta"
    assert [float(copy.GetNthIndexValue(i)) for i in range(6)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    for value, eta in (("0.4", 0.4), ("1", 1.0)):
        played = to_world_and_back(copy.GetDataNodeAtValue(value))
        core = simple.registration.transform(eta)
        for point in ball_points():
            np.testing.assert_allclose(
                played.TransformPoint(point), FLIP * core.TransformPoint((FLIP * point).tolist()), atol=0.1
            )


def test_trajectory_refuses_what_cannot_be(logic, simple, tmp_path):
    from DiffuseMorphCore.errors import DiffuseMorphError

    with pytest.raises(DiffuseMorphError, match="at least two frames"):
        logic.exportTrajectory(1)
    with pytest.raises(DiffuseMorphError, match=r"\.seq\.nrrd"):
        logic.exportTrajectory(3, path=str(tmp_path / "trajectory.mp4"))
    with pytest.raises(DiffuseMorphError, match="could not be written to .*missing.*: no such file"):
        logic.exportTrajectory(3, path=str(tmp_path / "missing" / "trajectory.seq.nrrd"))
    assert not list(tmp_path.iterdir())


def test_other_nodes_follow(logic, simple):
    import slicer
    import vtk
    from ball_volumes import add_ball, add_labels

    from DiffuseMorphCore.errors import DiffuseMorphError

    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    core = simple.registration.transform(1.0)
    fixedPoint = np.array([4.0, -3.0, 2.0])
    points.AddControlPoint(vtk.vtkVector3d(*(FLIP * core.TransformPoint((FLIP * fixedPoint).tolist()))))
    assert logic.applyTo(points) is points
    world = [0.0, 0.0, 0.0]
    points.GetNthControlPointPositionWorld(0, world)
    np.testing.assert_allclose(world, fixedPoint, atol=0.1)
    segmentation = logic.applyTo(add_labels(simple.fixedNode, "Segments", True), harden=True)
    assert segmentation.GetParentTransformNode() is None
    elsewhere = add_ball("Elsewhere", parent=np.array([[1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    with pytest.raises(DiffuseMorphError, match="'Elsewhere' is under another transform"):
        logic.applyTo(elsewhere)
    with pytest.raises(DiffuseMorphError, match="cannot be transformed"):
        logic.applyTo(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "Text"))
