"""The networks that are compared: DiffuseMorph, and others made of the same deformation network M.

VoxelMorph is M given the moving and the fixed image (its latent input); VoxelMorph-diff reads its output as a velocity;
CycleMorph adds the way back and the cycle to the loss; SYMNet is trained on both halves of a symmetric path.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from DiffuseMorphCore.networks.configuration import ModelConfiguration
from DiffuseMorphCore.networks.deformation import DeformationNetwork
from DiffuseMorphCore.networks.model import DiffuseMorph
from DiffuseMorphCore.samplers.trajectory import Trajectory
from DiffuseMorphCore.evaluation.paper.ways import StraightWay, WayOfFrames
from DiffuseMorphCore.similarity import local_correlation
from DiffuseMorphCore.training.losses import folding_penalty, smoothness
from DiffuseMorphCore.training.objective import Draw, JointObjective, LossWeights
from DiffuseMorphCore.training.pair import Pair
from DiffuseMorphCore.warp.exponential import exponential
from DiffuseMorphCore.warp.sampling import compose, warp

# Weights of the terms that CycleMorph and SYMNet add, as their papers have them relative to the similarity.
CYCLE_WEIGHT, IDENTITY_WEIGHT = 0.1, 0.5
ORIENTATION_WEIGHT = 1.0

TrajectoryAt = Callable[[float], Tensor]
"""eta in [0, 1] -> (1, ndim, *spatial) displacement in voxels."""


@dataclass(frozen=True)
class Method:
    """A row of a table: its key, its name there, which trained network it uses and how that network moves with eta."""

    key: str
    title: str
    network: str
    form: str = "anchored"


METHODS = {method.key: method for method in (
    Method("voxelmorph", "VoxelMorph, scaled field", "voxelmorph"),
    Method("voxelmorph-diff", "VoxelMorph-diff, integration time", "voxelmorph-diff"),
    Method("cyclemorph", "CycleMorph (cycle loss), scaled field", "cyclemorph"),
    Method("symnet", "SYMNet (symmetric training), integration time", "symnet"),
    Method("diffusemorph", "DiffuseMorph, as in the paper", "diffusemorph", "faithful"),
    Method("diffusemorph-anchored", "DiffuseMorph, anchored", "diffusemorph", "anchored"),
    Method("diffusemorph-velocity", "DiffuseMorph, velocity, anchored", "diffusemorph-velocity", "anchored"),
    Method("diffusemorph-clean", "DiffuseMorph, clean latent", "diffusemorph-clean", "anchored"),
    Method("diffusemorph-path", "DiffuseMorph, clean latent, straight way", "diffusemorph-path", "anchored"),
    Method("diffusemorph-frames", "DiffuseMorph, clean latent, true frames", "diffusemorph-frames", "faithful"),
)}
VELOCITY_NETWORKS = frozenset({"voxelmorph-diff", "symnet", "diffusemorph-velocity"})


class FieldObjective(nn.Module):
    """A deformation network given both images, with the paper's registration loss (equation 9).

    kind : "voxelmorph", "voxelmorph-diff", "cyclemorph" or "symnet". The weights are those of DiffuseMorph's own
    objective, so that the registration term is the same in all.
    """

    def __init__(self, network: DeformationNetwork, kind: str, weights: LossWeights) -> None:
        super().__init__()
        self.network, self.kind, self.weights = network, kind, weights
        self.velocity = kind in VELOCITY_NETWORKS

    def displacement(self, field: Tensor, time: float = 1.0) -> Tensor:
        """What a field does at `time`: the flow of a velocity up to then, or the scaled displacement."""
        return exponential(time * field) if self.velocity else time * field

    def forward(self, pair: Pair, drawn: Draw) -> dict[str, Tensor]:
        """The loss and the mean LNCC, as scalars; `drawn` is not used, because nothing here is random."""
        field = self.network(pair.moving, pair.fixed)
        if self.kind == "symnet":
            loss, similarity = self._symmetric(pair, field)
        else:
            loss, similarity, moved = self._one_way(pair.moving, pair.fixed, field)
            if self.kind == "cyclemorph":
                loss = loss + self._cycle(pair, moved)
        return {"loss": self.weights.registration * loss, "similarity": similarity}

    def _one_way(self, moving: Tensor, fixed: Tensor, field: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        moved = warp(moving, self.displacement(field))
        similarity = local_correlation(moved, fixed, self.weights.window)
        return 1 - similarity + self.weights.smoothness * smoothness(field), similarity, moved

    def _cycle(self, pair: Pair, moved: Tensor) -> Tensor:
        """The way back from fixed to moving, the two cycles, and images registered to themselves."""
        back, _, returned = self._one_way(pair.fixed, pair.moving, self.network(pair.fixed, pair.moving))
        cycles = (warp(moved, self.network(moved, pair.moving)) - pair.moving).abs().mean()
        cycles = cycles + (warp(returned, self.network(returned, pair.fixed)) - pair.fixed).abs().mean()
        same = sum(1 - local_correlation(warp(image, self.network(image, image)), image, self.weights.window)
                   for image in (pair.moving, pair.fixed))
        return back + CYCLE_WEIGHT * cycles + IDENTITY_WEIGHT * same

    def _symmetric(self, pair: Pair, forth: Tensor) -> tuple[Tensor, Tensor]:
        """Both images meet half way; then each goes all the way with the other's half inverted."""
        back = self.network(pair.fixed, pair.moving)
        window = self.weights.window
        half_forth, half_back = self.displacement(forth, 0.5), self.displacement(back, 0.5)
        meeting = 1 - local_correlation(warp(pair.moving, half_forth), warp(pair.fixed, half_back), window)
        whole_forth = compose(half_forth, self.displacement(-back, 0.5))
        whole_back = compose(half_back, self.displacement(-forth, 0.5))
        similarity = local_correlation(warp(pair.moving, whole_forth), pair.fixed, window)
        other = local_correlation(warp(pair.fixed, whole_back), pair.moving, window)
        regular = smoothness(forth) + smoothness(back)
        regular = regular + ORIENTATION_WEIGHT * (folding_penalty(half_forth) + folding_penalty(half_back))
        return meeting + 2 - similarity - other + self.weights.smoothness * regular, similarity


