"""The whole model: diffusion network, deformation network, schedule, and what their output means."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.networks.architectures import DEFORMATION, DIFFUSION, build_network
from DiffuseMorphCore.networks.configuration import ModelConfiguration
from DiffuseMorphCore.networks.schedule import NoiseSchedule
from DiffuseMorphCore.warp import exponential


class DiffuseMorph(nn.Module):
    """The pair of networks of the paper, trained together end to end.

    Attributes: configuration; diffusion (G, None in a VoxelMorph control); deformation (M); schedule; information (what
    the model's file says about it: name, version, training_data, terms, description, recipe; empty for a model that was
    not loaded).
    """

    def __init__(self, configuration: ModelConfiguration) -> None:
        super().__init__()
        self.configuration = configuration
        self.ndim = configuration.ndim
        diffusion = configuration.diffusion
        self.diffusion = None if diffusion is None else build_network(DIFFUSION, configuration.ndim, diffusion)
        self.deformation = build_network(DEFORMATION, configuration.ndim, configuration.deformation)
        schedule = configuration.schedule
        self.schedule = NoiseSchedule(schedule.steps, schedule.first, schedule.last)
        self.information: dict[str, Any] = {}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def is_canonical(self) -> bool:
        """Whether the latent is the fixed anatomy in the canonical contrast, so that images of any contrast compare."""
        return self.diffusion is not None and bool(self.configuration.diffusion.tissues)

    def latent(self, moving: Tensor, fixed: Tensor, noisy: Tensor | None = None, step: Tensor | int = 0) -> Tensor:
        """The latent of a pair (equation 10): G(moving, fixed, noisy, step).

        Parameters
        ----------
        moving, fixed : (B, 1, *spatial) in [-1, 1].
        noisy : the same; None: the fixed image itself stands in, noise-free, as the paper registers.
        step : one index, or (B,) int64.

        Returns
        -------
        (B, 1, *spatial): the fixed anatomy in the canonical contrast where the model has one; without a diffusion
        network the fixed image.

        Raises
        ------
        DiffuseMorphError : a `noisy` image is given to a model without a diffusion network.
        """
        if self.diffusion is None:
            if noisy is not None:
                raise DiffuseMorphError(
                    f"The model '{self.information.get('name', 'given')}' has no diffusion network, "
                    "which drawing latents and images from noise needs: choose another model."
                )
            return fixed
        if isinstance(step, int):
            step = torch.full((moving.shape[0],), step, dtype=torch.int64, device=moving.device)
        return self.diffusion(moving, fixed, fixed if noisy is None else noisy, step)

    def moving_input(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """The moving image as M is to see it beside the latent: in the canonical contrast where the model has one (the
        latent of the pair with its roles exchanged), else as it is. (B, 1, *spatial) in [-1, 1].
        """
        return self.latent(fixed, moving) if self.is_canonical else moving

    def clean(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """x_0 of the diffusion, to which noise is added: the fixed image, in the canonical contrast if there is one."""
        return self.latent(moving, fixed) if self.is_canonical else fixed

    def noise(self, moving: Tensor, fixed: Tensor, noisy: Tensor, step: Tensor | int) -> Tensor:
        """G's estimate of the noise in `noisy` (equation 8), also of a canonical model, which estimates x_0 instead.

        The arguments and errors are those of `latent`. Returns (B, 1, *spatial), without units.
        """
        latent = self.latent(moving, fixed, noisy, step)
        return self.schedule.noise_estimate(noisy, step, latent) if self.is_canonical else latent

    def field(self, moving: Tensor, latent: Tensor) -> Tensor:
        """M's own output for a latent.

        Parameters
        ----------
        moving : (B, 1, *spatial), the image that `moving_input` gives.
        latent : (B, 1, *spatial), scaled by eta where a part of the way is wanted.

        Returns
        -------
        (B, ndim, *spatial): displacement or velocity in voxels, pulling.
        """
        return self.deformation(moving, latent)

    def displacement(self, field: Tensor) -> Tensor:
        """What a field of `field` does: its exponential if it is a velocity, itself if it is a displacement.

        (B, ndim, *spatial) in voxels -> the same shape: warped(p) = moving(p + u(p)).
        """
        return exponential(field) if self.configuration.output == "velocity" else field

    def forward(self, moving: Tensor, fixed: Tensor, noisy: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Both networks in one call, for training on several processes: (latent, field) of the noisy fixed image."""
        latent = self.latent(moving, fixed, noisy, step)
        return latent, self.deformation(moving, latent)
