"""The networks that are compared: DiffuseMorph, and others made of the same deformation network M.

VoxelMorph is M given the moving and the fixed image (its latent input); VoxelMorph-diff reads its output as a velocity;
CycleMorph adds the way back and the cycle to the loss; SYMNet is trained on both halves of a symmetric path; MSDIRNet
alone has networks of its own (`msdirnet`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from DiffuseMorphCore.evaluation.paper.msdirnet import Critic, MultiscaleNetwork
from DiffuseMorphCore.evaluation.paper.trajectory_objectives import FrameTrajectory, StraightTrajectory
from DiffuseMorphCore.networks.configuration import ModelConfiguration
from DiffuseMorphCore.networks.deformation import DeformationNetwork
from DiffuseMorphCore.networks.model import DiffuseMorph
from DiffuseMorphCore.samplers.trajectory import Trajectory
from DiffuseMorphCore.similarity import local_correlation
from DiffuseMorphCore.training.losses import folding_penalty, smoothness
from DiffuseMorphCore.training.objective import Draw, JointObjective, LossWeights
from DiffuseMorphCore.training.pair import TrainingPair
from DiffuseMorphCore.warp.exponential import exponential
from DiffuseMorphCore.warp.sampling import compose, warp

# Weights of the terms that CycleMorph and SYMNet add, as their papers have them relative to the similarity.
CYCLE_WEIGHT, IDENTITY_WEIGHT = 0.1, 0.5
ORIENTATION_WEIGHT = 1.0
# Of the critic's opinion beside the similarity, for MSDIRNet; its paper's weight belongs to another similarity.
ADVERSARIAL_WEIGHT = 0.1

TrajectoryAt = Callable[[float], Tensor]
"""eta in [0, 1] -> (1, ndim, *spatial) displacement in voxels."""


@dataclass(frozen=True)
class Method:
    """A row of a table: its key, its name there, which trained network it uses and how that network moves with eta."""

    key: str
    title: str
    network: str
    form: str = "anchored"


COMPARED = {
    method.key: method
    for method in (
        Method("voxelmorph", "VoxelMorph, scaled field", "voxelmorph"),
        Method("voxelmorph-diff", "VoxelMorph-diff, integration time", "voxelmorph-diff"),
        Method("cyclemorph", "CycleMorph (cycle loss), scaled field", "cyclemorph"),
        Method("symnet", "SYMNet (symmetric training), integration time", "symnet"),
        Method("msdirnet", "MSDIRNet (global, local, critic), scaled field", "msdirnet"),
        Method("diffusemorph", "DiffuseMorph, as in the paper", "diffusemorph", "faithful"),
        Method("diffusemorph-anchored", "DiffuseMorph, anchored", "diffusemorph", "anchored"),
        Method("diffusemorph-velocity", "DiffuseMorph, velocity, anchored", "diffusemorph-velocity", "anchored"),
        Method("diffusemorph-clean", "DiffuseMorph, clean latent", "diffusemorph-clean", "anchored"),
        Method("diffusemorph-path", "DiffuseMorph, clean latent, straight trajectory", "diffusemorph-path", "anchored"),
        Method("diffusemorph-frames", "DiffuseMorph, clean latent, true frames", "diffusemorph-frames", "faithful"),
    )
}


class FieldObjective(nn.Module):
    """A deformation network given both images, with the paper's registration loss (equation 9).

    The weights are those of DiffuseMorph's own objective, so that the registration term is the same in all.
    """

    def __init__(self, network: nn.Module, weights: LossWeights, velocity: bool) -> None:
        super().__init__()
        self.network, self.weights, self.velocity = network, weights, velocity

    def displacement(self, field: Tensor, time: float = 1.0) -> Tensor:
        """What a field does at `time`: the flow of a velocity up to then, or the scaled displacement."""
        return exponential(time * field) if self.velocity else time * field

    def forward(self, pair: TrainingPair, drawn: Draw) -> dict[str, Tensor]:
        """The loss and the mean LNCC, as scalars; `drawn` is not used, because nothing here is random."""
        loss, similarity = self.registration(pair, self.network(pair.moving, pair.fixed))
        return {"loss": self.weights.registration * loss, "similarity": similarity}

    def registration(self, pair: TrainingPair, field: Tensor) -> tuple[Tensor, Tensor]:
        """The loss without its weight, and the mean LNCC, for the field from the moving to the fixed image."""
        return self._one_way(pair.moving, pair.fixed, field)[:2]

    def trajectory(self, moving: Tensor, fixed: Tensor) -> TrajectoryAt:
        """A displacement is scaled with eta; a velocity is integrated for the time eta."""
        field = self.network(moving, fixed)
        return lambda eta: self.displacement(field, eta)

    def _one_way(self, moving: Tensor, fixed: Tensor, field: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        moved = warp(moving, self.displacement(field))
        similarity = local_correlation(moved, fixed, self.weights.window)
        return 1 - similarity + self.weights.smoothness * smoothness(field), similarity, moved


class CycleObjective(FieldObjective):
    """The way back from fixed to moving, the two cycles, and images registered to themselves, in the loss too."""

    def registration(self, pair: TrainingPair, field: Tensor) -> tuple[Tensor, Tensor]:
        loss, similarity, moved = self._one_way(pair.moving, pair.fixed, field)
        back, _, returned = self._one_way(pair.fixed, pair.moving, self.network(pair.fixed, pair.moving))
        cycles = (warp(moved, self.network(moved, pair.moving)) - pair.moving).abs().mean()
        cycles = cycles + (warp(returned, self.network(returned, pair.fixed)) - pair.fixed).abs().mean()
        same = sum(
            1 - local_correlation(warp(image, self.network(image, image)), image, self.weights.window)
            for image in (pair.moving, pair.fixed)
        )
        return loss + (back + CYCLE_WEIGHT * cycles + IDENTITY_WEIGHT * same), similarity


class AdversarialObjective(FieldObjective):
    """A critic, trained in the same steps, tells moved images from fixed ones; the network has to deceive it too."""

    def __init__(self, network: nn.Module, weights: LossWeights, velocity: bool) -> None:
        super().__init__(network, weights, velocity)
        self.critic = Critic(network.ndim)

    def registration(self, pair: TrainingPair, field: Tensor) -> tuple[Tensor, Tensor]:
        loss, similarity, moved = self._one_way(pair.moving, pair.fixed, field)
        deceived, told = self.opinions(moved, pair.fixed)
        return loss + ADVERSARIAL_WEIGHT * deceived + told, similarity

    def opinions(self, moved: Tensor, fixed: Tensor) -> tuple[Tensor, Tensor]:
        """What the network pays for being found out, and what the critic pays for its errors.

        Each has gradients for the one that pays alone, so that one optimiser can take both of their steps.
        """
        as_it_is = {name: value.detach() for name, value in self.critic.named_parameters()}
        deceived = softplus(-functional_call(self.critic, as_it_is, (moved,))).mean()
        told = softplus(-self.critic(fixed)).mean() + softplus(self.critic(moved.detach())).mean()
        return deceived, told


class SymmetricObjective(FieldObjective):
    """Both images meet half way; then each goes all the way with the other's half inverted."""

    def registration(self, pair: TrainingPair, field: Tensor) -> tuple[Tensor, Tensor]:
        back = self.network(pair.fixed, pair.moving)
        window = self.weights.window
        half_forth, half_back = self.displacement(field, 0.5), self.displacement(back, 0.5)
        meeting = 1 - local_correlation(warp(pair.moving, half_forth), warp(pair.fixed, half_back), window)
        whole_forth = compose(half_forth, self.displacement(-back, 0.5))
        whole_back = compose(half_back, self.displacement(-field, 0.5))
        similarity = local_correlation(warp(pair.moving, whole_forth), pair.fixed, window)
        other = local_correlation(warp(pair.fixed, whole_back), pair.moving, window)
        regular = smoothness(field) + smoothness(back)
        regular = regular + ORIENTATION_WEIGHT * (folding_penalty(half_forth) + folding_penalty(half_back))
        return meeting + 2 - similarity - other + self.weights.smoothness * regular, similarity

    def trajectory(self, moving: Tensor, fixed: Tensor) -> TrajectoryAt:
        """At eta 1 the two halves are composed; on the trajectory the first leads."""
        field, back = self.network(moving, fixed), self.network(fixed, moving)
        return lambda eta: compose(self.displacement(field, eta / 2), self.displacement(-back, eta / 2))


