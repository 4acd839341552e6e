"""How good a model is on the validation pairs, and what the two networks are doing there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from DiffuseMorphCore.networks.model import DiffuseMorph
from DiffuseMorphCore.seeds import generator
from DiffuseMorphCore.similarity import local_correlation
from DiffuseMorphCore.training.losses import noise_loss
from DiffuseMorphCore.training.pair import TrainingPair
from DiffuseMorphCore.warp import folding, warp

BUCKETS = (0.0, 0.005, 0.05, 0.25, 0.5, 1.0)  # time steps, as fractions of the schedule, at which noise is estimated
_NOISE_STREAM = 1 << 30


def dice(labels: Tensor, reference: Tensor) -> float:
    """Mean Dice over the labels but 0 in `reference`; both whole numbers of one shape. NaN if there is none."""
    a, b = labels.flatten().long(), reference.flatten().long()
    count = int(torch.maximum(a.max(), b.max())) + 1
    table = torch.bincount(a * count + b, minlength=count * count).view(count, count).double()
    both, sizes, wanted = table.diagonal(), table.sum(0) + table.sum(1), table.sum(0) > 0
    wanted[0] = False
    return float((2 * both[wanted] / sizes[wanted]).mean()) if wanted.any() else float("nan")


@torch.no_grad()
def validate(
    model: DiffuseMorph, pairs: Sequence[TrainingPair], window: int, control: DiffuseMorph | None = None
) -> dict[str, float]:
    """Means over the pairs, registered as inference does it: latent at step 0 from the noise-free fixed image.

    similarity_before, similarity : mean LNCC. dice_before, dice : where the pairs have labels. folding : share of
    voxels by the ten-determinant rule. displacement : mean length in voxels. field_at_0 : mean length, in voxels, of
    M's output for the latent 0, which the paper's trajectory shows at eta = 0. noise_<t> : error of the noise estimate
    at time step t, 1 for a useless one. control_similarity, control_dice : of the VoxelMorph control, if there is one.
    canonical_error : root mean square, over the images' range of 2, of the latent of a model with a canonical contrast.
    """
    figures: dict[str, list[float]] = {}

    def note(name: str, value: float | Tensor) -> None:
        figures.setdefault(name, []).append(float(value))

    last = len(model.schedule) - 1
    for number, pair in enumerate(pairs):
        latent = model.latent(pair.moving, pair.fixed)
        seen = model.moving_input(pair.moving, pair.fixed)
        displacement = model.displacement(model.field(seen, latent))
        note("similarity_before", local_correlation(pair.moving, pair.fixed, window))
        _compare(pair, displacement, window, note, "")
        note("folding", folding(displacement).share)
        note("displacement", displacement.norm(dim=1).mean())
        note("field_at_0", model.field(seen, torch.zeros_like(latent)).norm(dim=1).mean())
        noise = torch.randn(pair.fixed.shape, generator=generator(_NOISE_STREAM, number)).to(pair.fixed.device)
        clean = pair.fixed
        if model.is_canonical and pair.fixed_anatomy is not None:
            clean = pair.fixed_anatomy
            note("canonical_error", (latent - clean).square().mean().sqrt())
        for fraction in BUCKETS if model.diffusion is not None else ():
            step = round(fraction * last)
            noisy = model.schedule.add_noise(clean, step, noise)
            note(f"noise_{step}", noise_loss(model.noise(pair.moving, pair.fixed, noisy, step), noise))
        if pair.fixed_labels is not None and pair.moving_labels is not None:
            note("dice_before", dice(pair.moving_labels, pair.fixed_labels))
        if control is not None:
            field = control.displacement(control.field(pair.moving, pair.fixed))
            _compare(pair, field, window, note, "control_")
    return {name: sum(values) / len(values) for name, values in figures.items()}


def _compare(pair: TrainingPair, displacement: Tensor, window: int, note, prefix: str) -> None:
    note(f"{prefix}similarity", local_correlation(warp(pair.moving, displacement), pair.fixed, window))
    if pair.fixed_labels is not None and pair.moving_labels is not None:
        note(f"{prefix}dice", dice(warp(pair.moving_labels, displacement, "nearest"), pair.fixed_labels))
