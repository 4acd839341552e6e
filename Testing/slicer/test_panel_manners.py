"""What the panel says and offers, and when: nothing that cannot be done, nothing twice, nothing cut off."""

import pytest
from panel_driver import choose_balls, get, register, wait_for


@pytest.fixture
def pair(panel):
    return choose_balls(panel)


def test_maps_leave_the_status_of_the_registration(panel, pair):
    """One time is told, that of the registration in Result; a map that is computed on the way tells none."""
    register(panel)
    assert get(panel.ui.statusLabel) == "Done."
    parameters = panel.logic.getParameterNode()
    parameters.viewMode = type(parameters.viewMode).jacobian
    assert panel.runPanel.busy
    wait_for(lambda: not panel.runPanel.busy)
    assert get(panel.ui.statusLabel) == "Done."


def test_labels_can_be_exported_when_there_are_some(panel, pair):
    from ball_volumes import add_labels

    panel.logic.getParameterNode().movingLabels = add_labels(pair[1], "Labels")
    register(panel)
    assert get(panel.ui.exportLabelsButton, "enabled")
    panel.ui.exportLabelsButton.click()
    wait_for(lambda: not panel.runPanel.busy)
    assert get(panel.ui.statusLabel).startswith("Created 'Labels on Fixed at eta 1.00'")


def test_a_registration_from_the_console_is_shown_by_the_panel(panel, pair):
    from ball_volumes import OPTIONS, add_ball

    other = add_ball("Other", (-2, 2, 0), 12)
    result = panel.logic.register(pair[0], other, eta=0.6, **OPTIONS)
    ui = panel.ui
    assert ui.fixedVolumeSelector.currentNode() is pair[0] and ui.movingVolumeSelector.currentNode() is other
    assert ui.outputTransformSelector.currentNode() is result.transformNode
    assert ui.outputVolumeSelector.currentNode() is result.volumeNode
    assert get(ui.etaSlider, "value") == 0.6 and get(ui.etaSlider, "enabled")
    assert get(ui.exportTransformButton, "enabled") and "Similarity" in get(ui.resultLabel)
    ui.etaSlider.setProperty("value", 0.2)
    wait_for(lambda: result.eta == 0.2)


def test_only_faults_of_the_program_are_logged_as_errors(panel, pair, caplog):
    parameters = panel.logic.getParameterNode()
    parameters.model = "there-is-no-such-model"
    panel.ui.registerButton.click()
    wait_for(lambda: not panel.runPanel.busy)
    assert "there-is-no-such-model" in get(panel.ui.statusLabel)
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
    panel.runPanel.attempt(lambda: panel.logic._begin(lambda progress: 1 / 0, {}, None), None)
    wait_for(lambda: not panel.runPanel.busy)
    assert "ZeroDivisionError" in get(panel.ui.statusLabel)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "Traceback" in record.getMessage()


def test_the_animation_is_saved_by_a_dialog_for_saving(panel):
    dialog, filters = panel.ui.animationPathLineEdit.dialog()
    assert dialog == "getSaveFileName"
    assert [pattern for pattern in ("*.gif", "*.mp4", "*.png") if any(pattern in f for f in filters)] == [
        "*.gif",
        "*.mp4",
        "*.png",
    ]
    dialog, filters = panel.ui.modelPathLineEdit.dialog()
    assert dialog == "getOpenFileName" and "*.pt" in filters[0]


def test_a_frame_of_a_sequence_is_said_to_be_one(panel, pair):
    import slicer

    moving = pair[1]
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Beats")
    for value in ("0", "1", "2"):
        sequence.SetDataNodeAtValue(moving, value)
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.AddProxyNode(moving, sequence, False)
    browser.SetSelectedItemNumber(1)
    register(panel)
    text = get(panel.ui.resultLabel).replace("&#x27;", "'")
    assert "'Moving' shows a frame of the sequence 'Beats': item 2 of 3 was registered" in text
    assert "the other frames carry the same transform." in text


def test_the_panel_can_be_300_pixels_wide(panel, pair):
    """Everything unfolded and a result shown: nothing needs more width, and no label is cut."""
    from PySide6 import QtWidgets
    from standins.application import settle

    parameters = panel.logic.getParameterNode()
    pair[1].SetName("A moving volume with a name as long as scanners give, which nobody has shortened")
    register(panel)
    parameters.viewMode = type(parameters.viewMode).jacobian
    wait_for(lambda: not panel.runPanel.busy)
    for section in ("optional", "advanced", "export", "synthesis"):
        getattr(panel.ui, section + "CollapsibleButton").setProperty("collapsed", False)
    panel.parent.resize(300, 2400)
    settle(50)
    assert panel.parent.width() == 300
    shown = [w for w in panel.parent.findChildren(QtWidgets.QLabel) if w.isVisible()]
    assert len(shown) > 30
    cut = [w.text() for w in shown if not w.wordWrap() and w.width() < w.sizeHint().width()]
    outside = [w.objectName() for w in shown if w.mapTo(panel.parent, w.rect().topRight()).x() > 300]
    assert cut == [] and outside == []
