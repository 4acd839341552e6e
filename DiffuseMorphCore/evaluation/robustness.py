"""Success rates under known disturbances of the moving image, for any of the benchmark's methods."""

from __future__ import annotations

import zlib
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from tqdm import tqdm

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.benchmark import BENCHMARKS, mixed
from DiffuseMorphCore.evaluation.datasets import ScanPair, open_data_set
from DiffuseMorphCore.evaluation.datasets.geometry import resize
from DiffuseMorphCore.evaluation.disturbances import DISTURBANCES, Disturbance
from DiffuseMorphCore.evaluation.machine import machine
from DiffuseMorphCore.evaluation.methods import METHODS, chosen_methods
from DiffuseMorphCore.evaluation.metrics import dice
from DiffuseMorphCore.evaluation.records import Records
from DiffuseMorphCore.evaluation.report import facts, markdown_table
from DiffuseMorphCore.images import resample_labels
from DiffuseMorphCore.options import RegistrationOptions

LIMIT = 2.0


def centroids(labels: sitk.Image, structures: dict[int, str]) -> dict[int, np.ndarray]:
    """Centre of each structure that the labels hold, in mm."""
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.Execute(sitk.Cast(labels, sitk.sitkUInt16))
    return {label: np.array(shapes.GetCentroid(label)) for label in structures if shapes.HasLabel(label)}


def centroid_error(
    fixed: dict[int, np.ndarray], moved: dict[int, np.ndarray], transform: sitk.Transform, moving: dict[int, np.ndarray]
) -> float:
    """Mean distance in mm between the centres of the structures in the fixed labels and in the moved ones.

    A structure that got lost on the way counts with the distance of its fixed centre, transformed, from its centre in
    `moving`; only structures that both `fixed` and `moving` hold count.
    """
    return float(
        np.mean(
            [
                np.linalg.norm(
                    moved[label] - centre
                    if label in moved
                    else np.array(transform.TransformPoint(centre.tolist())) - moving[label]
                )
                for label, centre in fixed.items()
                if label in moving
            ]
        )
    )


def coarser(image: sitk.Image, spacing: float | None) -> sitk.Image:
    """The image on voxels of about `spacing` mm, nowhere finer than they are, for a quicker run; None leaves it."""
    if spacing is None:
        return image
    size = [min(side, max(1, round(side * step / spacing))) for side, step in zip(image.GetSize(), image.GetSpacing())]
    return resize(image, size, sitk.sitkLinear)


def run_disturbed(
    method: str,
    pair: ScanPair,
    disturbance: Disturbance,
    structures: dict[int, str],
    settings: RegistrationOptions,
    spacing: float | None = None,
) -> dict:
    """Disturb the moving image, register at `spacing`, and measure how far the structures' centres end from those of
    the fixed image, and the mean Dice. The labels are moved as drawn, whatever was cut from the image.

    Structures whose centre is no longer in the image do not count. A method that fails gives an infinite error.
    """
    random = np.random.default_rng(zlib.crc32(f"{pair.name} {disturbance.name}".encode()))
    changed, places = disturbance.change(pair.moving.image(), random)
    fixed = centroids(pair.fixed.labels(), structures)
    moving = {}
    for label, centre in centroids(pair.moving.labels(), structures).items():
        moved = np.array(places.TransformPoint(centre.tolist()))
        index = np.array(changed.TransformPhysicalPointToContinuousIndex(moved.tolist()))
        if ((index >= -0.5) & (index < np.array(changed.GetSize()) - 0.5)).all():
            moving[label] = moved
    row = {"case": pair.name, "method": method, "disturbance": disturbance.name, "structures": len(moving)}
    try:
        outcome = METHODS[method][1](coarser(pair.fixed.image(), spacing), coarser(changed, spacing), settings)
    except (DiffuseMorphError, RuntimeError) as error:
        return {**row, "error_mm": float("inf"), "said": str(error).splitlines()[0]}
    # From the fixed image to the disturbed one, and from there to where the labels were drawn.
    back = sitk.CompositeTransform([places.GetInverse(), outcome.transform])
    target, source = pair.fixed.labels(), pair.moving.labels()
    moved = resample_labels(source, target, back)
    scores = dice(
        sitk.GetArrayViewFromImage(target), sitk.GetArrayViewFromImage(moved), sorted(set(fixed) & set(moving))
    )
    return {
        **row,
        "error_mm": centroid_error(fixed, centroids(moved, structures), outcome.transform, moving),
        "dice": float(np.mean(list(scores.values()))),
        "seconds": outcome.seconds,
    }


