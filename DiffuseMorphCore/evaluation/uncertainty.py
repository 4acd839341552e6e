"""Does the uncertainty mean something? Its rank correlation with how far labels are from where they should be."""

from __future__ import annotations

import time
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from tqdm import tqdm

from DiffuseMorphCore.evaluation.benchmark import BENCHMARKS, mixed
from DiffuseMorphCore.evaluation.boundaries import boundary_distances
from DiffuseMorphCore.evaluation.datasets import ScanPair, open_data_set
from DiffuseMorphCore.evaluation.machine import machine
from DiffuseMorphCore.evaluation.metrics import dice
from DiffuseMorphCore.evaluation.records import Records
from DiffuseMorphCore.evaluation.report import Column, cell, facts, markdown_table
from DiffuseMorphCore.evaluation.robustness import coarser
from DiffuseMorphCore.images import resample_labels
from DiffuseMorphCore.options import RegistrationOptions
from DiffuseMorphCore.registration import Registration, register
from DiffuseMorphCore.registration.predict import drawn_trajectory
from DiffuseMorphCore.registration.uncertainty import summary
from DiffuseMorphCore.warp import resize_displacement

PREDICTORS = {
    "uncertainty": "uncertainty",
    "spread": "spread of the network's fields alone",
    "displacement": "length of the displacement",
}
"""Key in the rows -> name in the table. The last two are what the first has to be better than."""

FIFTHS = 5
PER_STRUCTURE = 400  # boundary voxels of a structure that enter the comparison voxel by voxel
SAMPLES = 4


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's rho, None where one of the two is constant."""
    from scipy.stats import spearmanr

    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)


def network_spread(result: Registration, samples: int = SAMPLES) -> np.ndarray | None:
    """Standard deviation in mm of the network's own field over latents of several noise levels and seeds, without
    refinement: (*spatial) on the registration's grid, None without a model.
    """
    model, grid = result.model, result.region
    if model is None:
        return None
    fields = []
    for sample in range(samples):
        step = sample * len(model.schedule) // (4 * samples)
        field = drawn_trajectory(model, result.pair, grid, step, sample).exact(1.0)
        fields.append(grid.voxels_to_vectors(resize_displacement(field, grid.shape)))
    return np.sqrt(np.var(fields, axis=0, ddof=1).sum(axis=-1))


def predictions(result: Registration, uncertainty: sitk.Image, like: sitk.Image) -> dict[str, np.ndarray]:
    """Each of `PREDICTORS` in mm on the voxels of `like`."""
    images = {"uncertainty": uncertainty, "displacement": result.grid.image(np.linalg.norm(result.vectors(), axis=-1))}
    spread = network_spread(result)
    if spread is not None:
        images["spread"] = result.region.image(spread)
    return {
        name: sitk.GetArrayFromImage(
            sitk.Resample(images[name], like, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32, True)
        )
        for name in PREDICTORS
        if name in images
    }


def compare(
    maps: dict[str, np.ndarray],
    target: np.ndarray,
    moved: np.ndarray,
    structures: dict[int, str],
    spacing: tuple[float, ...],
) -> dict:
    """Maps in mm on the fixed grid against the errors of the moved labels there.

    Returns rank correlations over structures (`NAME_distance`, `NAME_dice`) and over boundary voxels (`NAME_voxels`),
    mean uncertainty, mean distance and share of distances above 3 mm by fifths of the uncertainty, and a list of rows,
    `structures`. Structures that one of the two label maps does not hold are left out.
    """
    found = boundary_distances(target, moved, structures, spacing)
    overlap = dice(target, moved, found)
    random = np.random.default_rng(0)
    rows, distances, at_voxels = [], [], {name: [] for name in maps}
    for label, (index, there, both) in found.items():
        kept = random.choice(len(index), min(len(index), PER_STRUCTURE), replace=False)
        row = {"label": label, "structure": structures[label], "dice": overlap[label], "distance_mm": both}
        distances.append(there[kept])
        for name, values in maps.items():
            here = values[tuple(index.T)]
            row[f"{name}_mm"] = float(here.mean())
            at_voxels[name].append(here[kept])
        rows.append(row)
    distance = np.concatenate(distances)
    case: dict = {"dice": float(column(rows, "dice").mean()), "distance_mm": float(column(rows, "distance_mm").mean())}
    for name in maps:
        mean = column(rows, f"{name}_mm")
        case |= {
            f"{name}_distance": rank_correlation(mean, column(rows, "distance_mm")),
            f"{name}_dice": rank_correlation(mean, 1 - column(rows, "dice")),
            f"{name}_voxels": rank_correlation(np.concatenate(at_voxels[name]), distance),
        }
    uncertain = np.concatenate(at_voxels["uncertainty"])
    for number, fifth in enumerate(np.array_split(np.argsort(uncertain, kind="stable"), FIFTHS), start=1):
        case |= {
            f"fifth_{number}_uncertainty": float(uncertain[fifth].mean()),
            f"fifth_{number}_distance": float(distance[fifth].mean()),
            f"fifth_{number}_far": float((distance[fifth] > 3).mean()),
        }
    return {**case, "structures": rows}


def column(rows: list[dict], key: str) -> np.ndarray:
    """One figure of all rows."""
    return np.array([row[key] for row in rows])