@dataclass(frozen=True)
class TrainedNetwork:
    """How a network is trained.

    objective : what is minimised. velocity : whether its output is one. clean : registered in training as at inference,
    from step 0, where there is no noise (the noise loss is unchanged). frames : its pairs come with a true image on the
    trajectory. network : of the methods without a diffusion network, made of (ndim, configuration of M).
    """

    objective: type[nn.Module]
    velocity: bool = False
    clean: bool = False
    frames: bool = False
    network: type[nn.Module] = DeformationNetwork


NETWORKS = {
    "voxelmorph": TrainedNetwork(FieldObjective),
    "voxelmorph-diff": TrainedNetwork(FieldObjective, velocity=True),
    "cyclemorph": TrainedNetwork(CycleObjective),
    "symnet": TrainedNetwork(SymmetricObjective, velocity=True),
    "msdirnet": TrainedNetwork(AdversarialObjective, network=MultiscaleNetwork),
    "diffusemorph": TrainedNetwork(JointObjective),
    "diffusemorph-velocity": TrainedNetwork(JointObjective, velocity=True),
    "diffusemorph-clean": TrainedNetwork(JointObjective, clean=True),
    "diffusemorph-path": TrainedNetwork(StraightTrajectory),
    "diffusemorph-frames": TrainedNetwork(FrameTrajectory, frames=True),
}
"""Every network that a :class:`Method` may name."""


def build_objective(network: str, configuration: ModelConfiguration, weights: LossWeights) -> nn.Module:
    """The networks of `network` (a `Method.network`) with random weights, inside the objective that trains them."""
    recipe = NETWORKS[network]
    configuration = replace(configuration, output="velocity" if recipe.velocity else "displacement")
    if recipe.clean:
        weights = replace(weights, registration_steps="zero")
    if issubclass(recipe.objective, JointObjective):
        return recipe.objective(DiffuseMorph(configuration), weights)
    return recipe.objective(recipe.network(configuration.ndim, configuration.deformation), weights, recipe.velocity)


@torch.no_grad()
def trajectory(objective: nn.Module, moving: Tensor, fixed: Tensor, form: str = "anchored") -> TrajectoryAt:
    """The deformations of one pair (1, 1, *spatial), from a trained objective.

    DiffuseMorph scales its latent (Algorithm 1, `form` "faithful" or "anchored"); the others say themselves.
    """
    if isinstance(objective, JointObjective):
        return Trajectory(objective.model, moving, fixed, form).exact
    return objective.trajectory(moving, fixed)
