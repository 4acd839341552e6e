"""The panel, from the real .ui file and the real widget class: what a person clicks, drags and reads."""

import json

import pytest
from panel_driver import choose_balls, get, hold, register, wait_for


@pytest.fixture
def pair(panel):
    return choose_balls(panel)


def test_the_register_button_says_what_is_missing(panel):
    from ball_volumes import add_ball

    ui, parameters = panel.ui, panel.logic.getParameterNode()
    assert get(ui.registerButton) == "Select a fixed and a moving volume" and not get(ui.registerButton, "enabled")
    fixed, moving = add_ball("Fixed"), add_ball("Moving")
    ui.fixedVolumeSelector.setCurrentNode(fixed)
    assert get(ui.registerButton) == "Select a moving volume"
    ui.movingVolumeSelector.setCurrentNode(fixed)
    assert get(ui.registerButton) == "Select two different volumes"
    ui.movingVolumeSelector.setCurrentNode(moving)
    assert get(ui.registerButton) == "Register" and get(ui.registerButton, "enabled")
    assert parameters.movingVolume is moving
    ui.makeTransformCheckBox.click()
    ui.makeVolumeCheckBox.click()
    assert get(ui.registerButton) == "Select at least one output"


def test_register_makes_outputs_with_telling_names_and_shows_figures(panel, pair):
    fixed, moving = pair
    register(panel)
    parameters = panel.logic.getParameterNode()
    assert parameters.outputTransform.GetName() == "Moving to Fixed"
    assert parameters.outputVolume.GetName() == "Moving on Fixed"
    assert moving.GetParentTransformNode() is parameters.outputTransform
    assert get(panel.ui.etaSlider, "value") == 1.0 and get(panel.ui.etaSlider, "enabled")
    text = get(panel.ui.resultLabel)
    for word in ("Similarity", "Folded voxels", "Displacement", "Time", "Device"):
        assert word in text
    assert (
        json.loads(parameters.report)["similarity"]["registered"]
        > json.loads(parameters.report)["similarity"]["initial"]
    )
    assert not get(panel.ui.progressBar, "visible") and not get(panel.ui.cancelButton, "visible")


def test_outputs_can_be_left_out(panel, pair):
    import slicer

    moving = pair[1]
    panel.ui.makeTransformCheckBox.click()
    register(panel)
    assert panel.logic.getParameterNode().outputTransform is None
    assert moving.GetParentTransformNode() is None
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 3


def test_dragging_follows_the_finger_and_the_newest_value_wins(panel, pair):
    from standins.application import settle

    register(panel)
    result = panel.logic.result()
    written = []
    original = result.etaTransform.setEta
    result.etaTransform.setEta = lambda eta: (written.append(eta), original(eta))[1]
    for value in (0.9, 0.7, 0.4, 0.25):
        panel.ui.etaSlider.setProperty("value", value)
    assert written == [], "nothing is written while values still arrive"
    settle(20)
    assert written == [0.25]
    assert result.eta == 0.25 and panel.logic.getParameterNode().eta == 0.25
    panel.logic.setEta(0.6)
    assert get(panel.ui.etaSlider, "value") == 0.6, "the console moves the slider too"


