"""The trajectory from the moving image to the fixed one (Algorithm 1): fields at every eta from one latent."""
from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.warp import interpolate

if TYPE_CHECKING:
    from DiffuseMorphCore.networks.model import DiffuseMorph

FORMS = ("anchored", "faithful")


class InterpolationError(NamedTuple):
    """Lengths, in voxels, of the difference between interpolated and exact displacements."""

    mean: float
    maximum: float


class Trajectory:
    """The deformations of one pair for eta from 0 (the moving image) to 1 (registered).

    The latent is computed once, the deformation network runs for every eta asked for, always without gradients.
    form "faithful" is the paper's: M(m, eta * latent), equation 11; at eta = 0 it leaves a small residual field.
    form "anchored" takes that residual away, less and less: v(eta) = M(m, eta * latent) - (1 - eta) * M(m, 0). It is
    exactly zero at eta = 0 and the paper's field at eta = 1.

    Attributes: model, moving, form; latent (1, 1, *spatial).
    """

    def __init__(self, model: DiffuseMorph, moving: Tensor, fixed: Tensor, form: str = "anchored",
                 latent: Tensor | None = None) -> None:
        """moving, fixed: (1, 1, *spatial) in [-1, 1]. latent: used instead of the noise-free one (see `latent_at`).

        Raises DiffuseMorphError for an unknown form, ValueError for more than one pair.
        """
        if form not in FORMS:
            raise DiffuseMorphError(f"The trajectory '{form}' is unknown: choose one of {', '.join(FORMS)}.")
        if moving.shape[0] != 1:
            raise ValueError(f"A trajectory belongs to one pair, not to a batch of {moving.shape[0]}.")
        self.model, self.moving, self.form = model, moving, form
        with torch.no_grad():
            self.latent = model.latent(moving, fixed) if latent is None else latent
        self._rest: Tensor | None = None

    @torch.no_grad()
    def field(self, eta: float | Sequence[float]) -> Tensor:
        """What M gives at eta, before any exponential: displacement or velocity, (1, ndim, *spatial) in voxels.

        Several etas go through the network as one batch: (len(eta), ndim, *spatial).
        Raises DiffuseMorphError when an eta is not in [0, 1].
        """
        etas = [check_eta(value) for value in (eta if isinstance(eta, Sequence) else (eta,))]
        if self.form == "anchored" and not any(etas):
            # Zero by definition; two runs of a network need not agree to the last bit.
            return torch.zeros_like(self._at_rest()).repeat(len(etas), *[1] * (self.moving.ndim - 1))
        shape = (len(etas), *[1] * (self.moving.ndim - 1))
        scale = torch.tensor(etas, dtype=self.latent.dtype, device=self.latent.device).reshape(shape)
        field = self.model.field(self.moving.expand(len(etas), *self.moving.shape[1:]), scale * self.latent)
        if self.form == "anchored" and any(value < 1 for value in etas):
            field = torch.where(scale > 0, field - (1 - scale) * self._at_rest(), torch.zeros_like(field))
        return field

    @torch.no_grad()
    def exact(self, eta: float) -> Tensor:
        """The displacement at eta, from the network itself: (1, ndim, *spatial) in voxels, pulling.

        Raises DiffuseMorphError when eta is not in [0, 1].
        """
        return self.model.displacement(self.field(eta))

    def keyframes(self, etas: Sequence[float]) -> Tensor:
        """The displacements at several etas, (len(etas), ndim, *spatial), for `interpolate`.

        They are computed one by one, so that memory is needed for one pass only and each equals `exact` of its eta.
        """
        frames = torch.empty((len(etas), self.model.ndim, *self.moving.shape[2:]), device=self.moving.device)
        for frame, eta in zip(frames, etas):
            frame.copy_(self.exact(eta)[0])
        return frames

    def _at_rest(self) -> Tensor:
        """M(m, 0): what M makes of the moving image alone."""
        if self._rest is None:
            self._rest = self.model.field(self.moving, torch.zeros_like(self.latent))
        return self._rest


def check_eta(eta: float) -> float:
    """Return eta as a float. Raises DiffuseMorphError when it is not in [0, 1]."""
    value = float(eta)
    if not 0.0 <= value <= 1.0:
        raise DiffuseMorphError(f"eta is {value:g}, but must be from 0 (the moving image) to 1 (registered).")
    return value


@torch.no_grad()
def latent_at(model: DiffuseMorph, moving: Tensor, fixed: Tensor, step: int, seed: int) -> Tensor:
    """A latent drawn at the noise level `step` of the model's schedule: G(m, f, x_t), where x_t is f with noise.

    moving, fixed: (B, 1, *spatial) in [-1, 1]. The noise is drawn on the processor, so that a seed means the same on
    every device.
    Returns (B, 1, *spatial).
    Raises DiffuseMorphError for a step that the schedule does not have.
    """
    if not 0 <= step < len(model.schedule):
        raise DiffuseMorphError(f"The noise level {step} is not in the schedule: choose 0 to "
                                f"{len(model.schedule) - 1}.")
    noise = torch.randn(fixed.shape, generator=torch.Generator("cpu").manual_seed(seed)).to(fixed.device)
    return model.latent(moving, fixed, model.schedule.add_noise(fixed, step, noise), step)


def interpolation_error(trajectory: Trajectory, etas: Sequence[float], at: Sequence[float] | None = None
                        ) -> InterpolationError:
    """How far interpolated displacements are from exact ones, over all voxels and all etas in `at`.

    etas: the keyframes. at: where to compare; by default midway between neighbours, where the error is about largest.
    """
    return _interpolation_error(trajectory.exact, etas, _midpoints(etas) if at is None else at)


def choose_etas(trajectory: Trajectory, tolerance: float = 0.05, most: int = 33) -> tuple[float, ...]:
    """The fewest evenly spaced keyframes from 0 to 1 whose mean interpolation error is below `tolerance` voxels.

    The error is measured midway between keyframes. Raises DiffuseMorphError when `most` keyframes are not enough.
    """
    known: dict[float, Tensor] = {}

    def exact(eta: float) -> Tensor:
        if eta not in known:
            known[eta] = trajectory.exact(eta)
        return known[eta]

    for count in range(2, most + 1):
        etas = even_etas(count)
        if _interpolation_error(exact, etas, _midpoints(etas)).mean < tolerance:
            return etas
    raise DiffuseMorphError(f"{most} keyframes do not bring the mean interpolation error below {tolerance:g} voxels: "
                            "allow more keyframes or a larger error.")


def even_etas(count: int) -> tuple[float, ...]:
    """`count` evenly spaced etas from 0 to 1, both included."""
    return tuple(index / (count - 1) for index in range(count))


def _midpoints(etas: Sequence[float]) -> list[float]:
    return [(before + after) / 2 for before, after in zip(etas, etas[1:])]


def _interpolation_error(exact: Callable[[float], Tensor], etas: Sequence[float], at: Sequence[float]
                         ) -> InterpolationError:
    total, largest = 0.0, 0.0
    for eta in at:
        after = min(bisect_right(etas, eta), len(etas) - 1)
        pair = (etas[after - 1], etas[after])
        # Only the two keyframes around eta are held, so that full-size trajectories fit.
        guess = interpolate(torch.cat([exact(value) for value in pair]), pair, eta)
        lengths = (guess - exact(eta)).square().sum(dim=1).sqrt()
        total += float(lengths.mean())
        largest = max(largest, float(lengths.max()))
    return InterpolationError(total / len(at), largest)
