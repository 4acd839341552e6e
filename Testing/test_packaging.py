"""What an installed package holds: the code, the bundled pair with its terms, models, examples, and the command."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import SimpleITK as sitk

import DiffuseMorphCore
from DiffuseMorphCore.sample_pair import sample_pair

SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE.txt", "DiffuseMorphCore", "Resources/SampleData")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, repository) -> Path:
    """A wheel built from a copy of the tree, without network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in SOURCES:
        copy = shutil.copytree if (repository / name).is_dir() else shutil.copy
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        copy(repository / name, source / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        str(source),
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        str(folder),
    ]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("diffusemorph-*.whl"))


def test_wheel_holds_every_module(wheel, repository):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(repository)) for path in (repository / "DiffuseMorphCore").rglob("*.py")}
    assert len(modules) > 20 and modules <= names
    assert not [name for name in names if "Testing" in name or "DiffuseMorphSlicer" in name]


def test_wheel_holds_the_pair_the_models_the_examples_and_the_licences(wheel, repository):
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (repository / "Resources" / "SampleData").iterdir():
        if path.suffix != ".py" and path.is_file():
            assert f"DiffuseMorphCore/sample_data/{path.name}" in names
    for pattern in ("weights/*.pt", "training/configurations/*.toml"):
        for path in (repository / "DiffuseMorphCore").glob(pattern):
            assert str(path.relative_to(repository)) in names
    licences = [name for name in names if ".dist-info/licenses/" in name]
    for word in ("LICENSE.txt", "LICENSE-ICBM152.txt", "LICENSE-Colin27.txt"):
        assert any(name.endswith(word) for name in licences)


def test_installed_package_finds_its_pair_and_models(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    code = (
        "import DiffuseMorphCore\nfrom DiffuseMorphCore.sample_pair import sample_pair\n"
        "print(DiffuseMorphCore.__file__)\nprint(*sample_pair(), sep='\\n')\n"
        "from DiffuseMorphCore.command_line import main\nraise SystemExit(main(['models']))"
    )
    run = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={"PYTHONPATH": str(tmp_path / "installed")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = run.stdout.splitlines()
    assert all(line.startswith(str(tmp_path / "installed")) for line in lines[:3])


def test_wheel_has_the_command_and_its_metadata(wheel, repository):
    archive = zipfile.ZipFile(wheel)
    read = {
        name.rsplit("/", 1)[-1]: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name
    }
    assert "diffusemorph = DiffuseMorphCore.command_line:main" in read["entry_points.txt"]
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == DiffuseMorphCore.__version__
    assert f"Version: {DiffuseMorphCore.__version__}" in read["METADATA"]
    assert "License-Expression: Apache-2.0" in read["METADATA"]
    links = re.findall(r"\]\(([^)\s]+)\)", read["METADATA"])
    assert len(links) > 10 and all(link.startswith("https://") for link in links)  # it is read far from its pictures
    readme = (repository / "README.md").read_text(encoding="utf-8")
    assert readme.split("## ")[1].splitlines()[2] in read["METADATA"]


def test_bundled_pair_is_two_brains_at_two_millimetres():
    for path in sample_pair():
        image = sitk.ReadImage(str(path))
        assert image.GetSpacing() == (2.0, 2.0, 2.0) and image.GetPixelID() == sitk.sitkUInt8
        assert path.stat().st_size < 500_000
        statistics = sitk.StatisticsImageFilter()
        statistics.Execute(sitk.Cast(image > 0, sitk.sitkFloat32))
        # A brain with the cerebellum and stem has 1.2 to 2.2 litres.
        assert 1.2e6 < statistics.GetSum() * 8.0 < 2.2e6


def test_importing_the_package_is_cheap_and_its_names_are_there():
    code = (
        "import sys, DiffuseMorphCore\nassert not {'torch', 'numpy', 'SimpleITK'} & set(sys.modules)\n"
        "from DiffuseMorphCore import DiffuseMorphError, load_model, available_models\n"
        "assert set(DiffuseMorphCore.__all__) <= set(dir(DiffuseMorphCore))\n"
        "try:\n    DiffuseMorphCore.nonsense\nexcept AttributeError as error:\n    assert 'nonsense' in str(error)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_continuous_integration_runs_the_command_of_the_readme(repository, tmp_path):
    # On a copy whose README asks for something harmless: the real command installs a whole environment.
    (tmp_path / ".ci").mkdir()
    shutil.copy(repository / ".ci" / "run", tmp_path / ".ci" / "run")
    text = (repository / "README.md").read_text(encoding="utf-8")
    command = text.split("## Run the tests", 1)[1].split("```")[1].split("\n", 1)[1].strip()
    assert "\n" not in command and "pytest" in command
    (tmp_path / "README.md").write_text(text.replace(command, "echo the $((6 * 7)) tests"), encoding="utf-8")
    run = subprocess.run(["bash", str(tmp_path / ".ci" / "run")], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["+ echo the $((6 * 7)) tests", "the 42 tests"]
