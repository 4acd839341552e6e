"""The trajectory from the moving image to the fixed one (Algorithm 1): fields at every eta from one latent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.networks.model import DiffuseMorph
from DiffuseMorphCore.options import declared
from DiffuseMorphCore.samplers.path import check_eta
from DiffuseMorphCore.seeds import standard_normal

FORMS = declared()["trajectory"].choices


class Trajectory:
    """The deformations of one pair for eta from 0 (the moving image) to 1 (registered).

    The latent is computed once, the deformation network runs for every eta asked for, always without gradients.
    form "faithful" is the paper's: M(m, eta * latent), equation 11; at eta = 0 it leaves a small residual field.
    form "anchored" takes that residual away, less and less: v(eta) = M(m, eta * latent) - (1 - eta) * M(m, 0). It is
    exactly zero at eta = 0 and the paper's field at eta = 1.

    Attributes: model, form; moving, as M sees it, and latent (1, 1, *spatial).
    """

    def __init__(
        self, model: DiffuseMorph, moving: Tensor, fixed: Tensor, form: str = "anchored", latent: Tensor | None = None
    ) -> None:
        """moving, fixed: (1, 1, *spatial) in [-1, 1]. latent: used instead of the noise-free one (see `latent_at`);
        `moving` is then the moving image as M is to see it.

        Raises DiffuseMorphError for an unknown form, ValueError for more than one pair.
        """
        if form not in FORMS:
            raise DiffuseMorphError(f"The trajectory '{form}' is unknown: choose one of {', '.join(FORMS)}.")
        if moving.shape[0] != 1:
            raise ValueError(f"A trajectory belongs to one pair, not to a batch of {moving.shape[0]}.")
        self.model, self.form = model, form
        with torch.no_grad():
            self.moving = model.moving_input(moving, fixed) if latent is None else moving
            self.latent = model.latent(moving, fixed) if latent is None else latent
        self._residual: Tensor | None = None

    @torch.no_grad()
    def field(self, eta: float | Sequence[float]) -> Tensor:
        """What M gives at eta, before any exponential: displacement or velocity, (1, ndim, *spatial) in voxels.

        Several etas go through the network as one batch: (len(eta), ndim, *spatial).
        Raises DiffuseMorphError when an eta is not in [0, 1].
        """
        etas = [check_eta(value) for value in (eta if isinstance(eta, Sequence) else (eta,))]
        if self.form == "anchored" and not any(etas):
            # Zero by definition; two runs of a network need not agree to the last bit.
            return torch.zeros_like(self._residual_field()).repeat(len(etas), *[1] * (self.moving.ndim - 1))
        shape = (len(etas), *[1] * (self.moving.ndim - 1))
        scale = torch.tensor(etas, dtype=self.latent.dtype, device=self.latent.device).reshape(shape)
        field = self.model.field(self.moving.expand(len(etas), *self.moving.shape[1:]), scale * self.latent)
        if self.form == "anchored" and any(value < 1 for value in etas):
            field = torch.where(scale > 0, field - (1 - scale) * self._residual_field(), torch.zeros_like(field))
        return field

    @torch.no_grad()
    def exact(self, eta: float) -> Tensor:
        """The displacement at eta, from the network itself: (1, ndim, *spatial) in voxels, pulling.

        Raises DiffuseMorphError when eta is not in [0, 1].
        """
        return self.model.displacement(self.field(eta))

    def keyframes(self, etas: Sequence[float]) -> Tensor:
        """The displacements at several etas, (len(etas), ndim, *spatial), for an `EtaPath`.

        They are computed one by one, so that memory is needed for one pass only and each equals `exact` of its eta.
        """
        frames = torch.empty((len(etas), self.model.ndim, *self.moving.shape[2:]), device=self.moving.device)
        for frame, eta in zip(frames, etas):
            frame.copy_(self.exact(eta)[0])
        return frames

    def _residual_field(self) -> Tensor:
        """M(m, 0): what M makes of the moving image alone."""
        if self._residual is None:
            self._residual = self.model.field(self.moving, torch.zeros_like(self.latent))
        return self._residual


@torch.no_grad()
def latent_at(model: DiffuseMorph, moving: Tensor, fixed: Tensor, step: int, seed: int) -> Tensor:
    """A latent drawn at the noise level `step` of the model's schedule: G(m, f, x_t), where x_t is f, in the canonical
    contrast if there is one, with noise.

    Parameters
    ----------
    moving, fixed : (B, 1, *spatial) in [-1, 1].
    step : index into the model's schedule.
    seed : of the noise, which is drawn on the CPU, so that a seed means the same on every device.

    Returns
    -------
    (B, 1, *spatial).

    Raises
    ------
    DiffuseMorphError : a step that the schedule does not have.
    """
    if not 0 <= step < len(model.schedule):
        raise DiffuseMorphError(
            f"The noise level {step} is not in the schedule: choose 0 to {len(model.schedule) - 1}."
        )
    noise = standard_normal(fixed.shape, seed, fixed.device)
    return model.latent(moving, fixed, model.schedule.add_noise(model.clean(moving, fixed), step, noise), step)
