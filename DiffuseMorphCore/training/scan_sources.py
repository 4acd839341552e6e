"""Sources of pairs of real images, from the settings of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from DiffuseMorphCore.errors import DiffuseMorphError
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
from DiffuseMorphCore.training.synthetic import Geometry

ScanPairs = list[tuple[ScanFiles, ScanFiles]]


def scan_sources(run: TrainingRun, grids: Sequence[tuple[int | None, Geometry]]) -> list[tuple[int | None, ImagePairs]]:
    """(step it lasts until, source) for every grid of a run on images. Raises DiffuseMorphError when data are missing
    or too few.
    """
    training, validating = _scan_pairs(run)
    seed = run.optimisation.seed
    return [
        (until, ImagePairs(training, validating, _image_grid(run, geometry), run.data.flips, run.data.affine, seed))
        for until, geometry in grids
    ]


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
        cut = data.left_of(len(pairs), f"pairs in '{data.table}'")
        parts = pairs[:cut], pairs[cut:]
    elif data.source == "subjects":
        subjects = list(group_by_subject(data.folder, data.pattern, *endings).values())
        cut = data.left_of(len(subjects), f"subjects in '{data.folder}'")
        parts = tuple(
            [pair for scans in part for pair in every_pair(scans)] for part in (subjects[:cut], subjects[cut:])
        )
    else:
        scans = find_scans(data.folder, *endings)
        if data.source == "atlas":
            if not data.atlas:
                raise DiffuseMorphError("The training settings name no atlas: set 'data.atlas'.")
            pairs = pairs_to_atlas(scans, data.atlas, Path(data.atlas_labels) if data.atlas_labels else None)
            cut = data.left_of(len(pairs), f"images in '{data.folder}'")
            parts = pairs[:cut], pairs[cut:]
        else:
            cut = data.left_of(len(scans), f"images in '{data.folder}'")
            parts = every_pair(scans[:cut]), every_pair(scans[cut:]) if data.held_out > 1 else []
    return list(parts[0]), _spread(list(parts[1]), run.validation.pairs)


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
