"""Commands drawn at random: each is refused in one sentence with nothing written, or all it wrote is right."""

from __future__ import annotations

import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from DiffuseMorphCore.command_line import main

FEW = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
QUICK = ["--model", "none", "--device", "cpu", "--threads", "1"]


@pytest.fixture(scope="module")
def pairs(pair_2d, pair_3d) -> dict[int, tuple[sitk.Image, sitk.Image]]:
    """(fixed, moving) by dimension, on half the grid: quick, and bent by 1.5 to 2 voxels."""
    return {n: tuple(sitk.BinShrink(image, [2] * n) for image in pair) for n, pair in ((2, pair_2d), (3, pair_3d))}


def listing(folder: str) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in Path(folder).rglob("*")}


def ran(arguments: list[str]) -> tuple[int, str]:
    """Exit code and what stands on stderr."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as errors:
        return main(arguments), errors.getvalue()


def is_one_sentence(text: str) -> bool:
    last = text.rstrip("\n").rsplit("\n", 1)[-1]
    return last.startswith("diffusemorph") and last.endswith(".") and "Traceback" not in text and "sitk::" not in text


def stored(folder: str, name: str, image: sitk.Image, kind: int, form: str, turned: bool) -> str:
    """The image in a file, perhaps with its axes permuted and flipped in the array."""
    typed = sitk.Cast(sitk.RescaleIntensity(image, 0, 200), kind)
    if turned:
        n = image.GetDimension()
        typed = sitk.PermuteAxes(typed, [1, 0, 2][:n])
        typed = sitk.Flip(typed, [True] + [False] * (n - 1))
    path = f"{folder}/{name}{form}"
    sitk.WriteImage(typed, path)
    return path


def points_of(path: Path) -> np.ndarray:
    return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)


@FEW
@given(
    n=st.sampled_from([2, 3]),
    kinds=st.lists(st.sampled_from([sitk.sitkUInt8, sitk.sitkInt16, sitk.sitkFloat32]), min_size=2, max_size=2),
    forms=st.lists(st.sampled_from([".nrrd", ".mha", ".nii.gz", ".mhd"]), min_size=2, max_size=2),
    turned=st.booleans(),
    align=st.sampled_from(["none", "rigid", "affine"]),
    refine=st.sampled_from(["5", "12"]),
    masked=st.booleans(),
    trajectory=st.sampled_from(["anchored", "faithful"]),
    eta=st.sampled_from(["0", "0.5", "1"]),
    written=st.sampled_from(["itk", "ants"]),
)
def test_a_pair_is_registered_and_its_result_applied(
    pairs, n, kinds, forms, turned, align, refine, masked, trajectory, eta, written
):
    """``apply`` makes of the moving image what ``register`` made, and points that go there and back come home."""
    forms = [".nrrd" if n == 2 and form == ".nii.gz" else form for form in forms]
    with tempfile.TemporaryDirectory() as folder:
        fixed, moving = pairs[n]
        names = [
            stored(folder, "fixed", fixed, kinds[0], forms[0], False),
            stored(folder, "moving", moving, kinds[1], forms[1], turned),
        ]
        out = f"{folder}/out"
        more = ["--align", align, "--refine", refine, "--trajectory", trajectory, "--eta", eta, "--format", written]
        if masked:
            mask = sitk.Image(fixed.GetSize(), sitk.sitkUInt8) + 1
            mask.CopyInformation(fixed)
            sitk.WriteImage(mask, f"{folder}/mask.nrrd")
            more += ["--fixed-mask", f"{folder}/mask.nrrd"]
        code, text = ran(["register", *names, "-o", out, *QUICK, *more])
        assert code == 0, text
        moved = next(Path(out).glob("moved.*"))
        reached = sitk.GetArrayFromImage(sitk.ReadImage(str(moved))).astype(float)
        expected = sitk.GetArrayFromImage(sitk.RescaleIntensity(fixed, 0, 200))
        start = sitk.GetArrayFromImage(sitk.RescaleIntensity(moving, 0, 200))
        bound = {"0": 1.1, "0.5": 1.0, "1": 0.8}[eta]
        assert np.abs(reached - expected).mean() <= bound * np.abs(start - expected).mean()

        xyz = np.random.default_rng(1).uniform(-14, 14, (20, n))
        head = ",".join("xyz"[:n])
        np.savetxt(f"{folder}/points.csv", xyz, delimiter=",", header=head, comments="")
        code, text = ran(["apply", out, "--to", names[1], f"{folder}/points.csv", "-o", f"{folder}/carried"])
        assert code == 0, text
        again = next(path for path in Path(folder, "carried").glob("moving_moved*") if path.suffix != ".raw")
        image = sitk.ReadImage(str(again))
        assert image.GetSize() == fixed.GetSize()
        assert np.abs(sitk.GetArrayFromImage(image).astype(float) - reached).max() <= 1.0  # whole numbers may round
        back = ["apply", out, "--inverse", "--to", f"{folder}/carried/points_moved.csv", "-o", f"{folder}/back.csv"]
        code, text = ran(back)
        assert code == 0, text
        assert np.linalg.norm(points_of(Path(folder, "back.csv")) - xyz, axis=1).max() <= 0.3


BAD_FILES = {
    "absent": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no image"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 3]),
    "folder": lambda path: (path.unlink(), path.mkdir()),
}
WRONG = [
    ["--refine", "-1"],
    ["--eta", "1.5"],
    ["--threads", "0"],
    ["--device", "banana"],
    ["--restrict", "q"],
    ["--guide-weight", "nan"],
    ["--intensity-range", "5", "1"],
    ["--quality", "superb"],
    ["--keyframes", "1"],
    ["--moving-labels"],
    ["--nonsense"],
]


@MANY
@given(
    n=st.sampled_from([2, 3]),
    verb=st.sampled_from(["register", "apply", "synthesize"]),
    which=st.integers(0, 1),
    fault=st.sampled_from(sorted(BAD_FILES)),
)
def test_a_spoilt_file_is_refused_by_every_verb(pairs, n, verb, which, fault):
    with tempfile.TemporaryDirectory() as folder:
        names = [stored(folder, each, pairs[n][0], sitk.sitkInt16, ".nrrd", False) for each in ("one", "two")]
        sitk.WriteTransform(sitk.TranslationTransform(n, [1.0] * n), f"{folder}/shift.tfm")
        files = [f"{folder}/shift.tfm", names[1]] if verb == "apply" else names
        BAD_FILES[fault](Path(files[which]))
        before = listing(folder)
        command = {
            "register": ["register", *names, "-o", f"{folder}/out", *QUICK],
            "apply": ["apply", files[0], "--to", names[1], "--like", names[0], "-o", f"{folder}/out.nrrd"],
            "synthesize": ["synthesize", *names, "-o", f"{folder}/out.nrrd", "--device", "cpu"],
        }[verb]
        code, text = ran(command)
        assert code == 1 and is_one_sentence(text), text
        assert Path(files[which]).name in text and listing(folder) == before


@MANY
@given(wrong=st.sampled_from(WRONG), before_the_files=st.booleans())
def test_arguments_that_make_no_sense_end_with_code_2(pairs, wrong, before_the_files):
    with tempfile.TemporaryDirectory() as folder:
        names = [stored(folder, each, pairs[2][0], sitk.sitkInt16, ".nrrd", False) for each in ("one", "two")]
        before = listing(folder)
        files = [*names, "-o", f"{folder}/out"]
        command = ["register", *wrong, *files] if before_the_files and len(wrong) > 1 else ["register", *files, *wrong]
        code, text = ran(command)
        assert code == 2 and is_one_sentence(text), text
        assert listing(folder) == before
