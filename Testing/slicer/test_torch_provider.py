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
    """As on a computer where PyTorch was never installed."""
    for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    real = provider.installed
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *rest, find=__import__("importlib.util").util.find_spec: (
            None if name == "torch" else find(name, *rest)
        ),
    )
    assert not real()


def sentence(action):
    from DiffuseMorphCore.errors import DiffuseMorphError

    with pytest.raises(DiffuseMorphError) as caught:
        action()
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text
    return text


def offer(monkeypatch, install):
    """A PyTorch extension whose installation does what `install` does."""
    module = types.ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = lambda: types.SimpleNamespace(installTorch=install)
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
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert "opened" in done.stdout, done.stderr[-2000:]


def test_out_of_memory_is_explained(provider):
    import torch

    for error in (MemoryError(), torch.cuda.OutOfMemoryError("CUDA out of memory")):
        assert "not enough memory" in provider.explain(error)
    assert "ValueError: odd" in provider.explain(ValueError("odd"))
