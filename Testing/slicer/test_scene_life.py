"""Closing, saving and reopening scenes, deleted nodes, switched modules: nothing dangles and nothing is lost."""

import gc
import weakref

import numpy as np
import pytest
from ball_volumes import OPTIONS, add_ball
from panel_driver import get, hold, register, register_balls, wait_for


def add_pair():
    return add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13)


def our_transforms():
    """Slice views have linear transform nodes of their own."""
    import slicer

    return [
        n.GetName()
        for n in slicer.util.getNodesByClass("vtkMRMLTransformNode")
        if not n.IsA("vtkMRMLLinearTransformNode")
    ]


@pytest.fixture
def registered(panel):
    return register_balls(panel)


def test_deleting_the_transform_while_scrubbing(panel, registered):
    import slicer
    from standins.application import settle

    moving, node = registered.movingVolume, registered.outputTransform
    registered.fieldMode = type(registered.fieldMode).grid
    panel.ui.etaSlider.setProperty("value", 0.5)
    slicer.mrmlScene.RemoveNode(node)
    settle(20)
    assert moving.GetParentTransformNode() is None
    assert not get(panel.ui.etaSlider, "enabled") and not get(panel.ui.exportTransformButton, "enabled")
    panel.ui.etaSlider.setProperty("value", 0.2)
    settle(20)
    assert our_transforms() == [], "the hidden display node is gone too"


def test_deleting_the_transform_gives_the_moving_volume_its_own_parent_back(logic):
    import slicer

    parent = np.array([[1, 0, 0, 4], [0, 1, 0, 0], [0, 0, 1, -2], [0, 0, 0, 1.0]])
    fixed, moving = add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13, parent=parent)
    original = moving.GetParentTransformNode()
    result = logic.register(fixed, moving, **OPTIONS)
    again = logic.register(fixed, moving, outputTransform=result.transformNode, **OPTIONS)
    np.testing.assert_allclose(again.etaTransform.array, result.etaTransform.array, atol=1e-4)
    slicer.mrmlScene.RemoveNode(result.transformNode)
    assert moving.GetParentTransformNode() is original


def test_an_input_deleted_during_the_run_changes_nothing(panel, registered):
    import slicer

    transform = registered.outputTransform
    panel.ui.registerButton.click()
    slicer.mrmlScene.RemoveNode(registered.fixedVolume)
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    wait_for(lambda: not panel.runPanel.busy)
    assert "removed from the scene" in get(panel.ui.statusLabel)
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert slicer.mrmlScene.IsNodePresent(transform)


def test_closing_the_scene_frees_what_the_registration_held(panel, registered):
    import slicer
    from standins.application import settle

    held = [weakref.ref(panel.logic.result().registration), weakref.ref(panel.logic.result().etaTransform)]
    panel.ui.playButton.click()
    settle(50)
    slicer.mrmlScene.Clear(False)
    settle(50)
    gc.collect()
    assert [reference() for reference in held] == [None, None]
    assert not get(panel.ui.playButton, "checked")
    assert get(panel.ui.registerButton) == "Select a fixed and a moving volume"
    assert get(panel.ui.resultLabel) == "Nothing registered yet."


def test_closing_the_scene_during_a_run(panel, registered, monkeypatch):
    import slicer
    from DiffuseMorphSlicerLib.RegistrationJob import RegistrationJob
    from standins.application import settle

    reached, proceed = hold(monkeypatch, RegistrationJob, "refine")
    panel.ui.registerButton.click()
    reached.wait()
    run = panel.logic._run
    slicer.mrmlScene.Clear(False)
    assert not panel.runPanel.busy
    proceed.set()
    assert run.poll(None)
    settle(50)
    assert our_transforms() == []


def test_switching_modules_stops_playing_and_lets_a_run_finish(panel, registered):
    from standins.application import settle

    panel.ui.playButton.click()
    settle(30)
    panel.ui.registerButton.click()
    panel.parent.exit()
    assert not get(panel.ui.playButton, "checked")
    wait_for(lambda: not panel.runPanel.busy)
    panel.parent.enter()
    assert panel.logic.getParameterNode().eta == 1.0
    assert get(panel.ui.etaSlider, "enabled") and get(panel.ui.registerButton) == "Register"


def test_cleanup_lets_go_of_everything(module, scene):
    from standins.modules import make_panel

    panel = make_panel(module)
    panel.parent.enter()
    parameters = panel.logic.getParameterNode()
    parameters.fixedVolume, parameters.movingVolume = add_pair()
    parameters.model, parameters.device, parameters.refinement = "none", "cpu", 5
    register(panel)
    logic = weakref.ref(panel.logic)
    registration = weakref.ref(panel.logic.result().registration)
    panel.cleanup()
    gc.collect()
    assert registration() is None
    assert logic() is None or not logic().Observations


def test_a_second_pair_gets_outputs_of_its_own(panel, registered):
    import slicer

    first, firstVolume, firstMoving = registered.outputTransform, registered.outputVolume, registered.movingVolume
    registered.fieldMode = type(registered.fieldMode).grid
    registered.movingVolume = add_ball("Other", (-2, 2, 0), 12)
    register(panel)
    parameters = panel.logic.getParameterNode()
    assert parameters.outputTransform is not first and parameters.outputVolume is not firstVolume
    assert firstMoving.GetParentTransformNode() is first
    assert parameters.outputTransform.GetName() == "Other to Fixed"
    drawn = [node.GetNodeReference("DiffuseMorph.Display") for node in (first, parameters.outputTransform)]
    assert [node.GetDisplayNode().GetVisibility() for node in drawn] == [0, 1], "one grid at a time"
    assert panel.logic.hasTrajectory(first) and panel.logic.hasTrajectory(parameters.outputTransform)
    parameters.outputTransform = first
    panel.ui.etaSlider.setProperty("value", 0.3)
    wait_for(lambda: panel.logic.result(first).eta == 0.3)
    assert slicer.mrmlScene.IsNodePresent(firstVolume)


def test_an_output_given_for_another_pair_lets_the_old_volume_go(logic):
    first = logic.register(add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13), **OPTIONS)
    other = add_ball("Other", (-2, 2, 0), 12)
    second = logic.register(first.fixedNode, other, outputTransform=first.transformNode, **OPTIONS)
    assert second.transformNode is first.transformNode
    assert first.movingNode.GetParentTransformNode() is None
    assert other.GetParentTransformNode() is second.transformNode
