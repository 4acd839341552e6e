"""The slice views belong to the user: changed only on the user's own action in the panel, and given back."""

import pytest
from panel_driver import choose_balls, get, register, register_balls, wait_for


def layers():
    """(background, foreground, opacity) of every slice view, volumes by name."""
    import slicer

    def name(nodeID):
        node = slicer.mrmlScene.GetNodeByID(nodeID or "")
        return node.GetName() if node is not None else None

    return [
        (name(c.GetBackgroundVolumeID()), name(c.GetForegroundVolumeID()), round(c.GetForegroundOpacity(), 2))
        for c in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    ]


def set_layers(background, foreground=None, opacity=0.3):
    import slicer

    slicer.util.setSliceViewerLayers(background=background, foreground=foreground, foregroundOpacity=opacity)


def choose_view(panel, mode):
    modes = [m.value for m in type(panel.logic.getParameterNode().viewMode)]
    panel.ui.viewModeComboBox.setProperty("currentIndex", modes.index(mode))
    wait_for(lambda: not panel.runPanel.busy)


@pytest.fixture
def own(panel):
    """What the user looks at before anything is registered."""
    from ball_volumes import add_ball

    node = add_ball("Own", (1, 1, 1), 9)
    set_layers(node)
    return node


@pytest.fixture
def registered(panel, own):
    return register_balls(panel)


def test_the_first_registration_in_the_open_module_shows_its_result(panel, registered):
    assert layers() == [("Fixed", "Moving", 0.5)] * 3
    assert get(panel.ui.viewModeComboBox, "currentText") == "blend"


@pytest.mark.parametrize("mode", ["blend", "checkerboard", "difference", "jacobian"])
def test_as_it_is_gives_back_what_the_views_showed(panel, own, registered, mode):
    choose_view(panel, mode)
    assert layers()[0] != ("Own", None, 0.3)
    choose_view(panel, "keep")
    assert layers() == [("Own", None, 0.3)] * 3


def test_what_the_user_has_set_meanwhile_is_kept(panel, own, registered):
    set_layers(registered.movingVolume, own, 0.7)
    choose_view(panel, "keep")
    assert layers() == [("Moving", "Own", 0.7)] * 3, "not what was there before the registration"
    choose_view(panel, "difference")
    assert layers()[0][1] == "Moving"
    choose_view(panel, "keep")
    assert layers() == [("Moving", "Own", 0.7)] * 3


def test_entering_the_module_changes_no_view(panel, own, registered):
    panel.parent.exit()
    set_layers(own)
    panel.parent.enter()
    panel.ui.etaSlider.setProperty("value", 0.3)
    wait_for(lambda: panel.logic.result().eta == 0.3)
    assert layers() == [("Own", None, 0.3)] * 3
    panel.ui.blendSlider.setProperty("value", 0.8)
    assert layers() == [("Fixed", "Moving", 0.8)] * 3, "the user's own action in the panel"


@pytest.mark.parametrize("where", ["in the module", "elsewhere"])
def test_importing_a_scene_changes_no_view(panel, own, registered, where):
    import slicer

    if where == "elsewhere":
        panel.parent.exit()
    set_layers(own)
    slicer.mrmlScene.StartState(slicer.vtkMRMLScene.ImportState)
    slicer.mrmlScene.EndState(slicer.vtkMRMLScene.ImportState)
    assert layers() == [("Own", None, 0.3)] * 3


@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
def test_a_run_that_ends_while_another_module_is_open_changes_no_view(panel, own, again):
    if again:
        register_balls(panel)
    else:
        choose_balls(panel)
    panel.ui.registerButton.click()
    panel.parent.exit()
    set_layers(own)
    wait_for(lambda: not panel.runPanel.busy)
    panel.parent.enter()
    assert layers() == [("Own", None, 0.3)] * 3
    assert panel.logic.getParameterNode().outputTransform.GetName() == "Moving to Fixed"
    assert get(panel.ui.etaSlider, "enabled")


@pytest.mark.parametrize("mode", ["checkerboard", "difference"])
@pytest.mark.parametrize("where", ["in the module", "elsewhere"])
def test_deleting_the_fixed_volume_takes_its_hidden_copy_off_the_screen(panel, own, registered, mode, where):
    import slicer

    choose_view(panel, mode)
    assert any("comparison" in str(layer) for layer in layers()[0])
    if where == "elsewhere":
        panel.parent.exit()
    slicer.mrmlScene.RemoveNode(registered.fixedVolume)
    assert layers() == [("Own", None, 0.3)] * 3
    names = [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
    assert not any("comparison" in name for name in names)


def test_the_panel_that_is_taken_down_gives_the_views_back(module, scene):
    from ball_volumes import add_ball
    from standins.modules import make_panel

    panel = make_panel(module)
    panel.parent.enter()
    set_layers(add_ball("Own"))
    register_balls(panel)
    choose_view(panel, "difference")
    panel.cleanup()
    assert layers() == [("Own", None, 0.3)] * 3


def test_a_map_belongs_to_its_registration(panel, registered):
    """After another registration, from the console too, the color map is computed anew."""
    import slicer
    from ball_volumes import OPTIONS

    choose_view(panel, "jacobian")
    kept = slicer.util.arrayFromVolume(slicer.util.getNode("*jacobian*")).copy()
    panel.logic.register(
        registered.fixedVolume,
        registered.movingVolume,
        outputTransform=registered.outputTransform,
        **(OPTIONS | {"refine": 0}),
    )
    wait_for(lambda: not panel.runPanel.busy and not panel.logic.running)
    assert layers()[0][:2] == ("Moving", "Moving to Fixed jacobian")
    fresh = slicer.util.arrayFromVolume(slicer.util.getNode("*jacobian*"))
    assert abs(fresh - 1).max() < 1e-3 < abs(kept - 1).max()


def test_the_users_as_it_is_outlasts_the_next_registration(panel, own, registered):
    choose_view(panel, "keep")
    register(panel)
    assert layers() == [("Own", None, 0.3)] * 3
