"""Training: losses, pairs of images, synthetic pairs, and the trainer."""

from DiffuseMorphCore.training.checkpoint import export_model, read_checkpoint
from DiffuseMorphCore.training.pair import PairSource, TrainingPair
from DiffuseMorphCore.training.result import TrainingResult
from DiffuseMorphCore.training.run import train
from DiffuseMorphCore.training.settings import TrainingRun, read_settings, settings_from

__all__ = [
    "TrainingPair",
    "PairSource",
    "TrainingResult",
    "TrainingRun",
    "export_model",
    "read_checkpoint",
    "read_settings",
    "settings_from",
    "train",
]
