"""The module as Slicer meets it: its description, its self test, reloading, sample data, animation, the small parts."""

import sys
import types

import numpy as np
import pytest


def test_description(module):
    import slicer

    description = slicer.modules.diffusemorphslicer.description
    assert description.title == "DiffuseMorph" and description.categories == ["Registration"]
    assert "eta" in description.helpText and "ECCV 2022" in description.acknowledgementText


def test_the_modules_own_self_test_passes(module, scene, capsys):
    import slicer

    slicer.selfTests["DiffuseMorphSlicer"]()
    shown = capsys.readouterr().out
    assert "the tests have passed" in shown and "left out" not in shown


def test_reload_and_test(panel, capsys):
    """Slicer's own reload: the module, its library and the core are read anew, the new panel works, the test passes."""
    import slicer

    ours = ("DiffuseMorphSlicer", "DiffuseMorphSlicerLib", "DiffuseMorphCore")
    kept = {name: loaded for name, loaded in sys.modules.items() if name.split(".")[0] in ours}
    try:
        panel.onReload()
        fresh = slicer.modules.DiffuseMorphSlicerWidget
        assert fresh is not panel and type(fresh) is not type(panel)
        assert type(fresh.logic) is not type(panel.logic)
        assert fresh.ui.registerButton.property("text") == "Select a fixed and a moving volume"
        assert not panel.logic.Observations, "the old panel has let go"
        slicer.selfTests["DiffuseMorphSlicer"]()
        assert "the tests have passed" in capsys.readouterr().out
        fresh.cleanup()
    finally:
        sys.modules.update(kept)


def test_sample_data_is_offered_and_is_what_its_checksum_says(module, application, monkeypatch):
    import hashlib
    from urllib.parse import unquote, urlparse

    offered = []
    sampleData = types.ModuleType("SampleData")

    # The keywords that Slicer's function of this name takes.
    def registerCustomSampleDataSource(
        *, category, sampleName, uris, fileNames, nodeNames, thumbnailFileName, checksums
    ):
        offered.append(
            {
                "category": category,
                "uris": uris,
                "checksums": checksums,
                "fileNames": fileNames,
                "nodeNames": nodeNames,
                "thumbnailFileName": thumbnailFileName,
            }
        )

    sampleData.SampleDataLogic = types.SimpleNamespace(registerCustomSampleDataSource=registerCustomSampleDataSource)
    monkeypatch.setitem(sys.modules, "SampleData", sampleData)
    application.emit("startupCompleted()")
    (source,) = offered
    assert source["category"] == "DiffuseMorph" and len(source["uris"]) == 2
    for uri, checksum in zip(source["uris"], source["checksums"]):
        assert uri.startswith("file:")
        with open(unquote(urlparse(uri).path), "rb") as file:
            assert checksum == "SHA256:" + hashlib.sha256(file.read()).hexdigest()
    with open(source["thumbnailFileName"], "rb") as file:
        assert file.read(4) == b"\x89PNG"


@pytest.fixture
def recorder(logic, monkeypatch):
    from ball_volumes import OPTIONS, add_ball
    from standins import screen_capture

    monkeypatch.setitem(sys.modules, "ScreenCapture", screen_capture.module())
    import slicer
    from DiffuseMorphSlicerLib.AnimationRecorder import AnimationRecorder

    result = logic.register(add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13), **OPTIONS)
    slicer.util.setSliceViewerLayers(background=result.movingNode, fit=True)
    return AnimationRecorder(logic.setEta, slicer.app.layoutManager().sliceWidget("Red").sliceView())


def test_animation_as_pictures(recorder, tmp_path):
    from PIL import Image

    paths = recorder.record(tmp_path / "morph.png", np.linspace(0, 1, 4))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"morph_{index:05d}.png" for index in range(4)]
    pictures = [np.asarray(Image.open(path)).astype(int) for path in paths]
    assert all(np.abs(later - earlier).max() > 20 for earlier, later in zip(pictures, pictures[1:])), "it moves"


