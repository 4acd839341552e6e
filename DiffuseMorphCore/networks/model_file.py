"""A model as one file: weights, configuration, and what people must know about it. Loading executes nothing from it."""

from __future__ import annotations

import pickle
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from DiffuseMorphCore import __version__
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import completed, first_line, reason_not_written
from DiffuseMorphCore.networks.configuration import ModelConfiguration
from DiffuseMorphCore.networks.model import DiffuseMorph

FORMAT = "DiffuseMorph model"
FORMAT_VERSION = 1
BUNDLED = Path(__file__).resolve().parents[1] / "weights"
DEFAULT, CANONICAL = "default", "canonical"


@dataclass(frozen=True)
class ModelEntry:
    """A bundled model as lists of models show it."""

    name: str
    path: Path
    ndim: int
    description: str
    terms: str

    @property
    def non_commercial(self) -> bool:
        """Whether its terms forbid commercial use."""
        return is_non_commercial(self.terms)


def is_non_commercial(terms: str) -> bool:
    """Whether terms forbid commercial use, told by the words that licences have for it; no terms at all forbid
    nothing.
    """
    return bool(
        re.search(
            r"non-?\s?commercial|\bby-nc\b|not for commercial|(academic|research)( use| purposes)? only",
            terms,
            re.IGNORECASE,
        )
    )


def save_model(path: str | Path, model: DiffuseMorph, information: dict[str, Any]) -> Path:
    """Write a model to one file. What was there stays untouched until the new file is complete.

    Parameters
    ----------
    path : of the new file. model : its weights are stored as 16-bit floats.
    information : text, numbers, lists and dicts. Expected are version, description, training_data, terms and recipe
        (how it was trained, free-form).

    Returns
    -------
    The path.

    Raises
    ------
    DiffuseMorphError : a weight is not finite in 16 bits, the information holds something else, or the file cannot be
        written.
    """
    path = Path(path)
    _check_primitive(information, "information")
    weights = {
        name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in model.state_dict().items()
    }
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise DiffuseMorphError(
                f"The model was not written to '{path}': its weight '{name}' is not finite in 16 "
                "bits, so the training went wrong."
            )
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "package_version": __version__,
        "configuration": model.configuration.to_dict(),
        "information": information,
        "weights": weights,
    }
    if not path.parent.is_dir():
        raise DiffuseMorphError(f"The model could not be written to '{path}': there is no folder '{path.parent}'.")
    try:
        with completed(path) as part:
            torch.save(content, part)
    except (OSError, RuntimeError) as error:
        size = sum(value.nbytes for value in weights.values())
        raise DiffuseMorphError(
            f"The model could not be written to '{path}': {reason_not_written(error, path.parent, size)}."
        ) from error
    return path


def load_model(name: str | Path, device: str | torch.device = "cpu", ndim: int | None = None) -> DiffuseMorph:
    """Load a model by the name of a bundled one or from its file, ready to use (evaluation mode, float32).

    Parameters
    ----------
    name : "default" (the bundled default for 3-D images, or for `ndim`), another bundled name, or a path.
    device : where its weights are put.
    ndim : 2 or 3 when the images' dimension is known; a model for another one is refused.

    Returns
    -------
    The model. Its `information` holds what its file says: name, version, description, training_data, terms, recipe,
    package_version.

    Raises
    ------
    DiffuseMorphError : an unknown name; a file that is missing, damaged, foreign, of a newer format, or whose weights
        do not fit its configuration.
    """
    path = _locate(name, ndim)
    content = _read(path, check=True)
    configuration = _configuration(path, content)
    if ndim is not None and configuration.ndim != ndim:
        raise DiffuseMorphError(
            f"The model '{name}' is for {configuration.ndim}-D images, but the images are "
            f"{ndim}-D: choose another model."
        )
    # Without memory of its own until the weights are known to fit: no time for a random start, no surprise from a file.
    with torch.device("meta"):
        model = DiffuseMorph(configuration)
    model.load_state_dict(_fitting_weights(path, content["weights"], model), assign=True)
    model.information = {**content["information"], "name": path.stem, "package_version": content["package_version"]}
    return model.eval().to(device)


def available_models() -> list[ModelEntry]:
    """The models that come with the package, sorted by name. Their weights are not read.

    Raises DiffuseMorphError when one of their files is damaged.
    """
    return [model_entry(path) for path in _bundled()]


