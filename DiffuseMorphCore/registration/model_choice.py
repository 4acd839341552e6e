"""The model that the caller asks for, by name, file or object, and one that knows tissues in any contrast."""

from __future__ import annotations

from pathlib import Path

import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.networks import DiffuseMorph, canonical_model, default_model, is_non_commercial, load_model


def resolve_model(
    model: str | Path | DiffuseMorph | None, ndim: int, device: torch.device, notes: list[str]
) -> DiffuseMorph | None:
    """The model to use, on the device, or None for refinement alone.

    Where the package has no default for this dimension, refinement alone is used and ``notes`` says so.

    Raises
    ------
    DiffuseMorphError : an unknown name, a damaged file, or a model for the other dimension.
    """
    if model is None or model == "none":
        return None
    if isinstance(model, DiffuseMorph):
        if model.ndim != ndim:
            raise DiffuseMorphError(f"The model is for {model.ndim}-D images, but these are {ndim}-D.")
        return model.to(device).eval()
    if model == "default" and default_model(ndim) is None:
        notes.append(f"No model for {ndim}-D images comes with this version: the deformation is refinement alone.")
        return None
    network = load_model(model, device, ndim)
    if is_non_commercial(str(network.information.get("terms", ""))):
        notes.append(
            f"The model '{network.information['name']}' may not be used commercially: {network.information['terms']}"
        )
    return network


def resolve_canonical(network: DiffuseMorph | None, ndim: int, device: torch.device) -> DiffuseMorph | None:
    """A model that knows tissues in any contrast: the given one if it does, else the bundled one, else None."""
    if network is not None and network.is_canonical:
        return network
    path = canonical_model(ndim)
    return None if path is None else load_model(path, device, ndim)
