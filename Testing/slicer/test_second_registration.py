"""A registration after another: what the first was made from is never destroyed, and every start is used again."""

import numpy as np
import pytest
from ball_volumes import OPTIONS, add_ball, add_labels

SHIFT = np.array([[1, 0, 0, 4], [0, 1, 0, -2], [0, 0, 1, 3], [0, 0, 0, 1.0]])


def refused(action):
    from DiffuseMorphCore.errors import DiffuseMorphError

    with pytest.raises(DiffuseMorphError) as caught:
        action()
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text
    return text


def add_linear(name, matrix=SHIFT):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node


def matrix_of(node):
    import slicer
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetMatrixTransformToParent(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


@pytest.mark.parametrize("place", ["fixed", "moving", "moving, two above", "moving mask"])
def test_a_transform_that_an_input_is_under_is_no_output(logic, place):
    fixed, moving = add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13)
    mask, start = add_labels(moving, "Mask"), add_linear("Start")
    under = {"fixed": fixed, "moving mask": mask}.get(place, moving)
    if place.endswith("above"):
        between = add_linear("Between")
        between.SetAndObserveTransformNodeID(start.GetID())
        under.SetAndObserveTransformNodeID(between.GetID())
    else:
        under.SetAndObserveTransformNodeID(start.GetID())
    options = OPTIONS | {"outputTransform": start, "movingMask": mask}
    text = refused(lambda: logic.startRegistration(fixed, moving, **options))
    assert f"'{under.GetName()}' is under the transform 'Start'" in text
    np.testing.assert_allclose(matrix_of(start), SHIFT)
    assert logic.startRegistration(fixed, moving, **(options | {"makeTransform": False})).wait()


def test_after_a_registration_the_moving_volumes_own_parent_is_still_no_output(logic):
    fixed, moving = add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13, parent=SHIFT)
    start = moving.GetParentTransformNode()
    result = logic.register(fixed, moving, **OPTIONS)
    assert "'Moving' is under the transform" in refused(
        lambda: logic.startRegistration(fixed, moving, outputTransform=start, **OPTIONS)
    )
    assert "'Moving' is under the transform" in refused(lambda: logic.exporter().transform(node=start))
    assert "is an input" in refused(lambda: logic.exporter().transform(node=result.transformNode))
    np.testing.assert_allclose(matrix_of(start), SHIFT)
    again = logic.register(fixed, moving, outputTransform=result.transformNode, **OPTIONS)
    np.testing.assert_allclose(again.etaTransform.array, result.etaTransform.array, atol=1e-4)


def test_the_initial_transform_is_no_output(logic):
    start = add_linear("Start")
    text = refused(
        lambda: logic.startRegistration(
            add_ball("Fixed"), add_ball("Moving"), initialTransform=start, outputTransform=start, **OPTIONS
        )
    )
    assert "'Start' is the initial transform" in text


def test_the_panel_says_that_a_parent_is_no_output(panel):
    from panel_driver import get

    parameters = panel.logic.getParameterNode()
    parameters.fixedVolume, parameters.movingVolume = add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13)
    parameters.outputTransform = start = add_linear("Start")
    parameters.movingVolume.SetAndObserveTransformNodeID(start.GetID())
    panel.ui.registerButton.click()
    assert not panel.runPanel.busy and "'Moving' is under the transform 'Start'" in get(panel.ui.statusLabel)


def test_inputs_are_no_output_volumes(logic):
    fixed, moving = add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13)
    labels = add_labels(moving, "Labels")
    for output in (fixed, moving, labels):
        options = OPTIONS | {"movingLabels": labels, "outputVolume": output}
        assert f"'{output.GetName()}' is an input" in refused(lambda: logic.startRegistration(fixed, moving, **options))
    assert "'Fixed' is an input" in refused(lambda: logic.startSynthesis(fixed, moving, outputVolume=fixed))
    logic.register(fixed, moving, movingLabels=labels, **OPTIONS)
    assert "'Moving' is an input" in refused(lambda: logic.exporter().volume(node=moving))
    assert "'Labels' is an input" in refused(lambda: logic.exporter().labels(node=labels))


def test_swapping_fixed_and_moving_starts_from_where_they_were(logic):
    """The volume that was moving is fixed now: in the place that it had before, with the result on its grid there."""
    import slicer
    from DiffuseMorphSlicerLib.VolumeImage import VolumeImage

    first, second = add_ball("First"), add_ball("Second", (3, -2, 1), 13, parent=SHIFT, geometry="axial")
    own, labels = second.GetParentTransformNode(), add_labels(second, "SecondLabels")
    there = logic.register(first, second, movingLabels=labels, **OPTIONS)
    assert labels.GetParentTransformNode() is there.transformNode
    options = OPTIONS | {"fixedLabels": labels, "fixedMask": labels, "movingLabels": add_labels(first, "L")}
    back = logic.register(second, first, **options)
    assert second.GetParentTransformNode() is own and labels.GetParentTransformNode() is own
    assert first.GetParentTransformNode() is back.transformNode is not there.transformNode
    assert back.volumeNode.GetParentTransformNode() is own
    np.testing.assert_allclose(VolumeImage.ijkToRAS(back.volumeNode), VolumeImage.ijkToRAS(second))
    fixed = slicer.util.arrayFromVolume(second).astype(float)
    start, end = (slicer.util.arrayFromVolume(logic.exporter().volume(eta)) for eta in (0.0, 1.0))
    assert np.abs(end - fixed).mean() < 0.6 * np.abs(start - fixed).mean()
    ((_, (before, after)),) = back.dice.items()
    assert after > before


def test_labels_elsewhere_than_the_moving_volume_are_refused_and_masks_are_used_where_they_lie(logic):
    fixed, moving = add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13, parent=SHIFT)
    labels, mask = add_labels(moving, "Labels"), add_labels(fixed, "Mask")
    labels.SetAndObserveTransformNodeID(None)
    assert "'Labels' is under another transform than 'Moving'" in refused(
        lambda: logic.startRegistration(fixed, moving, movingLabels=labels, **OPTIONS)
    )
    import SimpleITK as sitk
    from DiffuseMorphSlicerLib.RegistrationJob import RegistrationJob

    job = RegistrationJob(fixed, moving, movingMask=mask, fixedMask=mask)
    centers = []
    for option in ("fixed_mask", "moving_mask"):
        shape = sitk.LabelShapeStatisticsImageFilter()
        shape.Execute(job._options[option])
        centers.append(shape.GetCentroid(1))
    np.testing.assert_allclose(*centers, atol=1.1)


def test_a_label_map_as_moving_volume_is_refused(logic):
    fixed, moving = add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13)
    labels = add_labels(moving, "Labels")
    for start in (logic.startRegistration, logic.startSynthesis):
        text = refused(lambda: start(fixed, labels))
        assert "'Labels' is a label map" in text and "moving labels" in text
