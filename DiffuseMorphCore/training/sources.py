"""From the settings of a run to the source of its pairs, one per stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.training.labelmaps import EXTRA_CEREBRAL, find_label_maps, load_label_maps
from DiffuseMorphCore.training.pair import Mixture, PairSource
from DiffuseMorphCore.training.pairs import (
    ImageGrid,
    ImagePairs,
    ScanFiles,
    every_pair,
    find_scans,
    group_by_subject,
    pairs_to_atlas,
    read_table,
)
from DiffuseMorphCore.training.settings import TrainingRun
from DiffuseMorphCore.training.shapes import RandomShapes
from DiffuseMorphCore.training.synthetic import Anatomies, Geometry, People, SyntheticPairs
from DiffuseMorphCore.training.tissue_maps import load_tissue_maps
from DiffuseMorphCore.training.tissue_pairs import TissuePairs

ScanPairs = list[tuple[ScanFiles, ScanFiles]]


def build_sources(run: TrainingRun) -> list[tuple[int | None, PairSource]]:
    """(step it lasts until, source) for every stage, and (None, source) for the rest of the run.

    Raises DiffuseMorphError when data are missing or too few.
    """
    grids = [
        (
            stage.until,
            replace(run.geometry, shape=stage.shape, spacing=stage.spacing, scales=stage.scales or run.geometry.scales),
        )
        for stage in run.stages
    ]
    grids.append((None, run.geometry))
    seed = run.optimisation.seed
    if run.data.source == "tissues":
        maps = load_tissue_maps(_label_maps(run))
        cut = _check_held_out(len(maps), run.data.held_out, f"label maps in '{run.data.folder}'")
        curriculum = tuple(1000 * thousands for thousands in run.data.curriculum)
        return [
            (
                until,
                TissuePairs(maps[:cut], maps[cut:], geometry, run.appearance, seed, run.validation.pairs, curriculum),
            )
            for until, geometry in grids
        ]
    if run.data.source in ("labelmaps", "shapes"):
        kinds = _anatomies(run)
        return [
            (
                until,
                Mixture(
                    [
                        SyntheticPairs(*anatomies, geometry, run.appearance, seed, run.validation.pairs)
                        for _, *anatomies in kinds
                    ],
                    [share for share, *_ in kinds],
                    seed,
                ),
            )
            for until, geometry in grids
        ]
    training, validating = _scan_pairs(run)
    return [
        (until, ImagePairs(training, validating, _image_grid(run, geometry), run.data.flips, run.data.affine, seed))
        for until, geometry in grids
    ]


def _label_maps(run: TrainingRun) -> list[Path]:
    if not run.data.folder:
        raise DiffuseMorphError("The training settings name no folder of label maps: set 'data.folder'.")
    return find_label_maps(run.data.folder)


def _anatomies(run: TrainingRun) -> list[tuple[float, Anatomies, Anatomies | None]]:
    """(share of the pairs, anatomies to train on, anatomies to validate on) of every kind that the settings ask for."""
    data = run.data
    shapes = RandomShapes(ndim=len(run.geometry.shape))
    if data.source == "shapes":
        return [(1.0, shapes, shapes if run.validation.pairs else None)]
    paths = _label_maps(run)
    if data.whole_head + data.shapes > 1:
        raise DiffuseMorphError(
            "The shares 'data.whole_head' and 'data.shapes' add up to more than 1: make them smaller."
        )
    cut = _check_held_out(len(paths), data.held_out, f"label maps in '{data.folder}'")
    kinds: list[tuple[float, Anatomies, Anatomies | None]] = []
    for share, drop in ((1 - data.whole_head - data.shapes, EXTRA_CEREBRAL), (data.whole_head, ())):
        if share > 0:
            maps, ids = load_label_maps(paths, data.map_spacing, drop)
            kinds.append((share, People(maps[:cut], ids), People(maps[cut:], ids) if data.held_out else None))
    if data.shapes > 0:
        kinds.append((data.shapes, shapes, None))
    return kinds


def _scan_pairs(run: TrainingRun) -> tuple[ScanPairs, ScanPairs]:
    """Pairs to train and to validate on; no image of a held-out one is in both."""
    data = run.data
    endings = (data.image_suffix, data.label_suffix)
    needed = "table" if data.source == "pairs" else "folder"
    if not getattr(data, needed):
        raise DiffuseMorphError(
            f"The training settings name no images: set 'data.{needed}' for the source '{data.source}'."
        )
    if data.source == "pairs":
        pairs = read_table(data.table)
        cut = _check_held_out(len(pairs), data.held_out, f"pairs in '{data.table}'")
        parts = pairs[:cut], pairs[cut:]
    elif data.source == "subjects":
        subjects = list(group_by_subject(data.folder, data.pattern, *endings).values())
        cut = _check_held_out(len(subjects), data.held_out, f"subjects in '{data.folder}'")
        parts = tuple(
            [pair for scans in part for pair in every_pair(scans)] for part in (subjects[:cut], subjects[cut:])
        )
    else:
        scans = find_scans(data.folder, *endings)
        if data.source == "atlas":
            if not data.atlas:
                raise DiffuseMorphError("The training settings name no atlas: set 'data.atlas'.")
            pairs = pairs_to_atlas(scans, data.atlas, Path(data.atlas_labels) if data.atlas_labels else None)
            cut = _check_held_out(len(pairs), data.held_out, f"images in '{data.folder}'")
            parts = pairs[:cut], pairs[cut:]
        else:
            cut = _check_held_out(len(scans), data.held_out, f"images in '{data.folder}'")
            parts = every_pair(scans[:cut]), every_pair(scans[cut:]) if data.held_out > 1 else []
    return list(parts[0]), _spread(list(parts[1]), run.validation.pairs)


def _check_held_out(count: int, held_out: int, what: str) -> int:
    """How many are left to train on."""
    if count <= held_out:
        raise DiffuseMorphError(
            f"There are {count} {what}, and 'data.held_out' takes {held_out} of them for "
            "validation: nothing is left to train on."
        )
    return count - held_out


def _spread(pairs: ScanPairs, count: int) -> ScanPairs:
    """At most `count` pairs, evenly over the list."""
    count = min(count, len(pairs))
    return [pairs[number * len(pairs) // count] for number in range(count)]


def _image_grid(run: TrainingRun, geometry: Geometry) -> ImageGrid:
    """Voxels of `data.spacing`, or cubic ones; a stage with coarser voxels keeps their proportions."""
    ratio = geometry.spacing / run.geometry.spacing
    spacing = run.data.spacing or (run.geometry.spacing,) * len(geometry.shape)
    if len(spacing) != len(geometry.shape):
        raise DiffuseMorphError(
            f"The key 'data.spacing' has {len(spacing)} values for a grid of {len(geometry.shape)} "
            "axes: give one per axis, in the order of 'geometry.shape'."
        )
    return ImageGrid(geometry.shape, tuple(ratio * side for side in spacing), run.data.source in ("pairs", "subjects"))
