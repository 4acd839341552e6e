"""A sequence of volumes registered: one browser drives frames and transforms, eta and frame are both live."""

import numpy as np
import pytest
from ball_volumes import add_ball, put_under
from sequence_driver import COUNT, OPTIONS, add_beat, displaced, reslice, sequence_named

OWN_PARENT = np.array([[0.8, -0.6, 0, 4], [0.6, 0.8, 0, 0], [0, 0, 1, -2], [0, 0, 0, 1.0]])


@pytest.fixture
def registered(logic, beat, known):
    return logic.sequences.register(beat, **OPTIONS)


def test_every_frame_comes_onto_the_reference_and_the_browser_drives_all(registered, beat):
    import slicer

    frames = sequence_named("Beat")
    shown = beat.GetProxyNode(frames)
    assert shown.GetParentTransformNode() is registered.transformNode
    assert registered.transformSequence.GetNumberOfDataNodes() == registered.volumeSequence.GetNumberOfDataNodes()
    assert [registered.transformSequence.GetNthIndexValue(n) for n in range(COUNT)] == [
        frames.GetNthIndexValue(n) for n in range(COUNT)
    ]
    assert registered.transformSequence.GetIndexName() == "time"
    reference = slicer.util.arrayFromVolume(frames.GetNthDataNode(0)).astype(float)
    for number in range(COUNT):
        beat.SetSelectedItemNumber(number)
        frame = slicer.util.arrayFromVolume(frames.GetNthDataNode(number)).astype(float)
        # Slicer's own resampling of what the views show is the core's warp, which is in the registered sequence.
        resliced = reslice(shown, reference.shape)
        written = slicer.util.arrayFromVolume(registered.volumeNode).astype(float)
        inside = (slice(3, -3),) * 3
        assert np.abs(resliced - written)[inside].max() < 12, "of 1000"
        if number:
            before, after = np.abs(frame - reference)[inside].mean(), np.abs(written - reference)[inside].mean()
            assert after < 0.4 * before
    assert registered.volumeNode.GetImageData().GetScalarTypeAsString() == "short"


