"""PyTorch missing, declined, broken, too old, out of memory: each is one sentence that says what to do."""

import sys
import types

import pytest


@pytest.fixture
def provider(module):
    from DiffuseMorphSlicerLib.TorchProvider import TorchProvider

    return TorchProvider


@pytest.fixture
def without_torch(monkeypatch, provider):
    """As on a computer where PyTorch was never installed. Gives a function that installs it."""
    modules = {name: loaded for name, loaded in sys.modules.items() if name.split(".")[0] == "torch"}
    for name in modules:
        monkeypatch.delitem(sys.modules, name)
    real = provider.installed
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *rest, find=__import__("importlib.util").util.find_spec: (
            None if name == "torch" else find(name, *rest)
        ),
    )
    assert not real()

    def install():
        for name, loaded in modules.items():
            monkeypatch.setitem(sys.modules, name, loaded)
        return modules["torch"]

    return install


def sentence(action):
    from DiffuseMorphCore.errors import DiffuseMorphError

    with pytest.raises(DiffuseMorphError) as caught:
        action()
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text
    return text


def offer(monkeypatch, install):
    """A PyTorch extension whose installation does what `install` does, with the application going on meanwhile."""
    import slicer

    def installTorch(**options):
        slicer.app.processEvents()
        try:
            return install(**options)
        finally:
            slicer.app.processEvents()

    module = types.ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = lambda: types.SimpleNamespace(installTorch=installTorch)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)


def test_there_is_torch(provider):
    assert provider.installed()
    provider.ensure()


def test_the_extension_is_missing(provider, without_torch, monkeypatch):
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    text = sentence(provider.ensure)
    assert "install the PyTorch extension" in text and "restart" in text


def test_the_installation_is_asked_for_and_declined(provider, without_torch, monkeypatch):
    asked = []
    offer(monkeypatch, lambda **options: asked.append(options))
    assert "was not installed" in sentence(provider.ensure)
    assert asked == [{"askConfirmation": True, "torchVersionRequirement": ">=2.4"}]


def test_the_installation_fails(provider, without_torch, monkeypatch):
    def install(**options):
        raise RuntimeError("no network")

    offer(monkeypatch, install)
    assert "could not be installed" in sentence(provider.ensure)


def test_an_intel_mac_is_said_to_have_no_such_torch(provider, without_torch, monkeypatch):
    offer(monkeypatch, lambda **options: without_torch())
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert "PyTorch 2.4 is not made for Macs with Intel processors" in sentence(provider.ensure)


