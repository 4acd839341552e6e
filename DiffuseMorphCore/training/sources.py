"""From the settings of a run to the source of its pairs, one per stage."""

from __future__ import annotations

from dataclasses import replace

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.training.label_files import LabelFile, find_label_maps
from DiffuseMorphCore.training.labelmaps import EXTRA_CEREBRAL, load_label_maps
from DiffuseMorphCore.training.pair import Mixture, PairSource
from DiffuseMorphCore.training.settings import TrainingRun
from DiffuseMorphCore.training.shapes import RandomShapes
from DiffuseMorphCore.training.synthetic import Anatomies, People, SyntheticPairs
from DiffuseMorphCore.training.tissue_maps import load_tissue_maps
from DiffuseMorphCore.training.tissue_pairs import TissuePairs


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
        cut = run.data.left_of(len(maps), f"label maps in '{run.data.folder}'")
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
    from DiffuseMorphCore.training.scan_sources import scan_sources  # it reads images, which label maps need not

    return scan_sources(run, grids)


def _label_maps(run: TrainingRun) -> list[LabelFile]:
    if not run.data.folder:
        raise DiffuseMorphError("The training settings name no label maps: set 'data.folder'.")
    return find_label_maps(run.data.folder)


def _anatomies(run: TrainingRun) -> list[tuple[float, Anatomies, Anatomies | None]]:
    """(share of the pairs, anatomies to train on, anatomies to validate on) of every kind that the settings ask for."""
    data = run.data
    shapes = RandomShapes(ndim=len(run.geometry.shape))
    if data.source == "shapes":
        return [(1.0, shapes, shapes if run.validation.pairs else None)]
    files = _label_maps(run)
    if data.whole_head + data.shapes > 1:
        raise DiffuseMorphError(
            "The shares 'data.whole_head' and 'data.shapes' add up to more than 1: make them smaller."
        )
    cut = data.left_of(len(files), f"label maps in '{data.folder}'")
    kinds: list[tuple[float, Anatomies, Anatomies | None]] = []
    for share, drop in ((1 - data.whole_head - data.shapes, EXTRA_CEREBRAL), (data.whole_head, ())):
        if share > 0:
            maps, ids = load_label_maps(files, data.map_spacing, drop)
            kinds.append((share, People(maps[:cut], ids), People(maps[cut:], ids) if data.held_out else None))
    if data.shapes > 0:
        kinds.append((data.shapes, shapes, None))
    return kinds
