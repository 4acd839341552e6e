"""The networks: diffusion network, deformation network, the pair with its configuration, and its file."""

from DiffuseMorphCore.networks.configuration import (
    DeformationConfiguration,
    DiffusionConfiguration,
    ModelConfiguration,
    ScheduleConfiguration,
)
from DiffuseMorphCore.networks.deformation import DeformationNetwork
from DiffuseMorphCore.networks.diffusion import DiffusionNetwork
from DiffuseMorphCore.networks.model import DiffuseMorph
from DiffuseMorphCore.networks.model_file import (
    ModelEntry,
    available_models,
    canonical_model,
    default_model,
    is_non_commercial,
    load_model,
    model_entry,
    save_model,
)
from DiffuseMorphCore.networks.presets import PRESETS, Preset, TrainingSettings

__all__ = [
    "PRESETS",
    "DeformationConfiguration",
    "DeformationNetwork",
    "DiffuseMorph",
    "DiffusionConfiguration",
    "DiffusionNetwork",
    "ModelConfiguration",
    "ModelEntry",
    "Preset",
    "ScheduleConfiguration",
    "TrainingSettings",
    "available_models",
    "canonical_model",
    "default_model",
    "is_non_commercial",
    "load_model",
    "model_entry",
    "save_model",
]