def build_objective(network: str, configuration: ModelConfiguration, weights: LossWeights) -> nn.Module:
    """The networks of `network` (a `Method.network`) with random weights, inside the objective that trains them."""
    output = "velocity" if network in VELOCITY_NETWORKS else "displacement"
    configuration = replace(configuration, output=output)
    if network == "diffusemorph-clean":
        # Registered in training as at inference: from step 0, where there is no noise (the noise loss is unchanged).
        weights = replace(weights, registration_steps="zero")
    if network.startswith("diffusemorph"):
        kind = {"diffusemorph-path": StraightWay, "diffusemorph-frames": WayOfFrames}.get(network, JointObjective)
        return kind(DiffuseMorph(configuration), weights)
    return FieldObjective(DeformationNetwork(configuration.ndim, configuration.deformation), network, weights)


@torch.no_grad()
def trajectory(objective: nn.Module, moving: Tensor, fixed: Tensor, form: str = "anchored") -> TrajectoryAt:
    """The deformations of one pair (1, 1, *spatial), from a trained objective.

    DiffuseMorph scales its latent (Algorithm 1, `form` "faithful" or "anchored"); SYMNet composes its two halves at
    eta 1 and goes along the first; a displacement is scaled; a velocity is integrated for the time eta.
    """
    if isinstance(objective, JointObjective):
        return Trajectory(objective.model, moving, fixed, form).exact
    field = objective.network(moving, fixed)
    if objective.kind == "symnet":
        back = objective.network(fixed, moving)

        def symmetric(eta: float) -> Tensor:
            return compose(objective.displacement(field, eta / 2), objective.displacement(-back, eta / 2))

        return symmetric
    return lambda eta: objective.displacement(field, eta)
