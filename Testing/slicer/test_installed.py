"""The two ways the module is found: installed, from the files that CMake lists, and as an additional module path."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

PROGRAM = """
import sys
sys.path.insert(0, {stand_ins!r})
from pathlib import Path
from standins import install
install()
before = list(sys.path)
from standins.modules import load_module, make_panel
module = load_module(Path({module!r}))
panel = make_panel(module)
panel.parent.enter()
assert [folder for folder in sys.path if folder not in before] == [str(Path({module!r}).parent)], sys.path
import DiffuseMorphCore
from DiffuseMorphSlicerLib.ComputerInformation import ComputerInformation
from DiffuseMorphSlicerLib.SampleImages import sampleFolder
print("core", DiffuseMorphCore.__file__)
print("samples", sampleFolder())
print("models", [name for name, _ in ComputerInformation.withoutTorch().models])
# The interpreter must not end in the middle of the import of PyTorch, which opening the panel has begun.
from standins.application import settle
while panel.modelPanel.reading:
    settle(5)
panel.cleanup()
"""


def listed(folder: Path, variable: str) -> list[str]:
    text = (folder / "CMakeLists.txt").read_text(encoding="utf-8")
    return re.search(rf"set\({variable}\n(.*?)\)", text, flags=re.DOTALL).group(1).split()


def install_tree(target: Path) -> Path:
    """What slicerMacroBuildScriptedModule and the install rule of the sample data put into qt-scripted-modules."""
    places = {ROOT / "DiffuseMorphSlicer": target, ROOT / "DiffuseMorphCore": target / "DiffuseMorphCore"}
    for folder, place in places.items():
        for name in listed(folder, "MODULE_PYTHON_SCRIPTS") + listed(folder, "MODULE_PYTHON_RESOURCES"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, place / name)
    for name in listed(ROOT / "DiffuseMorphSlicer", "SAMPLE_DATA"):
        (target / "Resources" / "SampleData").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / "Resources" / "SampleData" / name, target / "Resources" / "SampleData" / name)
    return target


@pytest.mark.parametrize("way", ["installed", "additional module path"])
def test_the_module_finds_its_parts(way, tmp_path):
    """Its own core, although another version lies in front on the search path, and it leaves that path alone."""
    pytest.importorskip("slicer", reason="the package slicer-core is not installed")
    pytest.importorskip("PySide6", reason="the package PySide6-Essentials is not installed")
    if way == "installed":
        folder = install_tree(tmp_path / "qt-scripted-modules")
        core, samples = folder / "DiffuseMorphCore", folder / "Resources" / "SampleData"
    else:
        folder = ROOT / "DiffuseMorphSlicer"
        core, samples = ROOT / "DiffuseMorphCore", ROOT / "Resources" / "SampleData"
    other = tmp_path / "site-packages" / "DiffuseMorphCore"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise RuntimeError('another version')\n")
    program = PROGRAM.format(stand_ins=str(HERE), module=str(folder / "DiffuseMorphSlicer.py"))
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(other.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[:2000]
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert Path(found["core"]) == core / "__init__.py"
    assert Path(found["samples"]) == samples
    bundled = sorted(path.stem for path in (core / "weights").glob("*.pt"))
    assert {"default2d", "default3d"} <= set(bundled) and ("voxelmorph3d" in bundled) == (way != "installed")
    assert found["models"] == str(bundled)
