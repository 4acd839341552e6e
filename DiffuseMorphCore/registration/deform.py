"""Predict, refine and repair one pair on its working grid: tensors in, a fold-free trajectory out."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from DiffuseMorphCore.networks import DiffuseMorph
from DiffuseMorphCore.progress import Progress, advance
from DiffuseMorphCore.registration.predict import predict
from DiffuseMorphCore.registration.descent import RefinementSettings
from DiffuseMorphCore.registration.refine import AUTOMATIC_STEPS, EARLY_STOPPING, LARGE_GRID, refine
from DiffuseMorphCore.registration.stages import Stopwatch
from DiffuseMorphCore.samplers import even_etas
from DiffuseMorphCore.similarity import MODALITIES, ImagePair
from DiffuseMorphCore.warp import resize_displacement, unfold


TWO_STARTS, CLEARLY = 300_000, 1.01
"""On working grids of at most so many voxels, where it costs little, the refinement is tried from zero too; what the network
began is dropped where the match without it is so many times as good."""


@dataclass(frozen=True)
class Task:
    """What is asked for: modality, steps of the refinement (``"auto"`` or a number), form and keyframes of the trajectory."""

    modality: str
    refine: str | int
    trajectory: str
    keyframes: int


@dataclass(frozen=True)
class Deformation:
    """A trajectory on the processor, (K, ndim, *spatial) displacements in voxels of the delivered grid, and its making."""

    etas: tuple[float, ...]
    keyframes: Tensor
    similarity: dict[str, float]
    repaired: int
    notes: list[str] = field(default_factory=list)


@torch.no_grad()
def deform(pair: ImagePair, shape: tuple[int, ...], fixed_shape: tuple[int, ...], network: DiffuseMorph | None,
           device: torch.device, task: Task, stopwatch: Stopwatch, progress: Progress | None) -> Deformation:
    """Run the network and the refinement on ``device``; the trajectory lies on ``shape``, fold-free on ``fixed_shape``.

    The correction by the refinement is a displacement scaled with eta: nothing at 0, whole at 1. The network's answer is
    kept only where it makes the images more alike, and does not lead the refinement astray.
    """
    pair = pair.to(device)
    notes: list[str] = []
    goal = MODALITIES[task.modality]
    rest = torch.zeros((1, len(shape), *shape), device=device)

    def similar(displacement: Tensor) -> float:
        return goal.evaluate(pair, resize_displacement(displacement, pair.shape))

    similarity = {"aligned": similar(rest)}
    etas, keyframes = (0.0, 1.0), torch.cat([rest, rest])
    steps = AUTOMATIC_STEPS if task.refine == "auto" else task.refine
    settings = EARLY_STOPPING if task.refine == "auto" and pair.fixed.numel() > LARGE_GRID else RefinementSettings()
    with stopwatch("predict"):
        if network is not None:
            advance(progress, "predict", 0.0)
            etas = even_etas(task.keyframes)
            seen = goal.network_pair(pair, resize_displacement(rest, pair.shape))
            keyframes = predict(network.to(device), seen, shape, etas, task.trajectory, further=not steps)
            similarity["network"] = similar(keyframes[-1:])
            if similarity["network"] <= similarity["aligned"]:
                notes.append("The network did not make the images more alike, so its answer was not used.")
                network, etas, keyframes = None, (0.0, 1.0), torch.cat([rest, rest])
            advance(progress, "predict", 1.0)
    with stopwatch("refine"):
        if steps:
            start = resize_displacement(keyframes[-1:], pair.shape)
            both = network is not None and pair.fixed.numel() <= TWO_STARTS

            def refined(begin: Tensor, done: float) -> Tensor:
                return refine(pair, begin, steps=steps, similarity=goal, settings=settings,
                              advance=lambda fraction: advance(progress, "refine", (done + fraction) / (2 if both else 1)))

            better = refined(start, 0)
            if both:
                other = refined(torch.zeros_like(start), 1)
                if goal.evaluate(pair, other) > CLEARLY * goal.evaluate(pair, better):
                    notes.append("The refinement ended clearly better without the network's answer, so that was not used.")
                    etas, keyframes, start, better = (0.0, 1.0), torch.cat([rest, rest]), torch.zeros_like(start), other
            share = torch.tensor(etas, device=device).view(-1, *[1] * (better.dim() - 1))
            keyframes = keyframes + share * resize_displacement(better - start, shape)
        advance(progress, "refine", 1.0)
    with stopwatch("deliver"):
        advance(progress, "deliver", 0.0)
        keyframes, repaired = unfold(keyframes, etas, fixed_shape,
                                     advance=lambda fraction: advance(progress, "deliver", fraction))
        similarity["registered"] = similar(keyframes[-1:])
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return Deformation(etas, keyframes.cpu(), similarity, repaired, notes)
