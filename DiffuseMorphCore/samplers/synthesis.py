"""Synthetic images by reverse diffusion from the noisy moving image towards the fixed one (Algorithm 2)."""

from __future__ import annotations

import torch
from torch import Tensor

from DiffuseMorphCore.networks.model import DiffuseMorph
from DiffuseMorphCore.progress import Progress, advance
from DiffuseMorphCore.seeds import generator, standard_normal


@torch.no_grad()
def synthesize(
    model: DiffuseMorph,
    moving: Tensor,
    fixed: Tensor,
    start: int = 200,
    steps: int = 80,
    seed: int = 0,
    clamp: bool = True,
    progress: Progress | None = None,
) -> Tensor:
    """Generate an image with the content of the moving one and the shape of the fixed one.

    The moving image gets the noise of index `start` at once (equation 12); `steps` reverse steps (equation 13) from the
    same index down to 0 take it away, each guided by G given the pair. With fewer steps than start + 1, the betas are
    recomputed for the indices that are kept.

    A model with a canonical contrast draws the image in that, from the moving anatomy in it.

    Parameters
    ----------
    moving, fixed : (B, 1, *spatial) in [-1, 1], 2-D or 3-D.
    start : index into the model's schedule (paper: 200).
    steps : number of calls of G (paper: 80; all of them: start + 1).
    seed : all noise is drawn on the CPU, so that a seed means the same on every device.
    clamp : keep the estimate of the clean image in [-1, 1] at every step, as the authors' code does.
    progress : called with the stage "synthesize"; may cancel.

    Returns
    -------
    (B, 1, *spatial), in [-1, 1] with `clamp`.

    Raises
    ------
    DiffuseMorphError : a start or a number of steps that the schedule does not have. Cancelled : `progress` returned
        False.
    """
    schedule = model.schedule.strided(start, steps)
    random = generator(seed)

    def draw() -> Tensor:
        return standard_normal(moving.shape, random, moving.device)

    advance(progress, "synthesize", 0.0)
    image = schedule.add_noise(model.moving_input(moving, fixed), len(schedule) - 1, draw())
    for done, step in enumerate(reversed(range(len(schedule))), start=1):
        noise = model.noise(moving, fixed, image, int(schedule.original[step]))
        image = schedule.reverse_step(image, step, noise, draw() if step else None, clamp)
        advance(progress, "synthesize", done / len(schedule))
    return image
