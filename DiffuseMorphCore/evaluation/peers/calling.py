"""Where other programs' environments are, and calling their drivers on one pair."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.methods import Method, Outcome, alignment
from DiffuseMorphCore.evaluation.peers.exchange import FAILED, MISSING
from DiffuseMorphCore.images import resample_labels
from DiffuseMorphCore.options import RegistrationOptions


@dataclass(frozen=True)
class Peer:
    """Another program: its name in tables, its driver, what to install, where it starts, what it can register.

    `aligns` says that it has a linear alignment of its own, which is used; else it starts from this project's, whose
    seconds are added to its own. `distribution` is what pip calls it.
    """

    title: str
    driver: str
    distribution: str
    aligns: bool
    dimensions: tuple[int, ...] = (2, 3)


PEERS = {
    "elastix": Peer("elastix, affine and B-spline", "drive_elastix.py", "itk-elastix", True),
    "convexadam": Peer("ConvexAdam, MIND", "drive_convexadam.py", "convexadam", False, (3,)),
    "fireants": Peer("FireANTs, greedy", "drive_fireants.py", "fireants", False),
}
"""Name on the command line -> program."""


def interpreter(place: str | Path) -> Path:
    """The Python of an environment, given as that file or as the environment's folder.

    Raises DiffuseMorphError where there is none.
    """
    place = Path(place).expanduser()
    candidates = [place, place / "bin" / "python", place / "Scripts" / "python.exe"]
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate.absolute()  # not resolved: a virtual environment is known by the link's place
    raise DiffuseMorphError(
        f"There is no Python at '{place}': make an environment with 'python -m venv {place}' and give it with "
        "--peer-python NAME=PATH."
    )


def peer_methods(names: list[str], places: Mapping[str, str | Path], ndim: int, threads: int) -> dict[str, Method]:
    """The rows among `names` that other programs make, by name: their titles and functions.

    Every environment is asked first whether it can import its program, before hours of other rows are run.

    Raises DiffuseMorphError where an environment is not named or not there, lacks its program, or where the program
    cannot register images of `ndim` dimensions.
    """
    found = {}
    for name in names:
        peer = PEERS.get(name)
        if peer is None:
            continue
        if name not in places:
            raise DiffuseMorphError(
                f"The row '{name}' runs in a Python environment of its own, in which {peer.distribution} is installed: "
                f"name it with --peer-python {name}=PATH."
            )
        if ndim not in peer.dimensions:
            raise DiffuseMorphError(
                f"The row '{name}' registers {' and '.join(f'{each}-D' for each in peer.dimensions)} images, "
                f"and these are {ndim}-D: leave it out of --methods."
            )
        python = interpreter(places[name])
        _call(name, python, threads, [])
        found[name] = (peer.title, partial(_register, name, python, threads))
    return found


def _register(
    name: str, python: Path, threads: int, fixed: sitk.Image, moving: sitk.Image, settings: RegistrationOptions
) -> Outcome:
    """One pair by one program. Raises DiffuseMorphError with its last words where it fails."""
    peer = PEERS[name]
    start = None if peer.aligns else alignment(fixed, moving, replace(settings, modality="same"))
    with tempfile.TemporaryDirectory() as folder:
        files = {each: str(Path(folder) / f"{each}.mha") for each in ("fixed", "moving", "aligned", "field")}
        request: dict = {**files, "threads": threads, "seed": settings.seed}
        request["contrast"] = "different" if settings.modality == "different" else "same"
        given = {"fixed": fixed, "moving": moving}
        if start is not None:
            request["start"] = homogeneous(start.transform, fixed.GetDimension()).tolist()
            given["aligned"] = start.move_image()
        for each, image in given.items():
            sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32), files[each])
        asked = Path(folder) / "request.json"
        asked.write_text(json.dumps(request), encoding="utf-8")
        answer = _call(name, python, threads, [str(asked)])
        field = sitk.ReadImage(files["field"], sitk.sitkVectorFloat64)
    transform = sitk.DisplacementFieldTransform(field)
    spent = (0.0, 0.0) if start is None else (start.seconds, start.cpu_seconds)
    return Outcome(
        transform,
        None,
        lambda labels: resample_labels(labels, fixed, transform),
        answer["seconds"] + spent[0],
        answer["peak_gib"],
        details={"stages": {"align": spent[0]}, "versions": answer["versions"]},
        cpu_seconds=answer["cpu_seconds"] + spent[1],
    )


def homogeneous(transform: sitk.Transform, ndim: int) -> np.ndarray:
    """The (ndim + 1, ndim + 1) matrix in mm of a linear transform."""
    matrix = np.eye(ndim + 1)
    matrix[:ndim, ndim] = transform.TransformPoint([0.0] * ndim)
    for axis, unit in enumerate(np.eye(ndim)):
        matrix[:ndim, axis] = np.subtract(transform.TransformPoint(unit.tolist()), matrix[:ndim, ndim])
    return matrix


def _call(name: str, python: Path, threads: int, arguments: list[str]) -> dict:
    """Run a driver and give its answer."""
    peer = PEERS[name]
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    for key in ("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        environment[key] = str(threads)
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    driver = Path(__file__).parent / peer.driver
    job = subprocess.run(
        [str(python), str(driver), *arguments], env=environment, capture_output=True, text=True, check=False
    )
    said = (job.stderr.strip() or "nothing").splitlines()[-1]
    if job.returncode == MISSING:
        raise DiffuseMorphError(
            f"The row '{name}' cannot run in '{python}' ({said}): install {peer.distribution} there with "
            f"'{python} -m pip install {peer.distribution}'."
        )
    if job.returncode == FAILED:
        raise DiffuseMorphError(f"{peer.title} could not register this pair, saying: {said}")
    try:
        if job.returncode:
            raise ValueError(said)
        return json.loads(job.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise DiffuseMorphError(
            f"The driver of the row '{name}' broke off in '{python}' (exit code {job.returncode}), saying: {said}"
        ) from error
