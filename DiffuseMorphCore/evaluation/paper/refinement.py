"""The product's refinement on top of a compared network's field, so that what it changes can be told apart."""

from __future__ import annotations

import torch

from DiffuseMorphCore.evaluation.paper.baselines import TrajectoryAt
from DiffuseMorphCore.evaluation.paper.preparation import Case
from DiffuseMorphCore.registration.descent import RefinementSettings
from DiffuseMorphCore.registration.presets import AUTOMATIC_STEPS
from DiffuseMorphCore.registration.refine import refine
from DiffuseMorphCore.similarity import ImagePair

REFINED = "+refine"
"""Ending of a method's key that asks for it."""


@torch.no_grad()
def refined(case: Case, at: TrajectoryAt, device: torch.device) -> TrajectoryAt:
    """The trajectory after refinement of its end, as `register` has it: the correction is scaled with eta.

    Folds are not repaired here: what the refinement itself does to the topology has to be seen.
    """
    pair = ImagePair((case.fixed + 1) / 2, (case.moving + 1) / 2).to(device)
    start = at(1.0).to(device)
    settings = RefinementSettings.for_images(start.dim() - 2)
    correction = refine(pair, start, steps=AUTOMATIC_STEPS, settings=settings) - start
    return lambda eta: at(eta) + eta * correction.to(at(eta).device)
