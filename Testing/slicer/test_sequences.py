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
