"""The product against ANTs SyN on real images: the same pairs, the same run, the same scoring for every method."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import SimpleITK as sitk
import torch
from tqdm import tqdm

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation import metrics
from DiffuseMorphCore.evaluation.datasets import DataSet, ScanPair, open_data_set
from DiffuseMorphCore.evaluation.machine import load, machine
from DiffuseMorphCore.evaluation.methods import CONTROL, METHODS, NEED_MODEL, USUAL, Method, Outcome, chosen_methods
from DiffuseMorphCore.evaluation.peers.calling import PEERS, peer_methods
from DiffuseMorphCore.evaluation.records import Records
from DiffuseMorphCore.evaluation.report import Column, comparison, facts
from DiffuseMorphCore.networks.model_file import available_models, default_model
from DiffuseMorphCore.options import RegistrationOptions
from DiffuseMorphCore.warp.folding import folding, jacobian_determinant

BENCHMARKS = {
    "brain": "brain-oasis",
    "contrast": "brain-t1-flair",
    "hippocampus": "hippocampus",
    "heart": "heart-cine",
    "lung": "lung-ct",
}
"""Command -> data set."""

ETAS = tuple(np.linspace(0, 1, 11))

COLUMNS = (
    Column("dice", "Dice", with_worst=True),
    Column("hd95", "HD95 (mm)", 2, higher_is_better=False),
    Column("tre", "landmark error (mm)", 2, higher_is_better=False, with_spread=False),
    Column("tre_median", "its median (mm)", 2, higher_is_better=False, with_spread=False),
    Column("folded", "folded voxels (%)", 5, higher_is_better=False, scale=100, with_spread=False),
    Column("folded_etas", "the same, worst of 11 etas (%)", 5, higher_is_better=False, scale=100, with_spread=False),
    Column("sd_log_jacobian", "SD log J", 3, higher_is_better=False, with_spread=False),
    Column("inverse_error", "inverse after forward (voxels)", 3, higher_is_better=False, with_spread=False),
    Column("seconds", "seconds", 1, higher_is_better=False),
    Column("cpu_seconds", "seconds of the processor", 1, higher_is_better=False),
    Column("seconds_inverse", "more for the inverse", 1, higher_is_better=False, with_spread=False),
    Column("peak_gib", "peak memory (GiB)", 2, higher_is_better=False, with_spread=False),
)


def folded_share(transform: sitk.Transform, grid: sitk.Image) -> tuple[float, float, np.ndarray]:
    """Share of folded voxels by the ten-determinant rule on the whole `grid`, the smallest of the ten
    determinants, and the determinant by central differences at every voxel.

    A linear part of positive determinant scales all ten determinants alike, so it changes no sign: transforms with
    and without their alignment are judged equally.
    """
    field = torch.from_numpy(metrics.voxel_displacement(metrics.displacement_field(transform, grid)))[None]
    counted = folding(field)
    return counted.share, counted.minimum, jacobian_determinant(field)[0, 0].numpy()


def score(
    outcome: Outcome,
    pair: ScanPair,
    fixed: sitk.Image,
    moving: sitk.Image,
    structures: dict[int, str],
    with_surfaces: bool,
    with_etas: bool,
) -> dict:
    """Every measure of one outcome, as a flat row; `label_N` columns hold the Dice of each structure."""
    row: dict = {}
    fixed_labels, moving_labels = pair.fixed.labels(), pair.moving.labels()
    mask = np.ones(fixed.GetSize()[::-1], bool)
    if fixed_labels is not None and moving_labels is not None:
        target, source = (sitk.GetArrayFromImage(labels) for labels in (fixed_labels, moving_labels))
        warped = sitk.GetArrayFromImage(outcome.move_labels(moving_labels))
        shared = metrics.shared_labels(target, source, structures)
        scores = metrics.dice(target, warped, shared)
        row.update(dice=float(np.mean(list(scores.values()))), labels=len(shared))
        mask = target > 0
        if with_surfaces:
            distances = [
                metrics.surface_distance_95(target, warped, label, fixed_labels.GetSpacing()[::-1]) for label in shared
            ]
            row["hd95"] = float(np.nanmean(distances)) if np.isfinite(distances).any() else None
        row.update({f"label_{label}": value for label, value in scores.items()})
    points = pair.fixed.landmarks(), pair.moving.landmarks()
    if points[0] is not None:
        inside = metrics.points_inside(fixed, points[0]) & metrics.points_inside(moving, points[1])
        errors = metrics.landmark_errors(outcome.transform, points[0][inside], points[1][inside])
        row.update(
            tre=float(errors.mean()),
            tre_median=float(np.median(errors)),
            tre_max=float(errors.max()),
            landmarks=int(inside.sum()),
        )
    share, minimum, determinant = folded_share(outcome.transform, fixed)
    row.update(
        folded=share,
        smallest_determinant=minimum,
        sd_log_jacobian=metrics.sd_log_jacobian(determinant, mask),
        inverse_error=None
        if outcome.inverse is None
        else metrics.inverse_error(outcome.transform, outcome.inverse, fixed, mask),
    )
    if with_etas and outcome.at is not None:
        row["folded_etas"] = max(folded_share(outcome.at(float(eta)), fixed)[0] for eta in ETAS)
    return row


def other_contrast(image: sitk.Image, gamma: float = 0.6) -> sitk.Image:
    """The image with inverted, gamma-changed contrast inside its foreground (values above 0); outside stays 0."""
    array = sitk.GetArrayFromImage(image).astype(np.float32)
    inside = array > 0
    top = float(np.percentile(array[inside], 99.5)) if inside.any() else 1.0
    changed = np.where(inside, 0.05 + (1 - np.clip(array / top, 0, 1)) ** gamma, 0) * top
    result = sitk.GetImageFromArray(changed.astype(np.float32))
    result.CopyInformation(image)
    return result


def run_case(
    method: str,
    pair: ScanPair,
    data_set: DataSet,
    settings: RegistrationOptions,
    contrast: str,
    with_etas: bool = True,
    methods: Mapping[str, Method] = METHODS,
) -> dict:
    """Register one pair by one of the `methods` and score it; `with_etas`: count the folds of what users get at every
    eta too.
    """
    fixed, moving = pair.fixed.image(), pair.moving.image()
    given = other_contrast(moving) if contrast == "inverted" else moving
    busy = load()
    outcome: Outcome = methods[method][1](fixed, given, settings)
    row = {
        "case": pair.name,
        "method": method,
        "seconds": outcome.seconds,
        "cpu_seconds": outcome.cpu_seconds,
        "peak_gib": outcome.peak_gib or None,
        "load_before": busy,
    }
    row.update(outcome.details.get("versions", {}))
    row.update({f"seconds_{stage}": value for stage, value in outcome.details.get("stages", {}).items()})
    small = fixed.GetNumberOfPixels() < 500_000
    row.update(
        score(outcome, pair, fixed, moving, data_set.structures, small, with_etas and method == "network+refine")
    )
    return row


def run_benchmark(
    command: str,
    folder: str | Path,
    out: str | Path,
    *,
    methods: str | None = None,
    pairs: int | None = None,
    settings: RegistrationOptions = RegistrationOptions(),
    contrast: str = "same",
    threads: int = 2,
    peers: Mapping[str, str | Path] = MappingProxyType({}),
    quiet: bool = False,
) -> Path:
    """Run one benchmark and write `cases.csv` and `table.md` into `out`; what is there already is not run again.

    Parameters
    ----------
    command : a key of `BENCHMARKS`.
    methods : comma-separated keys of `METHODS` and `PEERS`, in the order of the table; `USUAL` and the given peers if
        None.
    pairs : only so many pairs, of different people as far as possible.
    contrast : `"inverted"` gives every method the moving image with inverted contrast.
    peers : key of `PEERS` -> the Python environment in which that program is installed.

    Returns the path of the table. Raises DiffuseMorphError for missing data or methods.
    """
    data_set = open_data_set(BENCHMARKS[command], folder)
    wanted = chosen_methods(methods or ",".join((*USUAL, *peers)), PEERS)
    known = METHODS | peer_methods(wanted, peers, data_set.ndim, threads)
    names, left_out = with_model(wanted, settings.model, data_set.ndim)
    cases = mixed(data_set.pairs("validation"))[:pairs]
    if not names:
        raise DiffuseMorphError(f"{left_out} Give a model with --model, or other rows with --methods.")
    if not cases:
        raise DiffuseMorphError("There is no pair to register: --pairs has to be at least 1.")
    records = Records(out, {"benchmark": command, "contrast": contrast, **settings.to_dict(), "threads": threads})
    rows: dict[str, list[dict]] = {name: [] for name in names}
    jobs = [(pair, name) for pair in cases for name in names]
    for pair, name in tqdm(jobs, desc=command, unit="registration", disable=quiet):
        make = partial(run_case, name, pair, data_set, settings, contrast, methods=known)
        rows[name].append(records.row((name, pair.name), make))
    records.write_csv("cases.csv", [row for name in names for row in rows[name]])
    return records.write_text("table.md", benchmark_page(command, data_set, rows, records.settings, left_out))


def mixed(pairs: list[ScanPair]) -> list[ScanPair]:
    """All pairs in an order in which the first few show many people; always the same, so that a run can be extended."""
    step = max(1, round(0.37 * len(pairs)))
    while math.gcd(step, len(pairs)) > 1:
        step += 1
    return [pairs[index * step % len(pairs)] for index in range(len(pairs))]


def with_model(names: list[str], model: str, ndim: int) -> tuple[list[str], str]:
    """The methods that can run, and a sentence on those that cannot because no model of `ndim` is bundled for them."""
    missing = set(NEED_MODEL) if model == "default" and default_model(ndim) is None else set()
    if CONTROL.format(ndim=ndim) not in [entry.name for entry in available_models()]:
        missing.add("voxelmorph")
    needy = [name for name in names if name in missing]
    if not needy:
        return names, ""
    return (
        [name for name in names if name not in needy],
        f"Not in the table, because this version comes with no model for {ndim}-D images: "
        f"{', '.join(title_of(name) for name in needy)}.",
    )


def title_of(name: str) -> str:
    """What tables call a method."""
    return METHODS[name][0] if name in METHODS else PEERS[name].title


def benchmark_page(
    command: str, data_set: DataSet, rows: dict[str, list[dict]], settings: dict, left_out: str = ""
) -> str:
    """The Markdown page of a benchmark: the table, the ratio of times, and what it was measured on."""
    everything = [row for group in rows.values() for row in group]
    columns = [
        replace(column, heading=column.heading.replace("(mm)", f"({data_set.length_unit})"))
        for column in COLUMNS
        if any(row.get(column.key) is not None for row in everything)
    ]
    if any("dice" in row for row in everything):
        test_key = "dice"
    else:
        test_key = "tre"
    table = comparison(rows, columns, "syn" if "syn" in rows else None, test_key, title_of)
    notes = [
        f"`initial` takes the images as their headers place them; every registration of {data_set.title} is one case.",
        "Mean (standard deviation) over the cases. Dice: nearest-neighbour labels on the fixed grid, mean over "
        "the "
        "structures that both people have. Folded voxels: any of ten determinants not positive, whole fixed grid. "
        "Seconds: registration and moved image, images in memory, nothing written; SyN's hold its inverse too, "
        "which ours makes on demand. p: Wilcoxon signed-rank test.",
    ]
    if left_out:
        notes.insert(0, left_out)
    if "syn" in rows:
        for key, kind in (("seconds", "Time"), ("cpu_seconds", "The processor's time")):
            mean = {name: np.mean([row[key] for row in group]) for name, group in rows.items()}
            ratios = ", ".join(
                f"{title_of(name)} {mean[name] / mean['syn']:.2f}" for name in rows if name not in ("syn", "initial")
            )
            notes.append(f"{kind} as a share of SyN's: {ratios or 'nothing to compare'}.")
    loads = [row["load_before"] for row in everything]
    information = {**settings, **machine(), "load before each registration": f"{min(loads):.1f} to {max(loads):.1f}"}
    return "\n\n".join([f"# Benchmark: {command}", table, *notes, "## Measured on", facts(information)]) + "\n"
