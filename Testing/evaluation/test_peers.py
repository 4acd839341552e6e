"""Other programs in environments of their own: a real one by SimpleITK, those of the environments at hand, refusals."""

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.__main__ import main
from DiffuseMorphCore.evaluation.benchmark import folded_share, run_benchmark
from DiffuseMorphCore.evaluation.methods import alignment
from DiffuseMorphCore.evaluation.peers import calling
from DiffuseMorphCore.evaluation.peers.calling import PEERS, Peer, homogeneous, interpreter, peer_methods
from DiffuseMorphCore.options import RegistrationOptions

AT_HAND = dict(part.split("=", 1) for part in os.environ.get("DIFFUSEMORPH_PEERS", "").split(",") if part)
"""Environments to test the real drivers in: DIFFUSEMORPH_PEERS=elastix=PATH,convexadam=PATH."""

DEMONS = '''
"""Demons by SimpleITK, from the alignment it is given."""
from exchange import drive


def load(request):
    import SimpleITK as sitk

    return request and [sitk.ReadImage(request[name]) for name in ("fixed", "aligned")]


def register(images, request):
    import SimpleITK as sitk

    print("a program that talks on its standard output")
    if request["seed"] == 13:
        raise RuntimeError("The metric is\\nnot a number.")
    demons = sitk.DiffeomorphicDemonsRegistrationFilter()
    demons.SetNumberOfIterations(30)
    demons.SetStandardDeviations(1.5)
    return demons.Execute(*images)


def write(field, images, request):
    import numpy as np
    import SimpleITK as sitk

    own = sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))
    matrix, ndim = np.array(request["start"]), field.GetDimension()
    start = sitk.AffineTransform(matrix[:ndim, :ndim].ravel().tolist(), matrix[:ndim, ndim].tolist(), [0.0] * ndim)
    whole = sitk.TransformToDisplacementFieldFilter()
    whole.SetReferenceImage(images[0])
    sitk.WriteImage(whole.Execute(sitk.CompositeTransform([start, own])), request["field"])


if __name__ == "__main__":
    drive(("SimpleITK",), load, register, write)
'''


@pytest.fixture
def demons(tmp_path, monkeypatch):
    """A further program, which this environment can run: the row "demons"."""
    folder = tmp_path / "drivers"
    folder.mkdir()
    shutil.copy(Path(calling.__file__).with_name("exchange.py"), folder)
    (folder / "drive_demons.py").write_text(DEMONS, encoding="utf-8")
    monkeypatch.setitem(PEERS, "demons", Peer("demons", str(folder / "drive_demons.py"), "SimpleITK", aligns=False))


def spots(shape, where, heights, width):
    grid = np.indices(shape)
    total = np.zeros(shape)
    for centre, height in zip(where, heights):
        total += height * np.exp(-sum((axis - at) ** 2 for axis, at in zip(grid, centre)) / width)
    return total.astype(np.float32)


@pytest.fixture(scope="module")
def oblique_pair():
    """Two 3-D images on turned, anisotropic grids of their own; the moving anatomy lies 6 mm and a swelling away."""
    rng = np.random.default_rng(3)
    shape = (36, 34, 38)
    where = rng.uniform(8, 27, (24, 3))
    heights = rng.uniform(60, 200, 24)
    swollen = where + 1.6 * np.sin(where[:, ::-1] / 6)
    images = [sitk.GetImageFromArray(spots(shape, each, heights, 14.0)) for each in (where, swollen)]
    turn = (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1)
    for image, origin in zip(images, ((5.0, -40.0, 12.0), (9.0, -44.0, 14.0))):
        image.SetSpacing((1.0, 1.2, 1.5))
        image.SetDirection(turn)
        image.SetOrigin(origin)
    fixed, moving = images
    points = [
        tuple(
            image.TransformContinuousIndexToPhysicalPoint(point[::-1].tolist())
            for image, point in ((fixed, one), (moving, other))
        )
        for one, other in zip(where, swollen)
    ]
    return fixed, moving, np.array(points)