def model_entry(path: str | Path) -> ModelEntry:
    """What a model file says of itself, without reading its weights. Raises DiffuseMorphError when it is damaged."""
    path = Path(path)
    content = _read(path, check=False)
    information = content["information"]
    return ModelEntry(
        path.stem,
        path,
        _configuration(path, content).ndim,
        str(information.get("description", "")),
        str(information.get("terms", "")),
    )


def default_model(ndim: int) -> Path | None:
    """The file of the bundled model that `"default"` means for images of this dimension, None where there is none.

    A model that may not be used commercially is never the default, whatever its name.
    """
    path = BUNDLED / f"{DEFAULT}{ndim}d.pt"
    return path if path.is_file() and not model_entry(path).non_commercial else None


def canonical_model(ndim: int) -> Path | None:
    """The file of the bundled model with a canonical contrast, for images of different contrasts; None where there is
    none.
    """
    path = BUNDLED / f"{CANONICAL}{ndim}d.pt"
    return path if path.is_file() and not model_entry(path).non_commercial else None


def _bundled() -> list[Path]:
    return sorted(BUNDLED.glob("*.pt"))


def _locate(name: str | Path, ndim: int | None) -> Path:
    names = {path.stem: path for path in _bundled()}
    chosen = default_model(ndim or 3) if str(name) == DEFAULT else names.get(str(name))
    if isinstance(name, str) and chosen is not None:
        return chosen
    path = Path(name)
    if path.is_file():
        return path
    if path.is_dir():
        raise DiffuseMorphError(f"'{path}' is a folder: name the model file (.pt) in it.")
    if path.suffix or len(path.parts) > 1 or isinstance(name, Path):
        raise DiffuseMorphError(f"The model file '{path}' does not exist: check its name.")
    there = f"the package comes with {', '.join(names)}" if names else "the package came without models"
    raise DiffuseMorphError(f"The model '{name}' is unknown: {there}; a path of a model file is possible too.")


def _read(path: Path, check: bool) -> dict[str, Any]:
    """The content of a model file, with the types of its parts checked; `check`: the checksums of the file too."""
    damaged = DiffuseMorphError(f"'{path}' cannot be used: it is damaged or is not a model file of DiffuseMorph.")
    try:
        if not zipfile.is_zipfile(path):
            raise damaged
        if check:
            # PyTorch does not look at the checksums it writes.
            with zipfile.ZipFile(path) as archive:
                if archive.testzip() is not None:
                    raise damaged
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except PermissionError as error:
        raise DiffuseMorphError(f"The model file '{path}' may not be read: check its permissions.") from error
    except (
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
    ) as error:
        raise damaged from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise damaged
    version = content.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise DiffuseMorphError(
            f"The model file '{path}' was written by a newer DiffuseMorph "
            f"({content.get('package_version')}): update this one ({__version__})."
        )
    expected = {
        "format_version": int,
        "package_version": str,
        "configuration": dict,
        "information": dict,
        "weights": dict,
    }
    if any(not isinstance(content.get(key), kind) for key, kind in expected.items()):
        raise damaged
    return content


def _configuration(path: Path, content: dict[str, Any]) -> ModelConfiguration:
    try:
        return ModelConfiguration.from_dict(content["configuration"])
    except DiffuseMorphError as error:
        raise DiffuseMorphError(f"The model file '{path}' cannot be used: {first_line(error)}") from error


def _fitting_weights(path: Path, weights: dict[str, Any], model: DiffuseMorph) -> dict[str, torch.Tensor]:
    expected = model.state_dict()
    for name in sorted({*expected, *map(str, weights)}):
        tensor = weights.get(name)
        if name not in expected or not isinstance(tensor, torch.Tensor) or tensor.shape != expected[name].shape:
            raise DiffuseMorphError(
                f"The model file '{path}' cannot be used: its weights do not fit its configuration "
                f"(the first one is '{name}')."
            )
        if not torch.isfinite(tensor).all():
            raise DiffuseMorphError(f"The model file '{path}' cannot be used: its weight '{name}' is not finite.")
    return {name: tensor.to(torch.float32, copy=True) for name, tensor in weights.items()}


def _check_primitive(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for key, entry in value.items():
            _check_primitive(key, f"a name in {where}")
            _check_primitive(entry, f"{where}: {key}")
    elif isinstance(value, (list, tuple)):
        for entry in value:
            _check_primitive(entry, where)
    elif type(value) not in (str, int, float, bool, type(None)):
        raise DiffuseMorphError(
            f"The model was not written: its {where} holds a {type(value).__name__}, but only "
            "text, numbers, lists and dicts can be stored."
        )