def run_pair(
    pair: ScanPair, structures: dict[int, str], settings: RegistrationOptions, spacing: float | None = None
) -> dict:
    """Register one pair, and compare its uncertainty with the errors of its labels; see :func:`compare`.

    spacing : as for :func:`run_uncertainty`.
    """
    fixed, moving = (coarser(scan.image(), spacing) for scan in (pair.fixed, pair.moving))
    labels = pair.fixed.labels()
    result = register(fixed, moving, **{each.name: getattr(settings, each.name) for each in fields(settings)})
    start = time.perf_counter()
    uncertainty = result.uncertainty(SAMPLES)
    seconds = time.perf_counter() - start
    figures = {f"uncertainty_{name}": value for name, value in summary(uncertainty, fixed).items()}
    moved = resample_labels(pair.moving.labels(), labels, result.transform())
    target, moved = (sitk.GetArrayFromImage(image) for image in (labels, moved))
    return {
        "case": pair.name,
        "seconds_uncertainty": seconds,
        **figures,
        **compare(predictions(result, uncertainty, labels), target, moved, structures, labels.GetSpacing()[::-1]),
    }


def over_pairs(structures: list[dict], name: str) -> np.ndarray:
    """For each structure, the rank correlation over the pairs of a predictor with the distance: does it tell on which
    pair the structure failed? Needs five pairs.
    """
    labels = sorted({row["label"] for row in structures})
    groups = [[row for row in structures if row["label"] == label] for label in labels]
    found = [
        rank_correlation(column(group, f"{name}_mm"), column(group, "distance_mm"))
        for group in groups
        if len(group) >= 5
    ]
    return np.array([value for value in found if value is not None])


def run_uncertainty(
    command: str,
    folder: str | Path,
    out: str | Path,
    *,
    pairs: int | None = None,
    spacing: float | None = None,
    settings: RegistrationOptions = RegistrationOptions(),
    threads: int = 2,
    quiet: bool = False,
) -> Path:
    """Register validation pairs; writes `cases.csv`, `structures.csv` and `uncertainty.md` into `out`, can be resumed.

    command : a benchmark with labels. spacing : the images (not the labels) on voxels of so many mm first.
    Returns the path of the page. Raises DiffuseMorphError for missing data.
    """
    data_set = open_data_set(BENCHMARKS[command], folder)
    cases = mixed(data_set.pairs("validation"))[:pairs]
    records = Records(
        out,
        {
            "uncertainty": command,
            "voxels": "as scanned" if spacing is None else f"{spacing:g} mm",
            "samples": SAMPLES,
            **settings.to_dict(),
            "threads": threads,
        },
    )
    rows = [
        dict(records.row((pair.name,), partial(run_pair, pair, data_set.structures, settings, spacing)))
        for pair in tqdm(cases, desc=command, unit="pair", disable=quiet)
    ]
    structures = [{"case": row["case"], **part} for row in rows for part in row.pop("structures")]
    records.write_csv("cases.csv", rows)
    records.write_csv("structures.csv", structures)
    return records.write_text("uncertainty.md", uncertainty_page(command, rows, structures, records.settings))


def uncertainty_page(command: str, rows: list[dict], structures: list[dict], settings: dict) -> str:
    """The Markdown page: rank correlations, errors by fifths of the uncertainty, and what it was measured on."""
    names = [name for name in PREDICTORS if f"{name}_voxels" in rows[0]]
    kinds = ("distance", "dice", "voxels")
    lines = []
    for name in names:
        line = [PREDICTORS[name], *(cell(rows, Column(f"{name}_{kind}", "")) for kind in kinds)]
        again = over_pairs(structures, name)
        lines.append([*line, f"{again.mean():.3f}" if len(again) else "–"])
    ranks = markdown_table(
        [
            "predictor",
            "structures: mean distance",
            "structures: 1 − Dice",
            "boundary voxels: distance",
            "pairs: distance of one structure",
        ],
        lines,
    )
    fifths = []
    for number in range(1, FIFTHS + 1):
        uncertain, distance, far = (
            column(rows, f"fifth_{number}_{key}").mean() for key in ("uncertainty", "distance", "far")
        )
        fifths.append([str(number), f"{uncertain:.2f}", f"{distance:.2f}", f"{100 * far:.1f}"])
    information = {**settings, "pairs": len(rows), **machine()}
    means = {
        key: column(rows, key).mean()
        for key in ("uncertainty_mean", "uncertainty_percentile_95", "distance_mm", "dice", "seconds_uncertainty")
    }
    return (
        "\n\n".join(
            [
                f"# Uncertainty: {command}",
                "Spearman's rank correlation with real misalignment, mean (standard deviation) over "
                "the pairs; 1 is perfect, 0 says nothing.",
                ranks,
                "Misalignment is measured on labels that the registration has not seen. Distance: between the "
                "boundary of a "
                "structure and its moved boundary, in mm, both ways for structures; a predictor's value for a "
                "structure is its "
                f"mean over the boundary. Boundary voxels: up to {PER_STRUCTURE} of each structure, pooled. "
                "Pairs: for one "
                "structure, over the pairs; mean over the structures. The labels themselves differ between "
                "people where no "
                "border can be seen, so no predictor can reach 1.",
                "Boundary voxels by fifths of the uncertainty:",
                markdown_table(["fifth", "uncertainty (mm)", "distance (mm)", "further than 3 mm (%)"], fifths),
                f"Inside the object the uncertainty is {means['uncertainty_mean']:.2f} mm on average, its 95th "
                "percentile "
                f"{means['uncertainty_percentile_95']:.2f} mm; the boundaries are {means['distance_mm']:.2f} "
                "mm apart on "
                f"average (Dice {means['dice']:.3f}). It took {means['seconds_uncertainty']:.1f} s a pair "
                "after the registration.",
                "## Measured on",
                facts(information),
            ]
        )
        + "\n"
    )
