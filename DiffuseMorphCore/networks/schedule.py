"""The noise schedule: how much noise each step adds, and how a step is taken back (equations 2 to 6 and 13)."""

from __future__ import annotations

import torch
from torch import Tensor

from DiffuseMorphCore.errors import DiffuseMorphError


class NoiseSchedule:
    """A diffusion process of betas and, from them, alpha-bars; tables in float64 on the CPU.

    Attributes: betas, alpha_bars: (steps,) float64. alpha_bars[t] is the share of the image's power left after step t
    (the paper's alpha_t, equation 3). Index 0 already holds a little noise, as in the authors' code.
    original: (steps,) int64, the index each step has in the schedule a network was trained with.
    """

    def __init__(self, steps: int = 2000, first: float = 1e-6, last: float = 1e-2) -> None:
        """A schedule of `steps` betas that grow linearly from `first` to `last`."""
        # On the CPU whatever the default device is: Apple's MPS has no float64.
        self._set(
            torch.linspace(first, last, steps, dtype=torch.float64, device="cpu"), torch.arange(steps, device="cpu")
        )

    def _set(self, betas: Tensor, original: Tensor) -> None:
        self.betas = betas
        self.alpha_bars = torch.cumprod(1 - betas, dim=0)
        self.original = original
        before = _shifted(self.alpha_bars)
        self.posterior_variances = (1 - before) / (1 - self.alpha_bars) * betas
        self._weights_clean = before.sqrt() * betas / (1 - self.alpha_bars)
        self._weights_noisy = (1 - betas).sqrt() * (1 - before) / (1 - self.alpha_bars)

    def __len__(self) -> int:
        return len(self.betas)

    def add_noise(self, clean: Tensor, step: Tensor | int, noise: Tensor) -> Tensor:
        """Draw x_t from x_0 (equations 3, 4 and 12): sqrt(alpha_bar) * clean + sqrt(1 - alpha_bar) * noise.

        Parameters
        ----------
        clean, noise : (B, C, *spatial).
        step : one index, or (B,) int64 indices.

        Returns
        -------
        The noisy image, of the shape of `clean`.
        """
        return (
            self._at(self.alpha_bars.sqrt(), step, clean) * clean
            + self._at((1 - self.alpha_bars).sqrt(), step, clean) * noise
        )

    def clean_estimate(self, noisy: Tensor, step: Tensor | int, latent: Tensor, clamp: bool = False) -> Tensor:
        """Solve equation 4 for x_0, given the noise estimate `latent`; cut to [-1, 1] on request."""
        estimate = (noisy - self._at((1 - self.alpha_bars).sqrt(), step, noisy) * latent) / self._at(
            self.alpha_bars.sqrt(), step, noisy
        )
        return estimate.clamp(-1, 1) if clamp else estimate

    def noise_estimate(self, noisy: Tensor, step: Tensor | int, clean: Tensor) -> Tensor:
        """Solve equation 4 for the noise, given an estimate `clean` of x_0: the inverse of `clean_estimate`."""
        return (noisy - self._at(self.alpha_bars.sqrt(), step, noisy) * clean) / self._at(
            (1 - self.alpha_bars).sqrt(), step, noisy
        )

    def posterior_mean(self, noisy: Tensor, step: Tensor | int, latent: Tensor, clamp: bool = False) -> Tensor:
        """The mean of x_(t-1) given x_t and the noise estimate.

        Without `clamp` this is equation 6. With it, x_0 is estimated, cut to [-1, 1], and put into the mean of
        q(x_(t-1) | x_t, x_0), which is the same as long as nothing is cut.
        """
        if clamp:
            clean = self.clean_estimate(noisy, step, latent, clamp=True)
            return (
                self._at(self._weights_clean, step, noisy) * clean + self._at(self._weights_noisy, step, noisy) * noisy
            )
        shrink = self.betas / (1 - self.alpha_bars).sqrt()
        return (noisy - self._at(shrink, step, noisy) * latent) / self._at((1 - self.betas).sqrt(), step, noisy)

    def reverse_step(
        self, noisy: Tensor, step: int, latent: Tensor, noise: Tensor | None = None, clamp: bool = True
    ) -> Tensor:
        """One reverse step x_t -> x_(t-1) (equation 13).

        Parameters
        ----------
        noisy : x_t, (B, C, *spatial). step : t, an index into the schedule. latent : G's noise estimate, as `noisy`.
        noise : (B, C, *spatial) standard normal; not used at step 0, whose posterior has no variance. None: the mean.
        clamp : keep the estimate of the clean image in [-1, 1].

        Returns
        -------
        x_(t-1), of the shape of `noisy`.
        """
        mean = self.posterior_mean(noisy, step, latent, clamp)
        if step == 0 or noise is None:
            return mean
        return mean + float(self.posterior_variances[step].sqrt()) * noise

    def strided(self, start: int, steps: int) -> NoiseSchedule:
        """The part of this schedule from index 0 up to and including `start`, thinned to `steps` evenly spread indices.

        Its alpha-bars are those of the kept indices, its betas are computed anew from them (as WaveGrad does), and
        `original` says which index to tell the network. Raises DiffuseMorphError for a start or a number of steps that
        the schedule does not have.
        """
        if not 0 <= start < len(self):
            raise DiffuseMorphError(
                f"The start step {start} is not in the noise schedule: choose 0 to {len(self) - 1}."
            )
        if not 1 <= steps <= start + 1:
            raise DiffuseMorphError(
                f"From start step {start}, {steps} reverse steps are not possible: choose 1 to {start + 1}."
            )
        if steps == 1:
            kept = torch.tensor([start], device="cpu")
        else:
            kept = torch.linspace(0, start, steps, dtype=torch.float64, device="cpu").round().to(torch.int64)
        bars = self.alpha_bars[kept]
        thinned = object.__new__(NoiseSchedule)
        thinned._set(1 - bars / _shifted(bars), self.original[kept])
        return thinned

    @staticmethod
    def _at(table: Tensor, step: Tensor | int, like: Tensor) -> Tensor:
        """Entries of a table, shaped to multiply `like`: (B, 1, ..., 1), or a scalar for one index."""
        if isinstance(step, int):
            return table[step].to(like.dtype).to(like.device)
        values = table[step.to(table.device)].to(like.dtype).to(like.device)
        return values.reshape(-1, *[1] * (like.ndim - 1))


def _shifted(alpha_bars: Tensor) -> Tensor:
    """The alpha-bar before each step; 1, no noise at all, before the first."""
    return torch.cat((torch.ones_like(alpha_bars[:1]), alpha_bars[:-1]))