def success_limits(rows: list[dict]) -> dict[tuple[str, str], float]:
    """(method, case) -> the error, in mm, below which a registration is a success: `LIMIT` times the method's own error
    on the undisturbed pair, or `LIMIT` mm. Who fails undisturbed is held to the best of the methods instead.
    """
    rest = {(row["method"], row["case"]): row["error_mm"] for row in rows if row["disturbance"] == "none"}
    limits = {}
    for (method, case), error in rest.items():
        best = max(1.0, min(other for (_, name), other in rest.items() if name == case))
        limits[method, case] = LIMIT * max(1.0, error if error <= LIMIT * best else best)
    return limits


def run_robustness(
    command: str,
    folder: str | Path,
    out: str | Path,
    *,
    methods: str = "network+refine,zero,syn",
    pairs: int | None = 5,
    spacing: float | None = None,
    settings: RegistrationOptions = RegistrationOptions(),
    threads: int = 2,
    quiet: bool = False,
) -> Path:
    """Register pairs under every disturbance; writes `cases.csv` and `robustness.md` into `out`, and can be resumed.

    command : "brain", "hippocampus" or "heart", the benchmarks with labels. spacing : the disturbed
    images are brought to voxels of so many mm, for every method alike. When a registration succeeds is said at
    `success_limits`. Returns the path of the page. Raises DiffuseMorphError for missing data or methods.
    """
    data_set = open_data_set(BENCHMARKS[command], folder)
    names = chosen_methods(methods)
    cases = mixed(data_set.pairs("validation"))[:pairs]
    records = Records(
        out,
        {
            "robustness": command,
            "voxels": "as scanned" if spacing is None else f"{spacing:g} mm",
            **settings.to_dict(),
            "threads": threads,
        },
    )
    rows = []
    jobs = [(pair, kind, name) for pair in cases for kind in DISTURBANCES for name in names]
    for pair, kind, name in tqdm(jobs, desc=command, unit="registration", disable=quiet):
        make = partial(run_disturbed, name, pair, kind, data_set.structures, settings, spacing)
        rows.append(records.row((name, kind.name, pair.name), make))
    records.write_csv("cases.csv", rows)
    limits = success_limits(rows)
    lines = []
    for kind in DISTURBANCES:
        line = [kind.name]
        for name in names:
            found = [row for row in rows if row["method"] == name and row["disturbance"] == kind.name]
            succeeded = sum(row["error_mm"] < limits[name, row["case"]] for row in found)
            line.append(
                f"{succeeded}/{len(found)} ({np.median([row['error_mm'] for row in found]):.1f} mm, "
                f"{np.mean([row.get('dice', 0.0) for row in found]):.3f})"
            )
        lines.append(line)
    table = markdown_table(["disturbance", *(METHODS[name][0] for name in names)], lines)
    information = {**records.settings, "pairs": len(cases), **machine()}
    return records.write_text(
        "robustness.md",
        "\n\n".join(
            [
                f"# Robustness: {command}",
                table,
                "Successes (median error, mean Dice of the structures that are in the image). Error: mean distance in "
                f"{data_set.length_unit} between the centres of the structures in the moved and in the fixed "
                f"labels. Success: below {LIMIT:g} times the same method's error "
                f"on the same pair undisturbed, or {LIMIT:g} {data_set.length_unit}. A method that is "
                "undisturbed more than "
                f"{LIMIT:g} times as far off as the best one is held to that one's error. The same random "
                "direction, axis or "
                "place is used for all methods. SyN starts from its own defaults: centres of mass matched, "
                "then an affine "
                "search.",
                "## Measured on",
                facts(information),
            ]
        )
        + "\n",
    )
