"""Where the time of a registration goes, beside the least that moving the bytes or doing the sums would take here.

See :mod:`DiffuseMorphCore.evaluation.lower_bounds`. A ratio of 1 cannot be beaten by the same method on the same
machine.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import SimpleITK as sitk
import torch

from DiffuseMorphCore.devices import choose_device
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.lower_bounds import (
    Rates,
    Row,
    measure_rates,
    network_operations,
    refinement_volumes,
    timed,
    visited_volumes,
)
from DiffuseMorphCore.evaluation.machine import load, machine
from DiffuseMorphCore.evaluation.records import Records
from DiffuseMorphCore.evaluation.report import facts, markdown_table

CHECKED_ETAS = 11
_SYN = """import sys, ants
fixed, moving = (ants.image_read(path) for path in sys.argv[1:3])
ants.config.set_ants_deterministic(on=False, seed_value=1)
result = ants.registration(fixed, moving, "SyN", outprefix=sys.argv[3] + "/syn")
ants.image_write(result["warpedmovout"], sys.argv[3] + "/moved.nii.gz")
"""
"""What a user of antspyx writes for the same purpose; the transforms and their inverse become files by themselves."""


def stage_rows(fixed: Path, moving: Path, model: str | None, device: str, rates: Rates, repeats: int) -> list[Row]:
    """Every stage from reading to writing, the fastest of `repeats` registrations."""
    from DiffuseMorphCore.images import read_image, write_image
    from DiffuseMorphCore.networks import load_model
    from DiffuseMorphCore.previews import save_preview
    from DiffuseMorphCore.registration import register
    from DiffuseMorphCore.registration.predict import pass_shapes
    from DiffuseMorphCore.registration.presets import PRESETS
    from DiffuseMorphCore.registration.refine import plan
    from DiffuseMorphCore.transforms import write_transform

    target, processor = choose_device(device), torch.device("cpu")
    images = [read_image(path) for path in (fixed, moving)]
    reading = timed(lambda: [read_image(path) for path in (fixed, moving)], processor, repeats)
    loading = timed(lambda: load_model(model, target, images[0].GetDimension()), target, repeats) if model else 0.0
    network = load_model(model, target, images[0].GetDimension()) if model else None
    best: dict[str, float] = {}
    for _ in range(repeats):
        told: list[float] = []
        result = register(
            *images,
            model=network,
            device=device,
            progress=lambda stage, done: told.append(done) if stage == "refine" else None,
        )
        for stage, seconds in result.report["seconds"].items():
            best[stage] = min(seconds, best.get(stage, math.inf))
    whole, size = sum(best.values()), [image.GetNumberOfPixels() * image.GetSizeOfPixelComponent() for image in images]
    voxels = [image.GetNumberOfPixels() for image in images]
    working, ndim = tuple(reversed(result.report["grids"]["working"])), images[0].GetDimension()
    field = 4 * ndim * math.prod(result.grid.shape)
    visits = plan(working, *PRESETS["default"].settings("auto", working)).visits
    shapes, volumes = [visit.shape for visit in visits], [refinement_volumes(ndim, 1.0)] * len(visits)
    refined = visited_volumes(told[:-1], shapes, [visit.steps for visit in visits], volumes)
    operations = network_operations(network, pass_shapes(network, working)[0], len(result.etas)) if network else 0

    def moved(count: float) -> float:
        return count / rates.bytes

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        image = result.warp()
        writing = timed(lambda: write_image(image, place / "moved.nii.gz"), processor, repeats)
        transforms = timed(lambda: write_transform(result.transform(), place / "transform.h5"), processor, repeats)
        written = (place / "transform.h5").stat().st_size
        drawing = timed(lambda: save_preview(result, place / "preview.png"), processor, repeats)
    rows = [
        Row("read both images", reading, moved(sum(size)), "their voxels, written once"),
        Row("load the model", loading, None, "") if model else None,
        Row(
            "prepare",
            best["prepare"],
            moved(sum(size) + 4 * sum(voxels) + 8 * 2 * math.prod(working)),
            "both images read and written as floats, and the working grid read and written",
        ),
        Row(
            "align",
            best["align"],
            moved(4 * sum(voxels)),
            "both images read once; the search itself has no lower bound",
        ),
        Row("predict", best["predict"], operations / rates.operations, f"{operations / 1e9:.0f} GFLOP of the networks")
        if network
        else None,
        Row(
            "refine",
            best["refine"],
            moved(4 * refined),
            f"{volumes[-1]:.0f} volumes in each of {refined / volumes[-1] / math.prod(working):.0f} steps on "
            "the finest "
            "grid, or coarser ones worth as much",
        ),
        Row(
            "deliver",
            best["deliver"],
            moved((2 * CHECKED_ETAS + 1) * field),
            f"the neighbouring keyframes read at {CHECKED_ETAS} etas, the last one once more",
        ),
        Row("registration", whole, None, "the five stages above"),
        Row(
            "moved image",
            timed(result.warp, processor, repeats),
            moved(sum(size) + 2 * field),
            "image and field read, image written",
        ),
        Row(
            "inverse transform",
            timed(result.inverse_transform, processor, repeats),
            moved(3 * field),
            "field read, inverse written in 64 bits",
        ),
        Row("write the moved image", writing, moved(2 * size[0]), "read and written, not compressed"),
        Row("write one transform", transforms, moved(2 * written), "read and written"),
        Row("draw the preview", drawing, None, ""),
    ]
    return [row for row in rows if row is not None]


def command_rows(
    fixed: Path, moving: Path, model: str | None, device: str, threads: int, repeats: int, syn: bool
) -> list[Row]:
    """What a user waits for: start-up alone, and the whole command in a process of its own; with `syn`, beside a
    program that does the same with antspyx (run once).
    """
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        ),
    }

    def run(*arguments: str) -> None:
        job = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
        if job.returncode:
            raise DiffuseMorphError(f"The command failed, saying: {(job.stderr.strip() or 'nothing').splitlines()[-1]}")

    processor = torch.device("cpu")
    libraries = timed(lambda: run("-c", "import torch, SimpleITK"), processor, repeats)
    start_up = timed(
        lambda: run("-c", "import DiffuseMorphCore.command_line.result_files, DiffuseMorphCore.previews"),
        processor,
        repeats,
    )
    with tempfile.TemporaryDirectory() as folder:
        command = timed(
            lambda: run(
                "-m",
                "DiffuseMorphCore",
                "register",
                str(fixed),
                str(moving),
                "--output",
                str(Path(folder) / "result"),
                "--overwrite",
                "--model",
                model or "none",
                "--device",
                device,
            ),
            processor,
            repeats,
        )
        rows = [
            Row("start-up", start_up, libraries, "Python with torch and SimpleITK, nothing of ours"),
            Row("the whole command", command, None, "start-up, reading, registration, previews and writing"),
        ]
        if syn:
            peer = timed(lambda: run("-c", _SYN, str(fixed), str(moving), folder), processor, 1)
            rows.append(Row("the same with ANTs SyN", peer, None, f"ours takes {command / peer:.2f} of its time"))
    return rows


def run_speed(
    out: str | Path,
    *,
    fixed: str | Path | None = None,
    moving: str | Path | None = None,
    data: str | Path | None = None,
    model: str | None = "default",
    device: str = "auto",
    threads: int = 2,
    repeats: int = 3,
    syn: bool = False,
) -> Path:
    """Time one registration stage by stage: of the images given, of a training pair of the labelled OASIS brains in
    `data`, or of the two brains that come with the package.

    Writes `speed.csv` and `speed.md` into `out` and returns the path of the page. Raises DiffuseMorphError where only
    one image is given, an image cannot be read, the command fails, or SyN is asked for without antspyx.
    """
    from DiffuseMorphCore.sample_pair import sample_pair

    if (fixed is None) != (moving is None):
        raise DiffuseMorphError("Only one image was given: give both --fixed and --moving, or neither.")
    if syn and not find_spec("ants"):
        raise DiffuseMorphError("ANTs SyN needs the package antspyx: install it, or leave out --syn.")
    pair = (Path(fixed), Path(moving)) if fixed and moving else _training_pair(Path(data)) if data else sample_pair()
    target = choose_device(device)
    rates, busy = measure_rates(target), load()
    rows = stage_rows(*pair, model, device, rates, repeats) + command_rows(*pair, model, device, threads, repeats, syn)
    records = Records(
        out, {"pair": [path.name for path in pair], "model": model, "device": str(target), "threads": threads}
    )
    records.write_csv("speed.csv", [asdict(row) for row in rows])
    table = markdown_table(
        ["stage", "seconds", "lower bound (s)", "seconds / bound", "what the bound counts"],
        [row.cells() for row in rows],
    )
    size = sitk.ReadImage(str(pair[0])).GetSize()
    information = {
        **records.settings,
        "fixed image": "×".join(map(str, size)),
        "copying memory": f"{rates.bytes / 1e9:.1f} GB/s, read and written",
        "matrix product": f"{rates.operations / 1e9:.0f} GFLOP/s",
        "repeats": repeats,
        "load before": f"{busy:.1f}",
        **machine(),
    }
    return records.write_text(
        "speed.md",
        "\n\n".join(
            [
                "# Speed of a registration",
                table,
                f"The fastest of {repeats} runs each.",
                "## Measured on",
                facts(information),
            ]
        )
        + "\n",
    )


def _training_pair(folder: Path) -> tuple[Path, Path]:
    pair = folder / "1000_t1.nii.gz", folder / "1001_t1.nii.gz"
    for path in pair:
        if not path.is_file():
            raise DiffuseMorphError(f"There is no file '{path}': give the folder of the labelled OASIS brains.")
    return pair