def test_frames_that_lie_elsewhere_are_aligned_and_deformed_in_one_transform(logic, scene, known):
    """One frame is turned by 20 degrees and pushed by 10 mm: a deformation alone falls short around the ball."""
    import slicer
    import vtk

    turn, moved = np.radians(20), np.eye(4)
    moved[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    moved[:3, 3] = 9.0, -4.0, 2.0

    def elsewhere(number, node):
        if number == 2:
            matrix = vtk.vtkMatrix4x4()
            node.GetIJKToRASMatrix(matrix)
            lies = slicer.util.arrayFromVTKMatrix(matrix)
            there = np.linalg.inv(lies) @ np.linalg.inv(moved) @ lies
            slicer.util.updateVolumeFromArray(node, resampled(slicer.util.arrayFromVolume(node), there))

    beat = add_beat(change=elsewhere)
    beat.SetSelectedItemNumber(2)
    point, errors = np.array([0.0, -16.0, 0.0]), {}  # beside the ball, where nothing is but the turn
    expected = moved[:3, :3] @ point + moved[:3, 3] - point
    for align in ("none", "rigid"):
        result = logic.sequences.register(beat, align=align, **OPTIONS)
        errors[align] = np.linalg.norm(displaced(result.transformNode, point) - expected)
    assert 2 * errors["rigid"] < errors["none"]
    whole = displaced(result.transformNode)
    frames = sequence_named("Beat")
    written = slicer.util.arrayFromVolume(result.volumeNode).astype(float)
    inside = (slice(3, -3),) * 3
    assert np.abs(reslice(beat.GetProxyNode(frames), written.shape) - written)[inside].max() < 12, "of 1000"
    logic.sequences.setEta(0.5)
    np.testing.assert_allclose(displaced(result.transformNode), 0.5 * whole, atol=1e-3)


def resampled(array, toSource):
    """An array (k, j, i) that shows at the index x what is at toSource @ x, 4x4 in the order i, j, k."""
    from scipy.ndimage import affine_transform

    turned = toSource[:3, :3][::-1, ::-1]
    return affine_transform(array.astype(float), turned, toSource[:3, 3][::-1], order=1).astype(array.dtype)


def test_eta_scales_every_frame_whichever_way_it_is_reached(logic, registered, beat):
    beat.SetSelectedItemNumber(2)
    whole = displaced(registered.transformNode)
    assert np.linalg.norm(whole) > 0.8
    assert logic.sequences.setEta(0.25) and not logic.sequences.setEta(0.25)
    np.testing.assert_allclose(displaced(registered.transformNode), 0.25 * whole, atol=1e-4)
    beat.SetSelectedItemNumber(0)
    np.testing.assert_allclose(displaced(registered.transformNode), 0, atol=1e-6)
    beat.SetSelectedItemNumber(2)
    np.testing.assert_allclose(displaced(registered.transformNode), 0.25 * whole, atol=1e-4)
    logic.sequences.setEta(1.0)
    np.testing.assert_allclose(displaced(registered.transformNode), whole, atol=1e-6)
    logic.sequences.setEta(0.0)
    beat.SetSelectedItemNumber(1)
    np.testing.assert_allclose(displaced(registered.transformNode), 0, atol=1e-6)
    item = registered.transformSequence.GetNthDataNode(2)
    np.testing.assert_allclose(displaced(item), whole, atol=1e-6)


def test_a_step_of_eta_or_of_the_frame_costs_one_modified_transform(logic, registered, beat):
    import slicer

    events = []
    node = registered.transformNode
    node.AddObserver(slicer.vtkMRMLTransformableNode.TransformModifiedEvent, lambda *_: events.append(1))
    logic.sequences.setEta(0.5)
    assert len(events) == 1
    logic.sequences.setEta(0.75)
    assert len(events) == 2
    beat.SetSelectedItemNumber(1)
    assert len(events) <= 4, "Slicer's own, and the one that brings it to eta"


def test_what_eta_changes_is_never_saved_in_the_sequence(logic, registered, beat):
    from DiffuseMorphCore.errors import DiffuseMorphError

    beat.SetSelectedItemNumber(2)
    whole = displaced(registered.transformSequence.GetNthDataNode(2))
    beat.SetSaveChanges(registered.transformSequence, True)
    with pytest.raises(DiffuseMorphError, match="would save what eta changes"):
        logic.sequences.setEta(0.5)
    beat.SetSaveChanges(registered.transformSequence, False)
    logic.sequences.setEta(0.5)
    beat.SetSelectedItemNumber(1)
    beat.SetSelectedItemNumber(2)
    np.testing.assert_allclose(displaced(registered.transformSequence.GetNthDataNode(2)), whole, atol=1e-6)


def test_the_parent_of_the_frames_stays_their_parent(logic, beat, known):
    """Frames under a transform of their own are registered as they are; the transform goes on top of the result."""
    import slicer

    shown = beat.GetProxyNode(sequence_named("Beat"))
    parent = put_under(shown, OWN_PARENT)
    result = logic.sequences.register(beat, **OPTIONS)
    assert shown.GetParentTransformNode() is result.transformNode
    assert result.transformNode.GetParentTransformNode() is parent
    assert result.volumeNode.GetParentTransformNode() is parent
    again = logic.sequences.register(beat, **OPTIONS)
    assert again.transformNode is result.transformNode and again.transformSequence is result.transformSequence
    assert result.transformNode.GetParentTransformNode() is parent
    slicer.mrmlScene.RemoveNode(result.transformNode)
    assert shown.GetParentTransformNode() is parent


def test_a_frame_of_a_registered_sequence_can_be_registered_to_something_else(logic, registered, beat):
    """It counts as it was before, as a volume under the result of a pair does."""
    from DiffuseMorphSlicerLib.OutputTransform import OutputTransform

    shown = beat.GetProxyNode(sequence_named("Beat"))
    assert OutputTransform.originalParent(shown) is None
    result = logic.register(add_ball("Other"), shown, model="none", device="cpu", align="center", refine=5)
    assert shown.GetParentTransformNode() is result.transformNode


def test_the_mean_as_the_reference_and_the_shown_frame(logic, beat):
    beat.SetSelectedItemNumber(1)
    result = logic.sequences.register(beat, reference="current", **OPTIONS)
    assert result.report["reference"] == 1 and result.transformNode is not None
    np.testing.assert_allclose(displaced(result.transformSequence.GetNthDataNode(1)), 0, atol=1e-6)
    result = logic.sequences.register(beat, reference="mean", makeVolumes=False, **OPTIONS)
    assert result.report["reference"] == "mean" and result.volumeSequence is None
    assert np.linalg.norm(displaced(result.transformSequence.GetNthDataNode(0))) > 0.3


def test_single_slices(logic, scene):
    beat = add_beat(slices=True)
    result = logic.sequences.register(beat, periodic=True, **OPTIONS)
    beat.SetSelectedItemNumber(2)
    moved = displaced(result.transformNode, (5.0, 1.0, 0.0))
    assert np.linalg.norm(moved) > 0.5 and abs(moved[2]) < 1e-6