def test_a_half_installed_torch(provider, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    assert "is broken" in sentence(provider.ensure)


def test_an_old_torch(provider, monkeypatch):
    old = types.ModuleType("torch")
    old.__version__ = "2.1.2+cpu"
    monkeypatch.setitem(sys.modules, "torch", old)
    text = sentence(provider.ensure)
    assert "2.1.2+cpu is too old" in text


def test_register_says_it_in_the_panel(without_torch, panel, monkeypatch):
    from ball_volumes import add_ball

    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    parameters = panel.logic.getParameterNode()
    parameters.fixedVolume, parameters.movingVolume = add_ball("Fixed"), add_ball("Moving")
    panel.ui.registerButton.click()
    assert not panel.runPanel.busy
    assert "install the PyTorch extension" in panel.ui.statusLabel.property("text")
    assert panel.ui.registerButton.property("enabled")


def test_buttons_pressed_during_the_installation_start_nothing(without_torch, panel, monkeypatch):
    """The user sees that it goes on, presses again all the same, and gets one installation and one registration."""
    import slicer
    from panel_driver import choose_balls, get, wait_for

    installations, seen = [], {}

    def install(**options):
        installations.append(options)
        for button in (panel.ui.registerButton, panel.ui.synthesizeButton):
            seen[button.name] = get(button, "enabled")
            button.click()
        panel.onRegister()
        panel.onSynthesize()
        seen["status"], seen["cursor"] = get(panel.ui.statusLabel), list(slicer.app.cursors)
        return without_torch()

    offer(monkeypatch, install)
    choose_balls(panel)
    assert "not installed" in get(panel.ui.memoryLabel)
    panel.ui.registerButton.click()
    assert len(installations) == 1
    assert seen["registerButton"] is False and seen["synthesizeButton"] is False
    assert seen["status"] == "Installing PyTorch, this takes some minutes" and len(seen["cursor"]) == 1
    assert slicer.app.cursors == []
    wait_for(lambda: not panel.runPanel.busy)
    assert get(panel.ui.statusLabel).startswith("Done"), get(panel.ui.statusLabel)
    wait_for(lambda: not panel.modelPanel.reading)
    assert "GB free" in get(panel.ui.memoryLabel), "the panel knows that PyTorch is there now"


def test_a_declined_installation_leaves_the_panel_ready(without_torch, panel, monkeypatch):
    import slicer
    from panel_driver import choose_balls, get

    offer(monkeypatch, lambda **options: None)
    choose_balls(panel)
    panel.ui.registerButton.click()
    assert "was not installed" in get(panel.ui.statusLabel) and slicer.app.cursors == []
    assert get(panel.ui.registerButton) == "Register" and get(panel.ui.registerButton, "enabled")


def test_the_console_cannot_start_a_second_installation(provider, without_torch, monkeypatch):
    said = []

    def install(**options):
        said.append(sentence(provider.ensure))
        return without_torch()

    offer(monkeypatch, install)
    provider.ensure()
    assert said == ["PyTorch is being installed: wait until that is done."]
    provider.ensure()


@pytest.fixture
def half_imported_torch(monkeypatch):
    """As while another thread is in the middle of importing torch: in sys.modules, and without anything in it."""
    import importlib.machinery

    torch = types.ModuleType("torch")
    torch.__spec__ = importlib.machinery.ModuleSpec("torch", None)
    torch.__spec__._initializing = True
    monkeypatch.setitem(sys.modules, "torch", torch)


def test_a_half_imported_torch_is_left_alone(provider, module, panel, half_imported_torch, capfd):
    import slicer
    from ball_volumes import add_ball
    from panel_driver import get

    assert provider.imported() is None
    provider.releaseMemory()
    assert "ValueError" in provider.explain(ValueError("odd"))
    parameters = panel.logic.getParameterNode()
    parameters.fixedVolume, parameters.movingVolume = add_ball("Fixed"), add_ball("Moving")
    parameters.model = __file__
    assert "from a file" in get(panel.ui.modelDescriptionLabel)
    slicer.mrmlScene.Clear(False)
    assert "Traceback" not in capfd.readouterr().err


def test_observers_are_removed_whatever_happens(module, scene, provider, monkeypatch):
    from standins.modules import make_panel

    panel = make_panel(module)
    panel.parent.enter()
    monkeypatch.setattr(provider, "releaseMemory", staticmethod(lambda: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        panel.cleanup()
    assert not panel.Observations and not panel.logic.Observations


def test_importing_the_module_and_opening_the_panel_import_no_torch(tmp_path):
    """In an interpreter of its own, where torch cannot be imported at all."""
    import subprocess
    from pathlib import Path

    here = Path(__file__).resolve().parent
    program = f"""
import sys
sys.path[:0] = [{str(here)!r}, {str(here.parents[1])!r}]
sys.modules["torch"] = None
from standins import install
install()
from pathlib import Path
from standins.modules import load_module, make_panel
module = load_module(Path({str(here.parents[1] / "DiffuseMorphSlicer" / "DiffuseMorphSlicer.py")!r}))
panel = make_panel(module)
panel.parent.enter()
panel.cleanup()
print("opened")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "opened" in done.stdout, done.stderr[-2000:]


def test_out_of_memory_is_explained(provider):
    import torch

    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    for error in (MemoryError(), torch.cuda.OutOfMemoryError("CUDA out of memory"), caught.value):
        assert "not enough memory" in provider.explain(error)
    assert "ValueError: odd" in provider.explain(ValueError("odd"))
