"""The joint objective of diffusion and registration, end to end (paper, equations 7 to 9)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from DiffuseMorphCore.networks.model import DiffuseMorph
from DiffuseMorphCore.seeds import normal_on
from DiffuseMorphCore.similarity import local_correlation
from DiffuseMorphCore.training.augmentation import uniform
from DiffuseMorphCore.training.losses import folding_penalty, known_field_loss, noise_loss, smoothness, soft_dice
from DiffuseMorphCore.training.pair import TrainingPair
from DiffuseMorphCore.warp import downsample, resize_displacement, warp

REGISTRATION_STEPS = ("same", "zero", "both", "alternate")
COARSER = 2 / 3  # voxels a side of a pass to those of the pass after it


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms: noise + registration * (1 - LNCC + smoothness * smoothness + labels * (1 - Dice)
    + known * squared error of a known field + folding * folding).

    Attributes
    ----------
    registration, smoothness : the paper's lambda and lambda_phi.
    window : that of the LNCC.
    label_count : labels that are drawn for every step.
    registration_steps : from which latent the deformation is made: "same", the paper's, from the step drawn for the
        noise; "zero" from step 0 and the clean fixed image, as inference has it; "both"; "alternate": `zero_share` of
        the training steps have only the registration from step 0, the others are the paper's.
    warm_up : the deformation network gets the fixed image itself in place of the latent, and the diffusion network
        learns to give it at step 0: a start for both, apart, because as long as neither knows what the other is about
        there is next to no gradient, and the noise to be estimated is all that the latent learns to hold.
    random_eta : adds smoothness and folding of the field at a random eta, so that the way there is as regular as its
        end.
    passes : shares of the training steps in which the moving image was moved before by 0, 1, 2, … passes of the
        networks on coarser grids (see predict), so that they learn to go on from their own answers; the true field is
        then not known.
    """

    noise: float = 1.0
    registration: float = 10.0
    smoothness: float = 1.0
    labels: float = 0.0
    label_count: int = 8
    known: float = 0.0
    folding: float = 0.0
    window: int = 9
    registration_steps: str = field(default="same", metadata={"allowed": REGISTRATION_STEPS})
    zero_share: float = 0.5
    warm_up: bool = False
    random_eta: bool = False
    passes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Draw:
    """What is random about the objective itself in one training step.

    step : (B,) int64 time step; noise : (B, 1, *spatial); labels : (K,) label values, maybe none;
    at_zero : whether an alternating objective is at step 0; eta : for the term at a random eta; warm_up : see
        LossWeights;
    passes : how many passes on coarser grids came before.
    """

    step: Tensor
    noise: Tensor
    labels: Tensor
    at_zero: bool
    eta: float
    warm_up: bool = False
    passes: int = 0


def draw(pair: TrainingPair, weights: LossWeights, steps: int, random: torch.Generator) -> Draw:
    """Draw time steps, noise, labels and eta for one batch; the noise schedule has `steps` steps."""
    step = torch.randint(steps, (pair.fixed.shape[0],), generator=random)
    noise = normal_on(pair.fixed.device, pair.fixed.shape, random)
    at_zero = uniform(0, 1, random) < weights.zero_share
    eta = uniform(0, 1, random)
    labels = torch.empty(0)
    if (
        weights.registration > 0
        and weights.labels > 0
        and pair.fixed_labels is not None
        and pair.moving_labels is not None
    ):
        present = pair.fixed_labels.unique().cpu()
        present = present[present != 0]
        labels = present[torch.randperm(len(present), generator=random)[: weights.label_count]]
    passes = int(torch.multinomial(torch.tensor(weights.passes), 1, generator=random)) if weights.passes else 0
    device = pair.fixed.device
    return Draw(step.to(device), noise, labels.to(device), at_zero, eta, weights.warm_up, passes)


