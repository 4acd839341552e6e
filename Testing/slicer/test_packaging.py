"""What Slicer's build and Extension Manager need, read from the files themselves: nothing here needs Slicer."""

import ast
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from update_cmake_lists import FOLDERS, packaged_files

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "DiffuseMorphSlicer"
LIBRARY = MODULE / "DiffuseMorphSlicerLib"
SOURCES = [MODULE / "DiffuseMorphSlicer.py", *sorted(LIBRARY.glob("*.py"))]
LIGHT_AT_IMPORT = {"slicer", "qt", "ctk", "vtk", "numpy", "SimpleITK", "DiffuseMorphSlicerLib"}


def cmake_list(folder: Path, name: str) -> set[str]:
    text = (folder / "CMakeLists.txt").read_text(encoding="utf-8")
    return set(re.search(rf"set\({name}\n(.*?)\)", text, flags=re.S).group(1).split())


def cmake_value(name: str) -> str:
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith(f"set({name} ")]
    assert len(lines) == 1, f"{name} must be set on one line"
    return re.fullmatch(rf'set\({name} "?([^"]*)"?\)', lines[0]).group(1)


def ui_tree():
    return ElementTree.parse(MODULE / "Resources" / "UI" / "DiffuseMorphSlicer.ui").getroot()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_file_is_listed_for_packaging(folder):
    """What is not listed works from the source tree and is missing from the installed extension."""
    for variable, there in packaged_files(folder).items():
        assert cmake_list(folder, variable) == set(there), "run python Testing/slicer/update_cmake_lists.py"


def test_sample_data_is_packaged_with_its_terms():
    listed = cmake_list(MODULE, "SAMPLE_DATA")
    there = {path.name for path in (ROOT / "Resources" / "SampleData").iterdir() if path.suffix != ".py"}
    assert listed == {name for name in there if name != "__pycache__"}
    assert any(name.startswith("LICENSE") for name in listed)


def index_faults(entry: dict) -> list[str]:
    """What the Extensions Index would find wrong with an entry; the rules, in our words, of its schema 1.0.1."""
    kinds = {
        "$schema": str,
        "category": str,
        "scm_url": str,
        "scm_revision": str,
        "scm_type": str,
        "build_dependencies": list,
        "build_subdirectory": str,
        "enabled": bool,
        "tier": int,
    }
    faults = [f"{name} is missing" for name in ("$schema", "category", "scm_url") if name not in entry]
    faults += [f"{name} is not known" for name in entry if name not in kinds]
    faults += [
        f"{name} is no {kinds[name].__name__}"
        for name in entry
        if name in kinds and type(entry[name]) is not kinds[name]
    ]
    if entry.get("$schema") != SCHEMA:
        faults.append("$schema is not that of an entry")
    if entry.get("scm_type", "git") not in ("git", "local"):
        faults.append("scm_type is not git")
    if not 1 <= entry.get("tier", 1) <= 5:
        faults.append("tier is not 1 to 5")
    if not all(isinstance(name, str) for name in entry.get("build_dependencies", [])):
        faults.append("build_dependencies are not names")
    repository = entry.get("scm_url", "").rsplit("/", 1)[-1].removesuffix(".git")
    if not re.match(r"Slicer(Extension)?[-_]?[A-Z]", repository):
        faults.append("the repository's name does not begin with Slicer")
    return faults


SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.1.json#"
)


