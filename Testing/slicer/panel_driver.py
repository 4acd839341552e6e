"""What tests of the panel do with it: read a property, wait, register."""

import time


def get(widget, name="text"):
    return widget.property(name)


def wait_for(condition, seconds=60):
    from standins.application import settle

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        settle(5)


def register(panel):
    panel.ui.registerButton.click()
    assert panel.runPanel.busy, get(panel.ui.statusLabel)
    wait_for(lambda: not panel.runPanel.busy)
    assert get(panel.ui.statusLabel).startswith("Done"), get(panel.ui.statusLabel)


def register_balls(panel):
    """Two balls registered in the panel by a short optimisation. Returns the parameters."""
    from ball_volumes import add_ball

    parameters = panel.logic.getParameterNode()
    parameters.fixedVolume, parameters.movingVolume = add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13)
    parameters.model, parameters.device, parameters.refinement = "none", "cpu", 10
    parameters.alignment = type(parameters.alignment).center
    register(panel)
    return panel.logic.getParameterNode()


def load_volume(path, node_class="vtkMRMLScalarVolumeNode"):
    import slicer

    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    node = slicer.mrmlScene.AddNewNodeByClass(node_class, path.name.split(".")[0])
    assert storage.ReadData(node)
    node.CreateDefaultDisplayNodes()
    return node
