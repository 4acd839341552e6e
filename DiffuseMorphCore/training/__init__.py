"""Training: losses, pairs of images, synthetic pairs, and the trainer."""

from DiffuseMorphCore.training.checkpoint import export_model, read_checkpoint
from DiffuseMorphCore.training.pair import TrainingPair, PairSource
from DiffuseMorphCore.training.settings import TrainingRun, read_settings, settings_from
from DiffuseMorphCore.training.result import TrainingResult
from DiffuseMorphCore.training.run import train

__all__ = ["TrainingPair", "PairSource", "TrainingResult", "TrainingRun", "export_model", "read_checkpoint", "read_settings",
           "settings_from", "train"]
