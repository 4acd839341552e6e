"""A registered sequence in a saved scene comes back whole, its frame and eta live without another registration."""

import numpy as np
import pytest
from panel_driver import get
from scene_files import bundle, read, save
from sequence_driver import COUNT, OPTIONS, add_beat, displaced, sequence_named


@pytest.fixture
def saved(panel, tmp_path):
    """A function that saves a registered sequence at eta 0.5, and by how much each frame moves a point at eta 1."""
    result = panel.logic.sequences.register(add_beat(), **OPTIONS)
    moved = [displaced(result.transformSequence.GetNthDataNode(number)) for number in range(COUNT)]
    assert np.linalg.norm(moved[1]) > 0.5
    panel.logic.sequences.setEta(0.5)
    result.browser.SetSelectedItemNumber(1)
    return lambda kind: kind(tmp_path), moved


def check_live(panel, moved):
    import slicer
    from standins.application import settle

    browser = next(n for n in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode") if "Beat" in n.GetName())
    transforms = sequence_named("Beat transforms")
    shown, node = browser.GetProxyNode(sequence_named("Beat")), browser.GetProxyNode(transforms)
    assert shown.GetParentTransformNode() is node
    assert browser.GetSelectedItemNumber() == 1 and not browser.GetSaveChanges(transforms)
    np.testing.assert_allclose(displaced(node), 0.5 * moved[1], atol=1e-3)
    for number in (0, 2, 1):
        browser.SetSelectedItemNumber(number)
        assert browser.GetProxyNode(transforms) is node and shown.GetParentTransformNode() is node
        np.testing.assert_allclose(displaced(node), 0.5 * moved[number], atol=1e-3)
    parameters = panel.logic.getParameterNode()
    assert parameters.sequenceBrowser is browser and parameters.sequenceEta == 0.5
    assert get(panel.ui.sequenceEtaSlider, "enabled") and get(panel.ui.sequenceEtaSlider, "value") == 0.5
    assert get(panel.ui.sequenceFrameSlider, "value") == 1.0
    assert "Similarity" in get(panel.ui.sequenceResultLabel)
    panel.ui.sequenceEtaSlider.setProperty("value", 1.0)
    settle(20)
    np.testing.assert_allclose(displaced(node), moved[1], atol=1e-3)
    panel.ui.sequenceEtaSlider.setProperty("value", 0.5)
    settle(20)


@pytest.mark.parametrize("kind", [save, bundle], ids=[".mrml", ".mrb"])
def test_in_the_module_and_elsewhere(panel, saved, kind):
    import slicer
    from standins.application import settle

    write, moved = saved
    path = write(kind)
    read(path)
    settle(20)
    check_live(panel, moved)
    panel.parent.exit()
    slicer.mrmlScene.Clear(False)
    read(path, clear=False)
    panel.parent.enter()
    settle(20)
    check_live(panel, moved)


def test_without_this_module_the_frames_show_the_whole_deformation(panel, saved, tmp_path):
    """Slicer alone: the file's transforms are the registered ones, whatever eta was when the scene was saved."""
    import slicer

    write, moved = saved
    path = write(bundle)
    panel.logic.sequences.cleanup()
    read(path)
    browser = next(n for n in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode"))
    node = browser.GetProxyNode(sequence_named("Beat transforms"))
    for number in (0, 2, 1):
        browser.SetSelectedItemNumber(number)
        np.testing.assert_allclose(displaced(node), moved[number], atol=1e-3)
    assert browser.GetProxyNode(sequence_named("Beat")).GetParentTransformNode() is node
