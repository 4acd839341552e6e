"""DiffuseMorph trained with a term on its trajectory: two images alone do not say how one becomes the other.

Both terms look at the field of the share eta of the latent, M(m, eta * latent), at one random eta a step. The latent is
the one of inference, of step 0 and without noise: it is the one whose shares make the trajectory.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from DiffuseMorphCore.similarity import local_correlation
from DiffuseMorphCore.training.losses import noise_loss, smoothness
from DiffuseMorphCore.training.objective import Draw, JointObjective
from DiffuseMorphCore.training.pair import INTENSITIES, NUMBERS, TrainingPair, part
from DiffuseMorphCore.warp.sampling import warp

# Weight of the straight trajectory beside the similarity; squared voxels are small change to a correlation.
STRAIGHTNESS = 0.1


@dataclass(frozen=True)
class PairWithFrame(TrainingPair):
    """Training pairs with one true image between the ends of each.

    frame : (B, 1, *spatial) in [-1, 1]. time : (B,) its position between moving (0) and fixed image (1).
    """

    frame: Tensor | None = part(INTENSITIES)
    time: Tensor | None = part(NUMBERS)


class TrajectoryObjective(JointObjective):
    """The paper's objective (equations 7 to 9), registering from the clean latent, and a term on the trajectory.

    The term has the weight of the registration.
    """

    def forward(self, pair: TrainingPair, drawn: Draw) -> dict[str, Tensor]:
        weights, model = self.weights, self.model
        noisy = model.schedule.add_noise(pair.fixed, drawn.step, drawn.noise)
        noise = noise_loss(model.diffusion(pair.moving, pair.fixed, noisy, drawn.step), drawn.noise)
        latent = model.latent(pair.moving, pair.fixed)
        field = model.field(pair.moving, latent)
        registration, terms = self._registration(pair, field, drawn)
        term = self.on_trajectory(pair, drawn, latent, field)
        loss = weights.noise * noise + weights.registration * (registration + term)
        return {"loss": loss, "noise": noise, **terms, "trajectory": term}

    def on_trajectory(self, pair: TrainingPair, drawn: Draw, latent: Tensor, field: Tensor) -> Tensor:
        """The term on the trajectory, a scalar."""
        raise NotImplementedError


class StraightTrajectory(TrajectoryObjective):
    """The share eta of the latent has to give the share eta of the field: the one guess that two images allow."""

    def on_trajectory(self, pair: TrainingPair, drawn: Draw, latent: Tensor, field: Tensor) -> Tensor:
        partial = self.model.field(pair.moving, drawn.eta * latent)
        return STRAIGHTNESS * (partial - drawn.eta * field.detach()).square().mean()


class FrameTrajectory(TrajectoryObjective):
    """At eta = its time, the moved image has to look like a true frame: for data in which the motion was recorded."""

    def on_trajectory(self, pair: PairWithFrame, drawn: Draw, latent: Tensor, field: Tensor) -> Tensor:
        share = pair.time.view(-1, *[1] * (latent.ndim - 1))
        partial = self.model.field(pair.moving, share * latent)
        moved = warp(pair.moving, self.model.displacement(partial))
        unlike = 1 - local_correlation(moved, pair.frame, self.weights.window)
        return unlike + self.weights.smoothness * smoothness(partial)