def mean_error(transform, points):
    return float(np.mean([np.linalg.norm(np.subtract(transform.TransformPoint(a), b)) for a, b in points]))


def test_a_program_in_its_environment_registers_and_its_field_holds_the_alignment_too(demons, oblique_pair):
    fixed, moving, points = oblique_pair
    settings = RegistrationOptions(device="cpu")
    start = alignment(fixed, moving, settings)
    method = peer_methods(["initial", "demons"], {"demons": sys.executable}, 3, 1)["demons"]
    outcome = method[1](fixed, moving, settings)
    aligned, registered = (mean_error(each.transform, points) for each in (start, outcome))
    assert mean_error(sitk.Transform(3, sitk.sitkIdentity), points) > 5 > 2 > aligned
    assert registered < 0.8 * aligned
    assert folded_share(outcome.transform, fixed)[0] == 0 and outcome.inverse is None
    assert outcome.seconds > 0 and outcome.cpu_seconds > 0 and outcome.peak_gib > 0.01
    assert outcome.details["versions"] == {"SimpleITK": metadata.version("SimpleITK")}
    moved = outcome.move_labels(sitk.Cast(moving > 60, sitk.sitkUInt8))
    assert moved.GetSize() == fixed.GetSize()
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(sitk.Cast(fixed > 60, sitk.sitkUInt8), moved)
    assert overlap.GetDiceCoefficient() > 0.9


@pytest.mark.parametrize("name", PEERS)
def test_the_real_drivers_where_their_environments_are_at_hand(name, oblique_pair):
    if name not in AT_HAND:
        pytest.skip(f"needs an environment with {PEERS[name].distribution}, named in DIFFUSEMORPH_PEERS")
    fixed, moving, points = oblique_pair
    method = peer_methods([name], AT_HAND, 3, 1)[name]
    outcome = method[1](fixed, moving, RegistrationOptions(device="cpu"))
    assert mean_error(outcome.transform, points) < 1.5
    assert outcome.cpu_seconds > 0 and "not installed" not in outcome.details["versions"].values()


@pytest.mark.parametrize("name", [name for name in PEERS if 2 in PEERS[name].dimensions])
def test_the_real_drivers_in_2d(name):
    if name not in AT_HAND:
        pytest.skip(f"needs an environment with {PEERS[name].distribution}, named in DIFFUSEMORPH_PEERS")
    where, heights = np.array([(32, 28), (18, 20), (46, 22), (24, 46)]), (160, 60, 60, 60)
    fixed, moving = (sitk.GetImageFromArray(spots((64, 72), where + (0, shift), heights, 90.0)) for shift in (0, 3))
    for image in (fixed, moving):
        image.SetSpacing((1.0, 1.3))
    outcome = peer_methods([name], AT_HAND, 2, 1)[name][1](fixed, moving, RegistrationOptions(device="cpu"))
    points = [(place, (place[0] + 3, place[1])) for place in ((x, 1.3 * y) for y, x in where.tolist())]
    assert mean_error(outcome.transform, points) < 1


@pytest.mark.parametrize("name", PEERS)
def test_an_environment_without_the_program_is_refused_before_anything_runs(name):
    module = {"elastix": "itk", "convexadam": "convexAdam", "fireants": "fireants"}[name]
    if find_spec(module):
        pytest.skip(f"{module} is installed here")
    with pytest.raises(DiffuseMorphError) as refused:
        peer_methods([name], {name: sys.executable}, 3, 1)
    said = str(refused.value)
    assert f"-m pip install {PEERS[name].distribution}" in said and sys.executable in said and "\n" not in said


