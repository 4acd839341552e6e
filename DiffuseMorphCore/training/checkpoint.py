"""Checkpoints: everything a training run needs to go on as if it had never stopped, and the way to a model file."""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import completed, reason_not_written
from DiffuseMorphCore.networks.configuration import ModelConfiguration
from DiffuseMorphCore.networks.model import DiffuseMorph
from DiffuseMorphCore.networks.model_file import save_model

FORMAT = "DiffuseMorph checkpoint 1"


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values to `path`; it holds the old checkpoint until the new one is complete.

    Raises DiffuseMorphError when there is no room, or no right, to write.
    """
    try:
        with completed(path) as part:
            torch.save({"format": FORMAT, **content}, part)
    except (OSError, RuntimeError) as problem:
        reason = reason_not_written(problem, path.parent, _tensor_bytes(content))
        raise DiffuseMorphError(
            f"The checkpoint '{path}' could not be written: {reason}; the run can go on from the one before."
        ) from problem


def _tensor_bytes(content: Any) -> int:
    if isinstance(content, torch.Tensor):
        return content.nbytes
    if isinstance(content, dict):
        return sum(map(_tensor_bytes, content.values()))
    return sum(map(_tensor_bytes, content)) if isinstance(content, (list, tuple)) else 0


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """What write_checkpoint was given. Nothing in the file is executed.

    Raises DiffuseMorphError when the file is missing, damaged, or no checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise DiffuseMorphError(f"The checkpoint '{path}' does not exist: give the folder or file of a training run.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as problem:
        raise DiffuseMorphError(
            f"The checkpoint '{path}' is damaged: delete it and resume from another one."
        ) from problem
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DiffuseMorphError(f"The file '{path}' is no checkpoint of a training run of this version.")
    return content


def export_model(
    checkpoint: str | Path, path: str | Path, information: dict[str, Any] | None = None, *, control: bool = False
) -> Path:
    """Make a model file for registration from a checkpoint (or from a run's folder: its best one, else its last).

    The averaged weights are taken where the run kept them. The settings become part of the file as its recipe, with the
    names of files but not the folders they are in, which concern nobody else. `information` overrides what the run's
    settings say about the model (version, description, training_data, terms). `control` : the VoxelMorph control that
    was trained beside the model, in its place. Returns `path`.

    Raises DiffuseMorphError as read_checkpoint and save_model do, and where a control is asked for that was not
    trained.
    """
    checkpoint = Path(checkpoint)
    if checkpoint.is_dir():
        best = checkpoint / "best.pt"
        checkpoint = best if best.is_file() else checkpoint / "last.pt"
    content = read_checkpoint(checkpoint)
    configuration = ModelConfiguration.from_dict(content["configuration"])
    weights = content["average"] or content["model"]
    if control:
        configuration, weights = replace(configuration, diffusion=None), content["control"]
    if weights is None:
        raise DiffuseMorphError(f"The run of '{checkpoint}' trained no control: set 'model.control' to \"beside\".")
    model = DiffuseMorph(configuration)
    model.load_state_dict(weights)
    settings = _without_folders(content["settings"])
    about = {key: settings["output"][key] for key in ("description", "training_data", "terms")}
    about |= {
        "version": "1",
        "recipe": {"step": content["step"], "validation": content["validation"], "settings": settings},
    }
    return save_model(path, model, about | (information or {}))


def _without_folders(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with every path cut down to its last part."""

    def short(section: str, keys: tuple[str, ...]) -> dict[str, Any]:
        values = settings[section]
        return values | {key: Path(values[key]).name for key in keys if values[key]}

    return settings | {
        "data": short("data", ("folder", "table", "atlas", "atlas_labels")),
        "model": short("model", ("start",)),
        "output": short("output", ("folder",)),
    }
