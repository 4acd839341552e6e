"""A sequence registered: refusals, cancelling, undo, what is removed meanwhile, and what a person does in the panel."""

import numpy as np
import pytest
from panel_driver import get, hold, wait_for
from sequence_driver import COUNT, OPTIONS, add_beat, displaced, sequence_named


@pytest.fixture
def registered(logic, beat, known):
    return logic.sequences.register(beat, **OPTIONS)


def other_grid(number, node):
    if number == 2:
        node.SetSpacing(3.0, 1.0, 1.0)


@pytest.mark.parametrize(
    "make, options, text",
    [
        (lambda: None, {}, "Choose the browser"),
        (lambda: add_beat(count=1), {}, "has 1 item"),
        (lambda: add_beat(change=other_grid), {}, "Item 3 of the sequence 'Beat' lies on another grid than the first"),
        (add_beat, {"reference": 9}, "The reference is item 9"),
        (add_beat, {"reference": "last"}, "option reference is 'last'"),
        (add_beat, {"smoothing": -1}, "option smoothing is '-1'"),
        (add_beat, {"align": "center"}, "option align is 'center'"),
        (add_beat, {"quality": "superb"}, "option quality is 'superb'"),
        (add_beat, {"sequence": "other"}, "does not show the sequence 'Other'"),
    ],
)
def test_refusals_are_one_sentence_and_change_nothing(logic, scene, make, options, text):
    import slicer

    from DiffuseMorphCore.errors import DiffuseMorphError

    beat = make()
    if "sequence" in options:
        options = {"sequence": slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Other")}
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(DiffuseMorphError, match=text) as caught:
        logic.sequences.start(beat, **options)
    assert str(caught.value).count(". ") == 0 and str(caught.value).endswith(".")
    assert slicer.mrmlScene.GetNumberOfNodes() == before and not logic.running


def test_a_browser_without_volumes_and_one_that_records(logic, scene, beat):
    import slicer

    from DiffuseMorphCore.errors import DiffuseMorphError

    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Empty")
    with pytest.raises(DiffuseMorphError, match="'Empty' shows no sequence of scalar volumes"):
        logic.sequences.start(empty)
    beat.SetRecordingActive(True)
    with pytest.raises(DiffuseMorphError, match="is recording"):
        logic.sequences.start(beat)


@pytest.mark.parametrize("change", ["edited", "removed"])
def test_frames_changed_meanwhile_are_noticed_and_nothing_is_written(logic, beat, change, monkeypatch):
    import slicer
    from DiffuseMorphSlicerLib.SequenceJob import SequenceJob

    from DiffuseMorphCore.errors import DiffuseMorphError

    frames = sequence_named("Beat")
    reached, proceed = hold(monkeypatch, SequenceJob, "frames")
    run = logic.sequences.start(beat, **OPTIONS)
    reached.wait()
    if change == "edited":
        node = frames.GetNthDataNode(1)
        slicer.util.arrayFromVolume(node)[:] //= 2
        slicer.util.arrayFromVolumeModified(node)
    else:
        slicer.mrmlScene.RemoveNode(frames)
    before = slicer.mrmlScene.GetNumberOfNodes()
    proceed.set()
    with pytest.raises(DiffuseMorphError, match="was changed or removed"):
        run.wait()
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_cancelled_by_the_progress_callback_the_scene_stays_as_it_was(logic, beat):
    import slicer

    from DiffuseMorphCore.errors import Cancelled

    before = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLNode")}
    stages = []
    with pytest.raises(Cancelled):
        logic.sequences.register(
            beat, progress=lambda stage, fraction: stages.append(stage) or stage != "frames", **OPTIONS
        )
    assert {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLNode")} == before
    assert beat.GetProxyNode(sequence_named("Beat")).GetParentTransformNode() is None
    assert "frames" in stages and not logic.sequences.isRegistered(beat)


def test_undo_and_redo_leave_nothing_dangling(logic, beat, known):
    """Slicer's undo takes new nodes away, if they may be undone at all, and brings them back as other objects."""
    import slicer

    scene = slicer.mrmlScene
    for name in ("vtkMRMLSequenceNode", "vtkMRMLTransformNode", "vtkMRMLScalarVolumeNode"):
        default = scene.CreateNodeByClass(name)
        default.UnRegister(None)
        default.SetUndoEnabled(True)
        scene.AddDefaultNode(default)
    scene.SetUndoOn()
    shown = beat.GetProxyNode(sequence_named("Beat"))
    scene.SaveStateForUndo()
    result = logic.sequences.register(beat, **OPTIONS)
    logic.sequences.setEta(0.5)
    assert shown.GetParentTransformNode() is result.transformNode
    scene.Undo()
    for number in range(COUNT):
        beat.SetSelectedItemNumber(number)
    parent = beat.GetProxyNode(sequence_named("Beat")).GetParentTransformNode()
    assert parent is None or scene.IsNodePresent(parent)
    scene.Redo()
    again = logic.sequences.register(beat, **OPTIONS)
    beat.SetSelectedItemNumber(2)
    whole = displaced(again.transformNode)
    assert logic.sequences.setEta(0.5)
    np.testing.assert_allclose(displaced(again.transformNode), 0.5 * whole, atol=1e-4)
    scene.SetUndoOff()


def test_removing_the_transforms_lets_eta_go(logic, registered, beat):
    import slicer

    from DiffuseMorphCore.errors import DiffuseMorphError

    logic.sequences.setEta(0.5)
    slicer.mrmlScene.RemoveNode(registered.transformSequence)
    beat.SetSelectedItemNumber(1)
    with pytest.raises(DiffuseMorphError, match="name one of them"):
        logic.sequences.setEta(0.2)
    with pytest.raises(DiffuseMorphError, match="has no registered frames"):
        logic.sequences.setEta(0.2, beat)


def test_closing_the_scene_lets_everything_go(logic, registered):
    import slicer

    logic.sequences.setEta(0.5)
    slicer.mrmlScene.Clear(False)
    assert logic.sequences._live == {}


def test_the_panel(panel, known):
    from standins.application import settle

    beat = add_beat()
    ui, parameters = panel.ui, panel.logic.getParameterNode()
    assert get(ui.registerSequenceButton) == "Select a sequence" and not get(ui.registerSequenceButton, "enabled")
    ui.sequenceBrowserSelector.setCurrentNode(beat)
    assert get(ui.registerSequenceButton) == "Register sequence" and get(ui.sequenceFrameSlider, "enabled")
    assert not get(ui.sequenceEtaSlider, "enabled")
    assert get(ui.sequenceFrameSlider, "maximum") == COUNT - 1
    parameters.refinement, parameters.device = OPTIONS["refine"], "cpu"
    ui.registerSequenceButton.click()
    assert panel.runPanel.busy and get(ui.cancelButton, "visible") and get(ui.registerSequenceButton) == "Computing"
    wait_for(lambda: not panel.runPanel.busy)
    assert get(ui.statusLabel) == "Done."
    assert get(ui.sequenceEtaSlider, "enabled")
    assert "Similarity" in get(ui.sequenceResultLabel)
    node = beat.GetProxyNode(sequence_named("Beat transforms"))
    for value in (0, 1, 2):
        ui.sequenceFrameSlider.setProperty("value", value)
    ui.sequenceEtaSlider.setProperty("value", 0.5)
    settle(20)
    assert beat.GetSelectedItemNumber() == 2
    whole = displaced(sequence_named("Beat transforms").GetNthDataNode(2))
    np.testing.assert_allclose(displaced(node), 0.5 * whole, atol=1e-4)
    beat.SetSelectedItemNumber(1)
    assert get(ui.sequenceFrameSlider, "value") == 1.0, "the browser's own slider moves ours"
    panel.logic.sequences.setEta(0.75)
    settle(20)
    assert get(ui.sequenceEtaSlider, "value") == 0.75, "the console moves the slider too"
    ui.sequencePlayButton.click()
    assert beat.GetPlaybackActive() and get(ui.sequencePlayButton) == "Stop"
    ui.sequencePlayButton.click()
    assert not beat.GetPlaybackActive()
    ui.sequenceBrowserSelector.setCurrentNode(None)
    assert not get(ui.sequenceFrameSlider, "enabled") and not get(ui.sequenceEtaSlider, "enabled")


def test_cancel_in_the_panel(panel, monkeypatch):
    import slicer
    from DiffuseMorphSlicerLib.SequenceJob import SequenceJob

    beat = add_beat()
    panel.ui.sequenceBrowserSelector.setCurrentNode(beat)
    before = slicer.mrmlScene.GetNumberOfNodes()
    reached, proceed = hold(monkeypatch, SequenceJob, "frames")
    panel.ui.registerSequenceButton.click()
    reached.wait()
    panel.ui.cancelButton.click()
    proceed.set()
    wait_for(lambda: not panel.runPanel.busy)
    assert get(panel.ui.statusLabel) == "Cancelled. The scene is as it was."
    assert slicer.mrmlScene.GetNumberOfNodes() == before
