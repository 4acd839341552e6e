"""The console session of the page for Slicer runs as it stands."""

import re
import sys
import types
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[2] / "Resources" / "Documentation" / "slicer.md").read_text(encoding="utf-8")


def test_the_console_session(logic, application, monkeypatch, capsys):
    import functools

    import slicer
    from ball_volumes import add_ball

    session = re.search(r"## From the Python console\n\n```python\n(.*?)```", PAGE, flags=re.S).group(1)
    nodes = [add_ball("ICBM152"), add_ball("Colin27", (3, -2, 1), 13)]
    sampleData = types.ModuleType("SampleData")
    sampleData.SampleDataLogic = lambda: types.SimpleNamespace(downloadSamples=lambda name: nodes)
    monkeypatch.setitem(sys.modules, "SampleData", sampleData)
    monkeypatch.setattr(slicer.util, "getModuleLogic", lambda name: logic)
    # Small volumes of no organ: the network would have nothing to say about them.
    monkeypatch.setattr(logic, "register", functools.partial(logic.register, model="none", device="cpu"))
    variables = {"slicer": slicer}
    exec(session, variables)
    assert "registered" in capsys.readouterr().out
    assert variables["sequence"].GetNumberOfDataNodes() == 21
    assert variables["halfway"].GetName() == "Colin27 on ICBM152 at eta 0.50"
    assert variables["points"].GetParentTransformNode() is variables["result"].transformNode
    assert (Path(application.temporaryPath) / "trajectory.seq.nrrd").is_file()


def test_the_session_with_a_sequence(logic, scene, capsys):
    import slicer
    from sequence_driver import add_beat, displaced

    session = re.search(r"`logic` of the next section:\n\n```python\n(.*?)```", PAGE, flags=re.S)
    browser = add_beat()
    variables = {"slicer": slicer, "logic": logic}
    exec(session.group(1), variables)
    assert "registered" in capsys.readouterr().out
    item = variables["transforms"].GetNthDataNode(2)
    assert browser.GetSelectedItemNumber() == 2
    assert abs(displaced(variables["beat"].transformNode) - 0.5 * displaced(item)).max() < 1e-4


def test_options_named_on_the_page_exist(module):
    import inspect

    from DiffuseMorphSlicerLib.Logic import DiffuseMorphSlicerLogic

    from DiffuseMorphCore.options import declared

    text = PAGE.split("Every option is a keyword and described by")[1].split("## Troubleshooting")[0]
    options = {*inspect.signature(DiffuseMorphSlicerLogic.startRegistration).parameters, *declared()}
    named = set(re.findall(r"`(\w+)`", text))
    assert len(named) >= 12 and named <= options
