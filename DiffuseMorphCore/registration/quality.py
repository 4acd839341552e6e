"""What the report says of a result: similarity along the way, folding, lengths, grids; and what took part in it."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

import DiffuseMorphCore
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.registration.deform import Deformation
from DiffuseMorphCore.registration.prepare import PreparedScan
from DiffuseMorphCore.registration.repair import CHECKS
from DiffuseMorphCore.registration.working_pair import working_pair
from DiffuseMorphCore.similarity import Similarity
from DiffuseMorphCore.warp import folding


def quality(
    scans: tuple[PreparedScan, PreparedScan],
    deformation: Deformation,
    similarity: Similarity,
    device: torch.device,
    region_shape: tuple[int, ...],
    inside: np.ndarray,
) -> dict[str, Any]:
    """Similarity along the way, folding on the fixed image's grid, lengths of the displacement; computed on
    ``device``.

    inside : booleans on the working grid, in array order: where lengths count. Noise of air moves far, and nowhere.
    """
    grid, pair = deformation.grid, deformation.pair
    final = deformation.path.finest.on(grid.resampled(deformation.pair.shape))
    try:
        working = grid.resampled(pair.shape)
        unaligned = working_pair(scans, working, sitk.AffineTransform(grid.ndim), pair)
        nothing = torch.zeros((1, grid.ndim, *working.shape), device=device)
        initial = similarity.of_images.evaluate(unaligned.to(device), nothing)
    except DiffuseMorphError:
        initial = 0.0  # the headers put the images apart
    folds = folding(final.to(device).values, shape=region_shape)
    lengths = np.linalg.norm(final.vectors(), axis=-1)
    border = [(lengths * inside).take(end, axis) for axis in range(lengths.ndim) for end in (0, -1)]
    return {
        "similarity": {"measure": similarity.of_images.measure, "initial": initial, **deformation.similarity},
        "folding": {
            "share": folds.share,
            "volume": folds.volume,
            "minimum": folds.minimum,
            "repaired_cells": deformation.repair.folded_before,
            "repair_converged": deformation.repair.converged,
            "folded_cells_by_eta": {f"{eta:g}": deformation.repair.folded_after.get(eta, 0) for eta in CHECKS},
        },
        "displacement_mm": {
            "mean": float(lengths[inside].mean()),
            "max": float(lengths[inside].max()),
            "border_max": max(float(face.max()) for face in border),
        },
        "grids": {
            "working": list(reversed(pair.fixed.shape[2:])),
            "delivered": list(grid.size),
            "delivered_at_eta_1": list(grid.size if deformation.path.fine_end is None else final.grid.size),
            "delivered_spacing_mm": list(grid.spacing),
            "fading_mm": [
                (wide - own) // 2 * step for wide, own, step in zip(deformation.path.grid.size, grid.size, grid.spacing)
            ],
        },
    }


def versions() -> dict[str, str]:
    """Versions of everything that has a part in a result."""
    return {
        "DiffuseMorph": DiffuseMorphCore.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "SimpleITK": sitk.Version.VersionString(),
        "python": platform.python_version(),
    }