def test_cancel_stops_at_the_next_step_and_leaves_the_scene_as_it_was(panel, pair, monkeypatch):
    import slicer
    from DiffuseMorphSlicerLib.RegistrationJob import RegistrationJob

    fixed, moving = pair
    before = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLNode")}
    reached, proceed = hold(monkeypatch, RegistrationJob, "refine")
    panel.ui.registerButton.click()
    assert get(panel.ui.cancelButton, "visible") and get(panel.ui.registerButton) == "Computing"
    reached.wait()
    wait_for(lambda: get(panel.ui.progressBar, "value") > 0)
    run = panel.logic._run
    panel.ui.cancelButton.click()
    assert get(panel.ui.statusLabel) == "Stopping" and not get(panel.ui.cancelButton, "enabled")
    proceed.set()
    assert run.poll(None) and run.cancelled, "the step after was the last"
    wait_for(lambda: not panel.runPanel.busy)
    assert get(panel.ui.statusLabel) == "Cancelled. The scene is as it was."
    assert {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLNode")} == before
    assert moving.GetParentTransformNode() is None
    assert get(panel.ui.registerButton) == "Register"


def test_cancel_does_not_wait_for_what_cannot_be_interrupted(panel, pair):
    """Such as the import of PyTorch: here a step that does not end. The user waits no longer than two seconds."""
    import threading

    now, finish, results = [100.0], threading.Event(), []
    panel.runPanel.clock = lambda: now[0]
    panel.runPanel.attempt(lambda: panel.logic._begin(lambda _: finish.wait(), {}, results.append), results.append)
    stubborn = panel.logic._run
    panel.ui.cancelButton.click()
    for seconds, busy in ((0.5, True), (2.0, False)):
        now[0] = 100.0 + seconds
        panel.runPanel.poll()
        assert panel.runPanel.busy == busy
    assert not stubborn.poll(0), "the panel is free while the step goes on"
    assert get(panel.ui.statusLabel) == "Cancelled. The scene is as it was."
    register(panel)
    finish.set()
    assert stubborn.poll(None) and results == [], "what it computed is never used"


def test_the_application_stays_usable_during_a_run(panel, pair, monkeypatch):
    """A registration does not end before the event loop has turned many times and a slice view has scrolled."""
    import slicer
    from DiffuseMorphSlicerLib.BackgroundRun import BackgroundRun
    from DiffuseMorphSlicerLib.RegistrationJob import RegistrationJob
    from standins.application import settle

    waits, original = [], BackgroundRun.poll

    def poll(self, seconds=0.0):
        waits.append(seconds)
        return original(self, seconds)

    monkeypatch.setattr(BackgroundRun, "poll", poll)
    reached, proceed = hold(monkeypatch, RegistrationJob, "display")
    slicer.util.setSliceViewerLayers(background=pair[0], fit=True)
    view = slicer.app.layoutManager().views["Red"]
    view.render()
    panel.ui.registerButton.click()
    for turn in range(30):
        view.sliceLogic.SetSliceOffset(turn % 20 - 10)
        settle(0)
        assert view.render() and panel.runPanel.busy
    assert waits and max(waits) < 0.05, "the panel never waits long for the computation"
    proceed.set()
    wait_for(lambda: not panel.runPanel.busy)
    assert get(panel.ui.statusLabel) == "Done."


def test_a_refusal_is_said_in_the_panel(panel, pair):
    import slicer

    fixed, moving = pair
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Start")
    moving.SetAndObserveTransformNodeID(parent.GetID())
    panel.logic.getParameterNode().initialTransform = parent
    panel.ui.registerButton.click()
    assert not panel.runPanel.busy
    assert "'Start' is already applied to 'Moving'" in get(panel.ui.statusLabel)


def test_an_error_during_the_run_is_said_in_the_panel(panel, pair):
    panel.logic.getParameterNode().model = "there-is-no-such-model"
    panel.ui.registerButton.click()
    wait_for(lambda: not panel.runPanel.busy)
    assert "there-is-no-such-model" in get(panel.ui.statusLabel)
    assert get(panel.ui.registerButton, "enabled")


def test_two_runs_in_a_row_reuse_the_nodes_and_agree(panel, pair):
    import numpy as np
    import slicer

    register(panel)
    parameters = panel.logic.getParameterNode()
    first = slicer.util.arrayFromVolume(parameters.outputVolume).copy()
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    panel.ui.etaSlider.setProperty("value", 0.3)
    register(panel)
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert np.array_equal(first, slicer.util.arrayFromVolume(parameters.outputVolume))
    assert parameters.eta == 1.0 and panel.logic.result().eta == 1.0


def test_play_runs_there_and_back_and_stops(panel, pair):
    """By the panel's clock: here every look at it is a twentieth of a second later."""
    from itertools import count

    register(panel)
    parameters = panel.logic.getParameterNode()
    parameters.playSeconds, parameters.playLoop, parameters.playThereAndBack = 0.5, False, True
    parameters.eta = 0.0
    looks = count()
    panel.explorePanel.clock = lambda: next(looks) / 20
    seen = []
    panel.ui.playButton.click()
    assert get(panel.ui.playButton) == "Stop"
    wait_for(lambda: seen.append(parameters.eta) or not get(panel.ui.playButton, "checked"))
    assert max(seen) == pytest.approx(1.0) and parameters.eta == 0.0
    turn = seen.index(max(seen))
    assert seen[:turn] == sorted(seen[:turn]) and seen[turn:] == sorted(seen[turn:], reverse=True)
    assert get(panel.ui.playButton) == "Play"


def test_views_modes_and_field(panel, pair):
    import slicer
    from DiffuseMorphSlicerLib.FieldDisplay import FieldDisplay

    fixed, moving = pair
    register(panel)
    ui, parameters = panel.ui, panel.logic.getParameterNode()
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    assert composite.GetBackgroundVolumeID() == fixed.GetID() and composite.GetForegroundVolumeID() == moving.GetID()
    ui.blendSlider.setProperty("value", 0.8)
    assert composite.GetForegroundOpacity() == pytest.approx(0.8)
    volumes = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    for index, mode in enumerate(type(parameters.viewMode)):
        if mode.value in ("checkerboard", "difference"):
            ui.viewModeComboBox.setProperty("currentIndex", index)
            assert composite.GetForegroundVolumeID() != composite.GetBackgroundVolumeID()
            assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == volumes + 1
    ui.viewModeComboBox.setProperty("currentIndex", 1)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == volumes, "the hidden copy is gone"
    ui.fieldModeComboBox.setProperty("currentIndex", 1)
    display = parameters.outputTransform.GetNodeReference("DiffuseMorph.Display").GetDisplayNode()
    assert display.GetVisibility2D() and display.GetVisualizationMode() == display.VIS_MODE_GRID
    ui.fieldSpacingSlider.setProperty("value", 7.0)
    assert display.GetGridSpacingMm() == 7.0
    smallest = FieldDisplay.smallestSpacing(parameters.outputTransform)
    ui.fieldSpacingSlider.setProperty("value", 0.1)
    assert smallest <= parameters.fieldSpacing <= smallest + 0.1
    assert display.GetGridSpacingMm() == pytest.approx(parameters.fieldSpacing)
    ui.fieldModeComboBox.setProperty("currentIndex", 0)
    assert not display.GetVisibility()


def test_the_model_says_what_it_is_for(panel, pair):
    panel.logic.getParameterNode().model = "default"
    wait_for(lambda: not panel.modelPanel.reading)
    text = get(panel.ui.modelDescriptionLabel)
    assert "3-D" in text and "Terms" in text
    for name, words in (("none", "optimization alone"), ("mine.pt", "from a file")):
        panel.logic.getParameterNode().model = name
        assert words in get(panel.ui.modelDescriptionLabel)


def test_jacobian_in_color(panel, pair):
    import slicer

    register(panel)
    parameters = panel.logic.getParameterNode()
    parameters.viewMode = type(parameters.viewMode).jacobian
    wait_for(lambda: not panel.runPanel.busy)
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    node = slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID())
    assert "jacobian" in node.GetName()
    values = slicer.util.arrayFromVolume(node)
    assert values.min() > 0
    inside = slicer.util.arrayFromVolume(pair[0]) > 400
    assert values[inside].mean() > 1.1, "the larger moving ball is compressed into the fixed one"
    assert get(panel.ui.legendLabel, "visible")


def test_export_buttons(panel, pair):
    import slicer

    register(panel)
    ui, parameters = panel.ui, panel.logic.getParameterNode()
    ui.etaSlider.setProperty("value", 0.5)
    wait_for(lambda: panel.logic.result().eta == 0.5)
    parameters.frames = 3
    for button, name in (
        (ui.exportTransformButton, "Moving to Fixed at eta 0.50"),
        (ui.exportInverseButton, "Moving to Fixed inverse at eta 0.50"),
        (ui.exportVolumeButton, "Moving on Fixed at eta 0.50"),
        (ui.exportTrajectoryButton, "Moving to Fixed trajectory"),
    ):
        button.click()
        wait_for(lambda: not panel.runPanel.busy)
        assert get(ui.statusLabel) == f"Created '{name}'. Save it with File / Save data."
        assert slicer.mrmlScene.GetFirstNodeByName(name) is not None
    assert not get(ui.exportLabelsButton, "enabled"), "no labels were carried along"
    ui.exportAnimationButton.click()
    assert get(ui.statusLabel) == "Choose a file for the animation first."