def test_animation_refusals(recorder, tmp_path):
    from DiffuseMorphCore.errors import DiffuseMorphError

    for name, words in (
        ("morph.gif", "needs ffmpeg"),
        ("morph.avi", r"\.png, \.gif, \.mp4"),
        ("none/morph.png", "does not exist"),
    ):
        with pytest.raises(DiffuseMorphError, match=words):
            recorder.record(tmp_path / name, [0.0, 1.0])
    with pytest.raises(DiffuseMorphError, match="cancelled"):
        recorder.record(tmp_path / "morph.png", [0.0, 1.0], progress=lambda fraction: False)
    assert list(tmp_path.iterdir()) == []


def test_player_follows_the_clock(module):
    from DiffuseMorphSlicerLib.EtaPlayer import EtaPlayer

    player = EtaPlayer(seconds=2.0, loop=True, thereAndBack=True)
    player.start(100.0, 0.0)
    assert [player.eta(100.0 + t) for t in (0.5, 2.0, 3.0, 4.0, 4.5)] == pytest.approx([0.25, 1.0, 0.5, 0.0, 0.25])
    player = EtaPlayer(seconds=2.0, loop=True, thereAndBack=False)
    player.start(0.0, 1.0)
    assert [player.eta(t) for t in (1.0, 2.5)] == pytest.approx([0.5, 0.25]), "from the end it begins again"
    player = EtaPlayer(seconds=2.0, loop=False, thereAndBack=False)
    player.start(0.0, 0.5)
    assert player.eta(0.5) == pytest.approx(0.75) and player.playing
    assert player.eta(5.0) == 1.0 and not player.playing


def test_background_run_reports_cancels_and_delivers_in_the_callers_thread(module):
    import threading

    from DiffuseMorphSlicerLib.BackgroundRun import BackgroundRun

    from DiffuseMorphCore.progress import advance

    threads, reached, proceed = {}, threading.Event(), threading.Event()

    def work(progress):
        threads["work"] = threading.get_ident()
        advance(progress, "align", 0.5)
        reached.set()
        proceed.wait()
        advance(progress, "refine", 0.5)
        return 42

    def deliver(result):
        threads["deliver"] = threading.get_ident()
        return result + 1

    run = BackgroundRun(work, {"align": 1, "refine": 3}, deliver)
    reached.wait()
    assert run.fraction == pytest.approx(0.125) and not run.poll()
    proceed.set()
    assert run.wait() == 43
    assert run.fraction == pytest.approx(0.625) and run.secondsLeft >= 0
    assert threads["deliver"] == threading.get_ident() != threads["work"]

    proceed.clear()
    run = BackgroundRun(work, {"align": 1, "refine": 3}, deliver)
    run.cancel()
    proceed.set()
    from DiffuseMorphCore.errors import Cancelled

    with pytest.raises(Cancelled):
        run.wait()
    assert run.cancelled


def test_a_run_that_was_over_before_it_was_cancelled_is_cancelled_all_the_same(module):
    from DiffuseMorphSlicerLib.BackgroundRun import BackgroundRun

    from DiffuseMorphCore.errors import Cancelled

    delivered = []
    run = BackgroundRun(lambda progress: 42, {}, delivered.append)
    assert run.poll(None)
    with pytest.raises(Cancelled):
        run.wait(run.cancel)
    assert delivered == []


def test_one_computation_at_a_time(logic, monkeypatch):
    from ball_volumes import OPTIONS, add_ball
    from DiffuseMorphSlicerLib.RegistrationJob import RegistrationJob
    from panel_driver import hold

    from DiffuseMorphCore.errors import DiffuseMorphError

    fixed, moving = add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13)
    _, proceed = hold(monkeypatch, RegistrationJob, "prepare")
    run = logic.startRegistration(fixed, moving, **OPTIONS)
    with pytest.raises(DiffuseMorphError, match="Another computation is running"):
        logic.startRegistration(fixed, moving, **OPTIONS)
    logic.cancel()
    proceed.set()
    assert run.poll(None) and run.cancelled