class JointObjective(nn.Module):
    """Model and objective as one module, so that several processes can share its gradients.

    A model without a diffusion network (VoxelMorph) is trained by the registration alone. `control`, such a model too,
    is trained beside another one on the same pairs by the same registration loss; it shares nothing with that.
    """

    def __init__(self, model: DiffuseMorph, weights: LossWeights, control: DiffuseMorph | None = None) -> None:
        super().__init__()
        self.model, self.weights, self.control = model, weights, control

    def forward(self, pair: TrainingPair, drawn: Draw) -> dict[str, Tensor]:
        """The loss and its terms as scalars, "loss" among them; "similarity" is the mean LNCC, 1 at best."""
        weights = self.weights
        mode = weights.registration_steps
        if mode == "alternate":
            mode = "only zero" if drawn.at_zero else "same"
        if self.model.diffusion is None:
            mode = "only zero"
        for earlier in range(drawn.passes, 0, -1):
            pair = self._moved(pair, COARSER**earlier)
        latents, terms = [], {}
        total = pair.fixed.new_zeros(())
        if drawn.warm_up and self.model.diffusion is not None:
            terms["warm_up"] = (self.model.latent(pair.moving, pair.fixed) - pair.fixed).square().mean()
            total = total + terms["warm_up"]
            latents, mode = [pair.fixed], "warm_up"
        elif mode != "only zero":
            noisy = self.model.schedule.add_noise(pair.fixed, drawn.step, drawn.noise)
            latent = self.model.diffusion(pair.moving, pair.fixed, noisy, drawn.step)
            terms["noise"] = noise_loss(latent, drawn.noise)
            total = total + weights.noise * terms["noise"]
            if mode != "zero":
                latents.append(latent)
        if mode not in ("same", "warm_up"):
            latents.append(self.model.latent(pair.moving, pair.fixed))
        for latent in latents:
            field = self.model.field(pair.moving, latent)
            registration, parts = self._registration(pair, field, drawn)
            if weights.random_eta:
                partial = self.model.field(pair.moving, drawn.eta * latent)
                registration = registration + weights.smoothness * smoothness(partial)
                registration = registration + weights.folding * folding_penalty(self.model.displacement(partial))
            for name, value in parts.items():
                terms[name] = terms.get(name, 0) + value / len(latents)
            total = total + weights.registration * registration / len(latents)
        if self.control is not None:
            total = total + self._train_control(pair, drawn, terms)
        return {"loss": total, **terms}

    def _train_control(self, pair: TrainingPair, drawn: Draw, terms: dict[str, Tensor]) -> Tensor:
        """The loss of the control, which gets the images as they are; its similarity is added to the terms."""
        registration, parts = self._registration(pair, self.control.field(pair.moving, pair.fixed), drawn)
        terms["control_similarity"] = parts["similarity"]
        return self.weights.registration * registration

    @torch.no_grad()
    def _moved(self, pair: TrainingPair, scale: float) -> TrainingPair:
        """The pair after the networks have registered it on a grid with `scale` times the voxels a side."""
        shape = [max(4, round(size * scale)) for size in pair.fixed.shape[2:]]
        moving, fixed = (downsample(image, shape) for image in (pair.moving, pair.fixed))
        found = self.model.displacement(self.model.field(moving, self.model.latent(moving, fixed)))
        displacement = resize_displacement(found, pair.fixed.shape[2:])
        anatomy, labels = pair.moving_anatomy, pair.moving_labels
        return replace(
            pair,
            moving=warp(pair.moving, displacement),
            displacement=None,
            moving_anatomy=None if anatomy is None else warp(anatomy, displacement),
            moving_labels=None if labels is None else warp(labels, displacement, "nearest"),
        )

    def _registration(self, pair: TrainingPair, field: Tensor, drawn: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        """Equation 9 for one field, and its terms."""
        weights = self.weights
        displacement = self.model.displacement(field)
        moving, fixed = pair.moving, pair.fixed
        if pair.moving_anatomy is not None and pair.fixed_anatomy is not None:
            moving, fixed = pair.moving_anatomy, pair.fixed_anatomy
        parts = {
            "similarity": local_correlation(warp(moving, displacement), fixed, weights.window),
            "smoothness": smoothness(field),
        }
        loss = 1 - parts["similarity"] + weights.smoothness * parts["smoothness"]
        if len(drawn.labels):
            parts["label_loss"] = soft_dice(pair.moving_labels, pair.fixed_labels, displacement, drawn.labels)
            loss = loss + weights.labels * parts["label_loss"]
        if weights.known > 0 and pair.displacement is not None:
            parts["field_error"] = known_field_loss(displacement, pair.displacement)
            loss = loss + weights.known * parts["field_error"]
        if weights.folding > 0:
            loss = loss + weights.folding * folding_penalty(displacement)
        return loss, parts
