"""Saved scenes come back whole, however they are read and wherever the user is meanwhile."""

import numpy as np
import pytest
from panel_driver import get, register_balls, wait_for
from scene_files import bundle, read, save

POINT = (4.0, -2.0, 3.0)


def mapped(node):
    import vtk

    transform = vtk.vtkGeneralTransform()
    node.GetTransformFromWorld(transform)
    return transform.TransformPoint(POINT)


@pytest.fixture
def registered(panel):
    from standins.application import settle

    parameters = register_balls(panel)
    parameters.eta = 0.4
    settle(20)
    return parameters


def check_as_it_was(panel, expected):
    parameters = panel.logic.getParameterNode()
    assert parameters.fixedVolume.GetName() == "Fixed" and parameters.movingVolume.GetName() == "Moving"
    assert parameters.outputVolume.GetName() == "Moving on Fixed"
    assert parameters.eta == 0.4 and parameters.alignment.value == "center"
    assert parameters.movingVolume.GetParentTransformNode() is parameters.outputTransform
    np.testing.assert_allclose(mapped(parameters.outputTransform), expected, atol=0.05)
    ui = panel.ui
    for selector, name in (
        (ui.fixedVolumeSelector, "Fixed"),
        (ui.movingVolumeSelector, "Moving"),
        (ui.outputTransformSelector, "Moving to Fixed"),
        (ui.outputVolumeSelector, "Moving on Fixed"),
    ):
        assert selector.currentNode().GetName() == name
    assert "Similarity" in get(ui.resultLabel)
    assert not get(ui.etaSlider, "enabled")
    assert get(ui.recomputeButton, "visible") and get(ui.recomputeButton, "enabled")


@pytest.mark.parametrize("where", ["in the module", "elsewhere, after a visit", "elsewhere, the scene closed before"])
@pytest.mark.parametrize("kind", [save, bundle], ids=[".mrml", ".mrb"])
def test_a_saved_scene_reopens_as_it_was(panel, registered, tmp_path, kind, where):
    import slicer
    from standins.application import settle

    expected = mapped(registered.outputTransform)
    path = kind(tmp_path)
    if where == "in the module":
        read(path)
        settle(20)
    else:
        panel.parent.exit()
        if where.endswith("before"):
            slicer.mrmlScene.Clear(False)
            panel.parent.enter()
            panel.parent.exit()
        read(path)
        panel.parent.enter()
    check_as_it_was(panel, expected)
    panel.parent.exit()
    panel.parent.enter()
    check_as_it_was(panel, expected)


def test_a_scene_read_by_the_console_reopens_as_it_was(panel, registered, tmp_path):
    """logic.getParameterNode() is asked while the scene is being read, when half of it is there."""
    import slicer

    expected = mapped(registered.outputTransform)
    path = save(tmp_path)
    asked = []
    observer = slicer.mrmlScene.AddObserver(
        slicer.vtkMRMLScene.NodeAddedEvent, lambda *_: asked.append(panel.logic.getParameterNode())
    )
    read(path)
    slicer.mrmlScene.RemoveObserver(observer)
    assert asked
    check_as_it_was(panel, expected)


def test_a_scene_added_to_another_brings_its_registration(panel, registered, tmp_path):
    import slicer

    expected = mapped(registered.outputTransform)
    path = save(tmp_path)
    slicer.mrmlScene.Clear(False)
    read(path, clear=False)
    check_as_it_was(panel, expected)


def test_recompute_makes_eta_movable_again(panel, registered, tmp_path):
    import slicer

    array = panel.logic.result().etaTransform.array.copy()
    read(save(tmp_path))
    parameters = panel.logic.getParameterNode()
    volumes = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    panel.ui.recomputeButton.click()
    wait_for(lambda: not panel.runPanel.busy)
    assert not get(panel.ui.recomputeButton, "visible")
    assert parameters.eta == 0.4 and panel.logic.result().eta == 0.4
    assert panel.logic.result().etaTransform.array.shape == array.shape
    np.testing.assert_allclose(panel.logic.result().etaTransform.array, array, atol=0.05)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == volumes
    assert get(panel.ui.etaSlider, "enabled")


def test_a_panel_that_nobody_sees_adds_nothing_to_a_scene(panel, registered):
    """Closing and reading scenes with another module open: no parameter node is made, nothing is connected."""
    import slicer

    panel.parent.exit()
    slicer.mrmlScene.Clear(True)
    slicer.mrmlScene.InvokeEvent(slicer.vtkMRMLScene.EndImportEvent)
    assert slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode") == []


def test_visits_and_scenes_leave_no_observers_behind(panel, registered):
    """However often the module is visited, a change of a value writes each widget once."""
    import slicer

    written = []
    box = panel.ui.etaSlider.box

    def writes_of_a_step(eta):
        written.clear()
        panel.logic.getParameterNode().eta = eta
        return len(written)

    original = box.setProperty
    box.setProperty = lambda name, value: (written.append(name), original(name, value))[1]
    before = writes_of_a_step(0.5)
    assert before
    for _ in range(10):
        panel.parent.exit()
        panel.parent.enter()
    assert writes_of_a_step(0.6) == before
    for _ in range(3):
        slicer.mrmlScene.Clear(False)
    assert writes_of_a_step(0.7) == before
