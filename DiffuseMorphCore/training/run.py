"""train: a run from settings to a folder with checkpoints and logs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from DiffuseMorphCore.progress import Progress
from DiffuseMorphCore.training.result import TrainingResult
from DiffuseMorphCore.training.settings import TrainingRun, read_settings
from DiffuseMorphCore.training.trainer import Trainer


def train(
    settings: TrainingRun | str | Path,
    *,
    resume: str = "auto",
    max_minutes: float | None = None,
    max_steps: int | None = None,
    data: str | Path | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a model, or go on with a run that was stopped.

    Parameters
    ----------
    settings : a TrainingRun, or the path of a TOML file.
    resume : "auto" goes on from `last.pt` of the run's folder if it is there; "never" refuses to touch such a folder.
    max_minutes, max_steps : stop, resumably, after so much time or so many steps; the run's own number of steps, which
        the learning rate follows, stays what the settings say.
    data : folder to take in place of the settings' `data.folder`.
    progress : called with "train" and the fraction done; without one, a bar with the time left is shown.

    The folder of the run gets `last.pt` and `best.pt` (checkpoints; see export_model), `log.csv` and `validation.csv`.
    Started by torchrun, the processes share every step: each draws its own pairs, their gradients are averaged.
    Samples, noise and time steps depend on the seed and the step alone, so a resumed run repeats the unbroken one.

    Raises DiffuseMorphError for settings or data that cannot be used, a folder that holds another run, and a loss that
    is no longer finite; Cancelled when `progress` returns False, after writing `last.pt`.
    """
    run = settings if isinstance(settings, TrainingRun) else read_settings(settings)
    if data is not None:
        run = replace(run, data=replace(run.data, folder=str(data)))
    trainer = Trainer(run, resume)
    try:
        return trainer.train(max_minutes, max_steps, progress)
    finally:
        trainer.close()
