"""From the settings of a run to the source of its pairs, one per stage."""

from __future__ import annotations

from dataclasses import replace

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.training.labelmaps import EXTRA_CEREBRAL, find_label_maps, load_label_maps
from DiffuseMorphCore.training.pair import PairSource
from DiffuseMorphCore.training.settings import TrainingRun
from DiffuseMorphCore.training.synthetic import Anatomies, People, SyntheticPairs


def build_sources(run: TrainingRun) -> list[tuple[int | None, PairSource]]:
    """(step it lasts until, source) for every stage, and (None, source) for the rest of the run.

    Raises DiffuseMorphError when data are missing or too few.
    """
    training, validating = _anatomies(run)
    grids = [(stage.until, replace(run.geometry, shape=stage.shape, spacing=stage.spacing)) for stage in run.stages]
    return [(until, SyntheticPairs(training, validating, geometry, run.appearance, run.optimisation.seed,
                                   run.validation.pairs))
            for until, geometry in [*grids, (None, run.geometry)]]


def _anatomies(run: TrainingRun) -> tuple[Anatomies, Anatomies | None]:
    data = run.data
    if not data.folder:
        raise DiffuseMorphError("The training settings name no folder of label maps: set 'data.folder'.")
    paths = find_label_maps(data.folder)
    if len(paths) <= data.held_out:
        raise DiffuseMorphError(f"The folder '{data.folder}' holds {len(paths)} label maps, of which {data.held_out} "
                                "are held out for validation: nothing is left to train on.")
    maps, ids = load_label_maps(paths, data.map_spacing, () if data.whole_head else EXTRA_CEREBRAL)
    cut = len(maps) - data.held_out
    return People(maps[:cut], ids), People(maps[cut:], ids) if data.held_out else None
