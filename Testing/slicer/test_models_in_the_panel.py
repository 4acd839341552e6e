"""What needs a model: synthesis, uncertainty, the list of models and devices. The model is small and untrained."""

import numpy as np
import pytest
from ball_volumes import add_ball
from panel_driver import get, hold, register, wait_for


@pytest.fixture(scope="module")
def model_file(small_model, tmp_path_factory):
    from DiffuseMorphCore.networks import save_model

    return str(save_model(tmp_path_factory.mktemp("model") / "small.pt", small_model(3), {"description": "For tests."}))


@pytest.fixture
def pair(panel, model_file):
    parameters = panel.logic.getParameterNode()
    parameters.fixedVolume, parameters.movingVolume = add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13)
    parameters.device, parameters.refinement = "cpu", 0
    parameters.alignment = type(parameters.alignment).center
    panel.ui.modelPathLineEdit.setProperty("currentPath", model_file)
    assert parameters.model == model_file
    return parameters


def test_the_network_is_used_and_named(panel, pair):
    register(panel)
    assert "small" in get(panel.ui.resultLabel)
    # An untrained network is right to be turned down; that it was asked shows in what it gave.
    similarity = panel.logic.result().report["similarity"]
    assert similarity["network"] != similarity["aligned"]


def test_synthesize(panel, pair):
    import slicer

    pair.synthesisStart, pair.synthesisSteps = 20, 3
    volumes = []
    for _ in range(2):
        panel.ui.synthesizeButton.click()
        wait_for(lambda: not panel.runPanel.busy)
        assert get(panel.ui.statusLabel).startswith("Done"), get(panel.ui.statusLabel)
        volumes.append(slicer.util.arrayFromVolume(pair.synthesizedVolume).copy())
    assert pair.synthesizedVolume.GetName() == "Moving synthesized on Fixed"
    assert volumes[0].shape == slicer.util.arrayFromVolume(pair.fixedVolume).shape
    assert np.isfinite(volumes[0]).all() and np.ptp(volumes[0]) > 0
    assert np.array_equal(*volumes), "the same seed draws the same image"


def test_synthesis_can_be_cancelled(panel, pair, monkeypatch):
    import slicer
    from DiffuseMorphSlicerLib.SynthesisJob import SynthesisJob

    reached, proceed = hold(monkeypatch, SynthesisJob, "synthesize")
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    panel.ui.synthesizeButton.click()
    reached.wait()
    panel.ui.cancelButton.click()
    proceed.set()
    wait_for(lambda: not panel.runPanel.busy)
    assert get(panel.ui.statusLabel) == "Cancelled. The scene is as it was."
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes


def test_synthesis_is_offered_only_where_it_can_be_done(panel, pair):
    from DiffuseMorphCore.errors import DiffuseMorphError

    button, model = panel.ui.synthesizeButton, pair.model
    assert get(button) == "Synthesize" and get(button, "enabled")
    pair.model = "none"
    assert get(button) == "Select a model" and not get(button, "enabled")
    pair.model, pair.synthesisStart, pair.synthesisSteps = model, 1, 80
    assert get(button) == "Select at most 2 steps" and not get(button, "enabled")
    pair.synthesisSteps = 2
    assert get(button) == "Synthesize" and get(button, "enabled")
    for options, words in (({"model": "none"}, "with a model"), ({"start": 1, "steps": 80}, "80 steps do not go into")):
        with pytest.raises(DiffuseMorphError, match=words) as caught:
            panel.logic.startSynthesis(pair.fixedVolume, pair.movingVolume, **options)
        assert "option" not in str(caught.value)


def test_uncertainty_in_color(panel, pair):
    import slicer

    register(panel)
    pair.viewMode = type(pair.viewMode).uncertainty
    assert panel.runPanel.busy
    wait_for(lambda: not panel.runPanel.busy)
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    node = slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID())
    assert "uncertainty" in node.GetName()
    assert slicer.util.arrayFromVolume(node).max() > 0


def test_devices_are_listed_with_memory_and_need(panel, pair):
    wait_for(lambda: not panel.modelPanel.reading)
    box = panel.ui.deviceComboBox
    assert box.itemText(0) == "Automatic"
    assert any("cpu" in box.itemText(index) for index in range(1, box.property("count")))
    assert "GB free" in get(panel.ui.memoryLabel) and "needed" in get(panel.ui.memoryLabel)


@pytest.mark.parametrize(("side", "expected"), [(160, 0.8), (320, 1.1), (640, 6.0), (2000, 184)])
def test_the_memory_of_large_volumes_is_not_made_light_of(panel, pair, side, expected):
    """Announced within a third of what registrations of 16-bit volumes took (and 23 bytes a voxel beyond those)."""
    import re

    wait_for(lambda: not panel.modelPanel.reading)
    pair.modality = type(pair.modality).same  # "automatic" announces what two contrasts would take
    for name in ("fixedVolume", "movingVolume"):
        setattr(pair, name, large_volume(name, (side, side, side)))
    text = get(panel.ui.memoryLabel)
    assert float(re.search(r"about ([\d.]+) GB needed", text).group(1)) == pytest.approx(expected, rel=0.35), text


def large_volume(name, size):
    """A volume node of that size whose voxels are said to be there and are not."""
    import slicer
    import vtk

    image = vtk.vtkImageData()
    image.SetDimensions(*size)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetAndObserveImageData(image)
    return node


def test_the_memory_of_the_computer_is_announced_beside_that_of_the_device(panel, pair):
    wait_for(lambda: not panel.modelPanel.reading)
    pair.fixedVolume = pair.movingVolume = None
    pair.fixedVolume, pair.movingVolume = large_volume("F", (640,) * 3), large_volume("M", (320,) * 3)
    information = panel.modelPanel._information
    panel.modelPanel._information = type(information)(information.models, (("cuda", "A card", 8e9),))
    pair.device = "cuda"
    panel.modelPanel.update()
    text = get(panel.ui.memoryLabel)
    assert "A card: 8.0 GB free" in text and "GB needed there and 4.0 GB of the computer's memory" in text


def test_models_for_non_commercial_use_are_marked(panel, pair, small_model, tmp_path):
    from DiffuseMorphCore.networks import model_entry, save_model

    about = {"description": "For tests.", "terms": "CC BY-NC 3.0"}
    path = str(save_model(tmp_path / "restricted.pt", small_model(3), about))
    wait_for(lambda: not panel.modelPanel.reading)
    panel.ui.modelPathLineEdit.setProperty("currentPath", path)
    text = get(panel.ui.modelDescriptionLabel)
    assert "Not for commercial use" in text and "CC BY-NC 3.0" in text
    information = panel.modelPanel._information
    described = type(information).describe(model_entry(path))
    bundled = type(information)(
        (*information.models, ("default3d", described)), information.devices, frozenset({"default3d"})
    )
    panel.modelPanel._information = bundled
    panel.modelPanel._fill()
    box = panel.ui.modelComboBox
    assert "default3d (not for commercial use)" in [box.itemText(row) for row in range(box.property("count"))]
    pair.model = "default"
    panel.modelPanel.update()
    assert "optimization alone" in get(panel.ui.modelDescriptionLabel)