def test_what_is_wrong_with_an_environment_is_said(tmp_path, demons, oblique_pair):
    with pytest.raises(DiffuseMorphError, match="--peer-python elastix=PATH"):
        peer_methods(["elastix"], {}, 3, 1)
    with pytest.raises(DiffuseMorphError, match="3-D images, and these are 2-D"):
        peer_methods(["convexadam"], {"convexadam": sys.executable}, 2, 1)
    with pytest.raises(DiffuseMorphError, match="no Python at .*nowhere"):
        peer_methods(["demons"], {"demons": tmp_path / "nowhere"}, 3, 1)
    method = peer_methods(["demons"], {"demons": sys.executable}, 3, 1)["demons"]
    with pytest.raises(DiffuseMorphError, match=r"demons could not register this pair, saying: The metric is not a"):
        method[1](*oblique_pair[:2], RegistrationOptions(device="cpu", seed=13, align="none"))
    driver = Path(PEERS["demons"].driver)
    driver.write_text("import sys\nsys.exit('no memory left')\n", encoding="utf-8")
    with pytest.raises(DiffuseMorphError, match=r"broke off in .* \(exit code 1\), saying: no memory left"):
        peer_methods(["demons"], {"demons": sys.executable}, 3, 1)


def test_an_environment_is_given_as_its_folder_or_its_python(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "own")], check=True)
    python = interpreter(tmp_path / "own")
    assert interpreter(python) == python and python.parent.parent == tmp_path / "own"
    # It is the environment's own Python, not the one that it leads to.
    told = subprocess.run([python, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True)
    assert Path(told.stdout.strip()).resolve() == (tmp_path / "own").resolve()


def test_the_matrix_of_a_linear_transform():
    transform = sitk.AffineTransform(2)
    transform.SetMatrix((1.1, 0.2, -0.1, 0.9))
    transform.SetTranslation((3.0, -4.0))
    transform.SetCenter((10.0, 20.0))
    there = homogeneous(transform, 2) @ (5.0, 7.0, 1.0)
    assert there == pytest.approx((*transform.TransformPoint((5.0, 7.0)), 1))


def test_a_row_of_a_benchmark(demons, tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    lines = ["person,slice,end_diastole,end_diastole_label,end_systole,end_systole_label"]
    for person in range(7):
        names = [f"p{person}_{kind}.png" for kind in ("ed", "ed_lv", "es", "es_lv")]
        for phase, width in enumerate((120.0, 60.0)):
            image = spots((48, 48), [(24, 24), (12, 36)], (200, 120), width)
            sitk.WriteImage(sitk.GetImageFromArray(image.astype(np.uint8)), str(data / names[2 * phase]))
            label = sitk.GetImageFromArray((image > 80).astype(np.uint8) * 255)
            sitk.WriteImage(label, str(data / names[2 * phase + 1]))
        lines.append(f"p{person},1,{','.join(names)}")
    (data / "pairs.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    page = run_benchmark(
        "heart", data, out, methods="affine,demons", pairs=1, threads=1, peers={"demons": sys.executable}, quiet=True
    )
    assert "| demons | 1 |" in page.read_text(encoding="utf-8")
    rows = {
        name: json.loads(next((out / "cases" / name).glob("*.json")).read_text(encoding="utf-8"))
        for name in ("affine", "demons")
    }
    assert rows["demons"]["dice"] > rows["affine"]["dice"] and rows["demons"]["SimpleITK"]
    assert rows["demons"]["inverse_error"] is None and rows["affine"]["inverse_error"] is not None


def test_the_option_of_the_command_line(tmp_path, capsys):
    where = ["heart", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--methods", "elastix"]
    with pytest.raises(SystemExit) as stop:
        main([*where, "--peer-python", "elastic=/somewhere"])
    assert stop.value.code == 2 and "'elastic=/somewhere' is not NAME=PATH" in capsys.readouterr().err
    assert main([*where, "--peer-python", f"elastix={tmp_path / 'gone'}"]) == 1
    assert "no Python at" in capsys.readouterr().err and not (tmp_path / "out").exists()
