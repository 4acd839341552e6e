"""Registration of two tensors on one grid: what follows reading and alignment, without files and without ITK."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from DiffuseMorphCore.devices import choose_device
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.networks import DiffuseMorph
from DiffuseMorphCore.options import RegistrationOptions
from DiffuseMorphCore.progress import Progress
from DiffuseMorphCore.registration.deform import Deformation, deform
from DiffuseMorphCore.registration.masks import continued
from DiffuseMorphCore.registration.memory import within_memory
from DiffuseMorphCore.registration.modality import choose_modality, contrast_grid
from DiffuseMorphCore.registration.model_choice import resolve_canonical, resolve_model
from DiffuseMorphCore.registration.stages import Stopwatch
from DiffuseMorphCore.registration.verdict import NO_GAIN, judge
from DiffuseMorphCore.registration.working_grid import choose_grid, delivered_grid
from DiffuseMorphCore.similarity import MODALITIES, ImagePair
from DiffuseMorphCore.threads import with_threads

_LEAST_SIDE = 8
_TOLERANCE = 1e-4  # by which intensities may leave [0, 1]: rounding


@with_threads
def register_tensors(
    fixed: Tensor | np.ndarray,
    moving: Tensor | np.ndarray,
    *,
    spacing: Sequence[float] | None = None,
    fixed_mask: Tensor | np.ndarray | None = None,
    moving_mask: Tensor | np.ndarray | None = None,
    model: str | DiffuseMorph | None = "default",
    device: str = "auto",
    quality: str = "default",
    modality: str = "auto",
    refine: str | int = "auto",
    trajectory: str = "anchored",
    restrict: str = "none",
    keep: str = "auto",
    keyframes: int = 5,
    threads: str | int = "auto",
    progress: Progress | None = None,
    seconds: dict[str, float] | None = None,
) -> Deformation:
    """Find the deformation that brings ``moving`` onto ``fixed``, both on one grid and already aligned.

    This is :func:`DiffuseMorphCore.register` without its first steps: nothing is read, cut or aligned.

    Parameters
    ----------
    fixed, moving : (*spatial), two or three axes of at least 8 voxels, or (1, 1, *spatial); intensities in [0, 1], the
        background 0. With the axes in the order foot to head, front to back, side to side of an array in LPS order a
        bundled model sees heads as it has learnt them.
    spacing : mm between voxels in array order; None: 1 mm.
    fixed_mask, moving_mask : of the same shape, not 0 where the image counts; None: everywhere.
    model, device, quality, modality, refine, trajectory, restrict, keep, keyframes, threads : as for
        :func:`DiffuseMorphCore.register`; axes to restrict to are x for the last one of the array, y for that before.
    progress : called with a stage (predict, refine, deliver) and the fraction of it that is done; returning False
        cancels.
    seconds : gets the wall seconds of every stage by its name.

    Returns
    -------
    The path in eta, on the CPU, its making and notes; ``found.displacement(eta, shape)`` is a displacement (1, ndim,
    *shape) in voxels, pulling, ready for :func:`DiffuseMorphCore.warp.warp`.

    Raises
    ------
    DiffuseMorphError : tensors or options that cannot be used, in one sentence; Cancelled when ``progress`` cancels.
    """
    options = RegistrationOptions(
        model=model,
        device=device,
        threads=threads,
        quality=quality,
        modality=modality,
        refine=refine,
        trajectory=trajectory,
        restrict=restrict,
        keep=keep,
        keyframes=keyframes,
    )
    target, notes = choose_device(device), []
    stopwatch = Stopwatch(seconds)
    with stopwatch("prepare"):
        pair, grid = _checked(fixed, moving, fixed_mask, moving_mask, spacing)
        network = resolve_model(model, grid.ndim, target, notes)
    with stopwatch("modality"):
        canonical = cache(partial(resolve_canonical, network, grid.ndim, target))
        if modality == "auto":
            seen = contrast_grid(grid)
            modality = choose_modality(pair.at(seen.shape).to(target), seen, canonical).name
        goal = MODALITIES[modality]
        if modality == "different" and model == "default":
            network = canonical() or network

    def attempt(device: torch.device, reduction: int) -> Deformation:
        with stopwatch("prepare"):
            working = choose_grid(grid, device, goal, notes, reduction, quality)
            there = (_with_tissue(pair) if goal.uses_tissue else pair).to(device).at(working.shape)
        delivered = delivered_grid(working)
        return deform(there, delivered, grid.shape, network, device, goal, options, stopwatch, progress)

    found, _ = within_memory(attempt, target, notes)
    with stopwatch("verdict"):
        verdict = judge(found.pair, found.path.finest.on(found.grid), (0.0, 0.0))
        found.notes[:0] = notes
        if keep == "auto" and not verdict.gained(modality, found.pair.shape):
            found = found.undone(NO_GAIN)
    return found


def _checked(
    fixed: Any, moving: Any, fixed_mask: Any, moving_mask: Any, spacing: Sequence[float] | None
) -> tuple[ImagePair, Grid]:
    """The pair on the CPU, or on the device of its tensors, and its grid."""
    images = [_tensor(image, name) for image, name in ((fixed, "fixed image"), (moving, "moving image"))]
    masks = [
        None if mask is None else (_tensor(mask, name) != 0).float()
        for mask, name in ((fixed_mask, "fixed mask"), (moving_mask, "moving mask"))
    ]
    shape = tuple(images[0].shape[2:])
    for image, name in zip((images[1], *masks), ("moving image", "fixed mask", "moving mask")):
        if image is not None and tuple(image.shape[2:]) != shape:
            raise DiffuseMorphError(
                f"The {name} has the shape {tuple(image.shape[2:])} and the fixed image {shape}: "
                "give all of them on one grid."
            )
    for image, name in zip(images, ("fixed image", "moving image")):
        low, high = float(image.amin()), float(image.amax())
        if not (-_TOLERANCE <= low < high <= 1 + _TOLERANCE):
            raise DiffuseMorphError(
                f"The {name} has intensities from {low:g} to {high:g}: scale them to [0, 1], its background to 0."
            )
    for index, (mask, name) in enumerate(zip(masks, ("fixed mask", "moving mask"))):
        if mask is not None and not mask.any():
            raise DiffuseMorphError(f"The {name} is empty: mark a region of the image, or leave it out.")
        images[index] = images[index] if mask is None else continued(images[index], mask)
    spacing = (1.0,) * len(shape) if spacing is None else tuple(float(step) for step in spacing)
    if len(spacing) != len(shape) or not all(0 < step < math.inf for step in spacing):
        raise DiffuseMorphError(
            f"The spacing is {spacing}: give {len(shape)} lengths in mm above 0, one for each axis of the images."
        )
    ndim = len(shape)
    direction = tuple(float(row == column) for row in range(ndim) for column in range(ndim))
    return ImagePair(*images, *masks), Grid(shape[::-1], spacing[::-1], (0.0,) * ndim, direction)


def _tensor(values: Any, name: str) -> Tensor:
    """(1, 1, *spatial) float32 in memory of its own."""
    try:
        tensor = torch.as_tensor(values).detach().to(torch.float32, copy=True)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DiffuseMorphError(
            f"The {name} is of the type {type(values).__name__}: give a tensor or an array of numbers."
        ) from error
    if tensor.dim() in (2, 3):
        tensor = tensor[None, None]
    if tensor.dim() not in (4, 5) or tuple(tensor.shape[:2]) != (1, 1) or min(tensor.shape[2:]) < _LEAST_SIDE:
        raise DiffuseMorphError(
            f"The {name} has the shape {tuple(tensor.shape)}: give two or three axes of at least {_LEAST_SIDE} voxels."
        )
    return tensor.contiguous()


def _with_tissue(pair: ImagePair) -> ImagePair:
    """The pair with its shares of tissue: what is not background, which is 0."""
    return ImagePair(
        pair.fixed, pair.moving, pair.fixed_mask, pair.moving_mask, (pair.fixed > 0).float(), (pair.moving > 0).float()
    )
