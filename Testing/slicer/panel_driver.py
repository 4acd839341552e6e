"""What tests of the panel do with it: read a property, wait, register, hold a computation where it is.

Nothing here looks at a clock: what has to last is held by an event, and a test that hangs is ended by pytest's timeout.
"""

import threading


def get(widget, name="text"):
    return widget.property(name)


def wait_for(condition):
    from standins.application import settle

    while not condition():
        settle(5)


def hold(monkeypatch, job, stage):
    """Let every run of a job class wait when it comes to a stage. Gives two events: it is there, and it may go on."""
    reached, proceed = threading.Event(), threading.Event()
    run = job.run

    def held(self, progress):
        def report(name, fraction):
            if name == stage:
                reached.set()
                proceed.wait()
            return progress(name, fraction)

        return run(self, report)

    monkeypatch.setattr(job, "run", held)
    return reached, proceed


def register(panel):
    panel.ui.registerButton.click()
    assert panel.runPanel.busy, get(panel.ui.statusLabel)
    wait_for(lambda: not panel.runPanel.busy)
    assert get(panel.ui.statusLabel).startswith("Done"), get(panel.ui.statusLabel)


def choose_balls(panel):
    """Choose two balls and a short optimisation in the panel. Returns the fixed and the moving volume."""
    from ball_volumes import add_ball

    parameters = panel.logic.getParameterNode()
    parameters.fixedVolume, parameters.movingVolume = add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13)
    parameters.model, parameters.device, parameters.refinement = "none", "cpu", 10
    parameters.alignment = type(parameters.alignment).center
    return parameters.fixedVolume, parameters.movingVolume


def register_balls(panel):
    """Register the two balls in the panel. Returns the parameters."""
    choose_balls(panel)
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