def test_index_entry_keeps_the_rules_and_agrees_with_cmake():
    text = (ROOT / "Resources" / "ExtensionsIndex" / "DiffuseMorph.json").read_text(encoding="utf-8")
    entry = json.loads(text)
    assert index_faults(entry) == [] and "\r" not in text
    assert "project(DiffuseMorph)" in (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert entry["scm_url"] == cmake_value("EXTENSION_HOMEPAGE")
    assert entry["category"] == cmake_value("EXTENSION_CATEGORY") == "Registration"
    assert entry["build_dependencies"] == cmake_value("EXTENSION_DEPENDS").split() == ["PyTorch"]
    wrong = {"$schema": SCHEMA.replace("entry", "item"), "category": 3, "scm_url": "https://a.b/DiffuseMorph"}
    wrong |= {"tier": 9, "homepage": ""}
    assert len(index_faults(wrong)) == 5 and len(index_faults({})) >= 3


def test_what_a_reviewer_looks_for():
    module = (MODULE / "DiffuseMorphSlicer.py").read_text(encoding="utf-8")
    for file in SOURCES:
        assert "sys.path" not in file.read_text(encoding="utf-8"), file.name
    assert cmake_value("EXTENSION_HOMEPAGE") in module, "a link in the help text"
    publication = "https://doi.org/10.1007/978-3-031-19821-2_20"
    assert publication in module and publication in (ROOT / "README.md").read_text(encoding="utf-8")


def test_what_nothing_in_slicer_uses_is_left_out():
    core = ROOT / "DiffuseMorphCore"
    scripts, resources = (cmake_list(core, f"MODULE_PYTHON_{kind}") for kind in ("SCRIPTS", "RESOURCES"))
    assert not any(name.startswith("evaluation/") for name in scripts | resources)
    models = {name for name in resources if name.endswith(".pt")}
    assert {"weights/default2d.pt", "weights/default3d.pt"} <= models and "weights/voxelmorph3d.pt" not in models
    assert {name for name in resources if name.endswith(".toml")} == {"training/configurations/own_images.toml"}
    for name in scripts:
        for node in ast.walk(ast.parse((core / name).read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(module.startswith("DiffuseMorphCore.evaluation") for module in modules), name


def test_icon_and_screenshots_exist():
    urls = [cmake_value("EXTENSION_ICONURL"), *cmake_value("EXTENSION_SCREENSHOTURLS").split()]
    assert len(urls) >= 2
    for url in urls:
        path = ROOT / url.split("/main/", 1)[1]
        header = path.read_bytes()[:24]
        assert header[:8] == b"\x89PNG\r\n\x1a\n", path
        width, height = (int.from_bytes(header[start : start + 4], "big") for start in (16, 20))
        assert min(width, height) >= 100
    icon = (ROOT / "Resources" / "Icons" / "DiffuseMorph.png").read_bytes()
    assert [int.from_bytes(icon[start : start + 4], "big") for start in (16, 20)] == [128, 128]


def test_licence_and_home_page_name_what_reviewers_look_for():
    assert (ROOT / "LICENSE.txt").is_file()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for words in ("3D Slicer", "cite", "Apache"):
        assert words in readme


def test_bound_widgets_and_parameters_agree():
    described = ast.parse((LIBRARY / "ParameterNode.py").read_text(encoding="utf-8"))
    node = next(
        n for n in described.body if isinstance(n, ast.ClassDef) and n.name == "DiffuseMorphSlicerParameterNode"
    )
    parameters = {statement.target.id for statement in node.body if isinstance(statement, ast.AnnAssign)}
    bound = [p.find("string").text for p in ui_tree().iter("property") if p.get("name") == "SlicerParameterName"]
    assert len(bound) == len(set(bound)), "two widgets are bound to one parameter"
    by_hand = {"model", "device", "fieldColor", "report", "animationFile", "sequenceReport"}
    assert set(bound) == parameters - by_hand


def test_widgets_used_in_the_code_exist_and_every_control_is_used():
    names = {w.get("name") for w in ui_tree().iter("widget")}
    used = set()
    for source in SOURCES:
        text = source.read_text(encoding="utf-8")
        used |= set(re.findall(r"\b_?ui\.(\w+)", text)) | set(re.findall(r'"(export\w+Button)"', text))
    assert used - names == set()
    buttons = {w.get("name") for w in ui_tree().iter("widget") if w.get("class") == "QPushButton"}
    assert buttons - used == set(), "buttons that nothing happens at"


def test_every_control_has_a_tool_tip():
    missing = [
        w.get("name")
        for w in ui_tree().iter("widget")
        if w.get("class") not in ("QLabel", "QWidget", "qMRMLWidget")
        and not any(p.get("name") == "toolTip" and p.find("string").text for p in w.findall("property"))
    ]
    assert missing == []


def test_panel_has_the_sections_in_order():
    sections = [
        w.find("property[@name='text']/string").text
        for w in ui_tree().iter("widget")
        if w.get("class") == "ctkCollapsibleButton"
    ]
    outer = [s for s in sections if s not in ("Masks, initial transform, landmarks, labels", "Advanced")]
    assert outer == ["Inputs", "Model and device", "Outputs", "Explore", "Result", "Export", "Sequence", "Synthesize"]


def test_every_selector_gets_the_scene():
    tree = ui_tree()
    selectors = {w.get("name") for w in tree.iter("widget") if w.get("class") == "qMRMLNodeComboBox"}
    connected = {
        c.find("receiver").text
        for c in tree.iter("connection")
        if c.find("signal").text == "mrmlSceneChanged(vtkMRMLScene*)"
    }
    assert connected == selectors


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_nothing_heavy_is_imported_with_the_module(source):
    tree = ast.parse(source.read_text(encoding="utf-8"))
    for statement in tree.body:
        names = []
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            names = [statement.module]
        for name in names:
            top = name.split(".")[0]
            light = name in (f"DiffuseMorphCore.{part}" for part in ("errors", "options", "job_options", "progress"))
            assert light or top in LIGHT_AT_IMPORT or top in __import__("sys").stdlib_module_names, name


@pytest.mark.parametrize("source", [s for s in SOURCES if s.name not in ("Widget.py",)], ids=lambda source: source.name)
def test_sentences_for_the_user_can_be_translated(source):
    """Messages of errors go through _() and are filled in after it, so that the catalogue has the sentence itself."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "DiffuseMorphError":
            first = node.args[0]
            calls = {n.func.id for n in ast.walk(first) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
            assert "_" in calls, f"line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
            assert isinstance(node.args[0], ast.Constant), f"line {node.lineno}: fill in after _(), not before"


def test_logic_has_no_widgets():
    panels = {"Widget.py", "RunPanel.py", "ModelPanel.py", "ExplorePanel.py", "ExportPanel.py", "SequencePanel.py"}
    for source in SOURCES:
        imports = set(re.findall(r"^\s*(?:import|from) (qt|ctk)\b", source.read_text(encoding="utf-8"), flags=re.M))
        assert not imports or source.name in panels, source.name


def test_files_stay_short():
    for path in [*SOURCES, *(Path(__file__).parent).rglob("*.py")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) < 300, path.name
