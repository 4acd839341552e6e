"""Deform: initialise, optimise and repair one pair on its working grid; tensors in, a fold-free path out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.networks import DiffuseMorph
from DiffuseMorphCore.options import RegistrationOptions, free_axes
from DiffuseMorphCore.progress import Progress, advance
from DiffuseMorphCore.registration.canonical import with_canonical
from DiffuseMorphCore.registration.initialise import Start, choose_result, choose_starts
from DiffuseMorphCore.registration.predict import predict
from DiffuseMorphCore.registration.presets import PRESETS
from DiffuseMorphCore.registration.refine import movable, refine
from DiffuseMorphCore.registration.repair import Repair, unfold
from DiffuseMorphCore.registration.stages import Stopwatch
from DiffuseMorphCore.samplers import EtaPath, even_etas
from DiffuseMorphCore.similarity import ImagePair, Similarity
from DiffuseMorphCore.warp import resize_displacement

_FADING_CHECKS = (0.5, 1.0)
"""Etas at which the fading beyond the field of view is checked for folds; what it fades from was checked at all."""


@dataclass(frozen=True)
class Deformation:
    """The path, on the CPU, and its making.

    path : on a grid that reaches beyond the pair's field of view, to where it has faded to nothing. grid : its part
    over that field of view. pair : as it was compared, also on the CPU. similarity : of the images along the way.
    repair : of folds in that part. notes : for the report.
    """

    path: EtaPath
    grid: Grid
    pair: ImagePair
    similarity: dict[str, float]
    repair: Repair
    notes: list[str] = field(default_factory=list)

    def displacement(self, eta: float = 1.0, shape: Sequence[int] | None = None) -> Tensor:
        """(1, ndim, *shape): the displacement at eta over the pair's field of view, in voxels of a grid of ``shape``,
        pulling; by default on the grid on which it is known. At eta 1 it is the finest there is.

        Raises DiffuseMorphError when eta is not in [0, 1].
        """
        known = self.path.delivered(eta)
        if shape is None:
            shape = self.grid.shape if known.grid is self.path.grid else self.pair.shape
        return known.on(self.grid.resampled(tuple(shape))).values

    def undone(self, reason: str) -> Deformation:
        """The alignment alone in its place, with the reason among the notes."""
        nothing = EtaPath.straight(Displacement.zero(self.grid))
        return replace(
            self,
            path=nothing.faded(),
            similarity=self.similarity | {"registered": self.similarity["aligned"]},
            repair=Repair(nothing, True, 0),
            notes=[*self.notes, reason],
        )


class Deforming:
    """The work on one pair on its device: ``grid`` is where the path is delivered, over the pair's field of view."""

    def __init__(
        self, pair: ImagePair, grid: Grid, goal: Similarity, options: RegistrationOptions, progress: Progress | None
    ) -> None:
        self.pair, self.grid, self.goal, self.options, self.progress = pair, grid, goal, options, progress
        self.voxels = torch.Size(pair.shape).numel()
        self.steps, self.settings = PRESETS[options.quality].settings(options.refine, pair.shape)
        self.settings = replace(self.settings, free=free_axes(options.restrict, grid.ndim))

    def similarity(self, displacement: Displacement) -> float:
        """Of the images themselves under a displacement on any grid over their field of view."""
        return self.goal.of_images.evaluate(self.pair, displacement.at(self.pair.shape).values)

    def start(self, name: str, path: EtaPath) -> Start:
        return Start(name, path, self.similarity(path.end))

    def predicted(self, network: DiffuseMorph) -> EtaPath:
        """The network's path; what it adds in further passes is left to the refinement, if there is one."""
        nothing = Displacement.zero(self.grid, self.pair.fixed.device).at(self.pair.shape)
        seen = self.pair if network.is_canonical else self.goal.network_pair(self.pair, nothing.values)
        path = predict(
            network, seen, self.grid, even_etas(self.options.keyframes), self.options.trajectory, further=not self.steps
        )
        free = [one * other for one, other in zip(movable(self.pair.shape), self.settings.free)]
        free = path.keyframes.new_tensor(free).view(1, -1, *[1] * self.grid.ndim)
        return replace(path, keyframes=path.keyframes * free)

    def optimised(self, start: Start, index: int, count: int) -> Start:
        """Refined from where a start ends, one of ``count``; only several have their similarity measured, to be
        compared.
        """
        begin: Tensor = start.path.end.at(self.pair.shape).values
        found = refine(
            self.pair,
            begin,
            steps=self.steps,
            similarity=self.goal,
            settings=self.settings,
            spacing=self.grid.resampled(self.pair.shape).voxel_spacing,
            advance=lambda fraction: advance(self.progress, "refine", (index + fraction) / count),
        )
        change = resize_displacement(found - begin, self.grid.shape)
        end = None if self.grid.shape == self.pair.shape else Displacement(found, self.grid.resampled(self.pair.shape))
        return start.optimised(change, self.goal.evaluate(self.pair, found) if count > 1 else start.similarity, end)


@torch.no_grad()
def deform(
    pair: ImagePair,
    grid: Grid,
    fixed_shape: tuple[int, ...],
    network: DiffuseMorph | None,
    device: torch.device,
    goal: Similarity,
    options: RegistrationOptions,
    stopwatch: Stopwatch,
    progress: Progress | None,
) -> Deformation:
    """Run the network and the refinement on ``device``; the path lies on ``grid``, fold-free on ``fixed_shape``.

    The correction by the refinement is a displacement scaled with eta: nothing at 0, whole at 1. The network's answer
    is kept only where it makes the images more similar, and does not lead the refinement astray.
    """
    pair, notes = pair.to(device), []
    if network is not None and network.is_canonical:
        with stopwatch("predict"):
            advance(progress, "predict", 0.0)
            pair = with_canonical(network.to(device), pair, grid)
    work = Deforming(pair, grid, goal.for_pair(pair), options, progress)
    zero = work.start("state before", EtaPath.straight(Displacement.zero(grid, device)))
    similarity = {"aligned": zero.similarity}
    if work.pair.identical():
        found = Deformation(
            zero.path.to("cpu"), grid, pair.to(torch.device("cpu")), similarity, Repair(zero.path, True, 0)
        )
        return found.undone("The aligned images are the same, so nothing was deformed.")
    answer = None
    with stopwatch("predict"):
        if network is not None:
            advance(progress, "predict", 0.0)
            answer = work.start("network's answer", work.predicted(network.to(device)))
            similarity["network"] = answer.similarity
            advance(progress, "predict", 1.0)
        starts = choose_starts(zero, answer, work.voxels if work.steps else None, notes)
    with stopwatch("refine"):
        if work.steps:
            starts = [work.optimised(start, index, len(starts)) for index, start in enumerate(starts)]
        chosen = choose_result(starts, notes)
        advance(progress, "refine", 1.0)
    with stopwatch("deliver"):
        advance(progress, "deliver", 0.0)
        repairs = [unfold(chosen.path, fixed_shape, advance=lambda fraction: advance(progress, "deliver", fraction))]
        if chosen.end is not None:
            alone = EtaPath((1.0,), chosen.end.values, chosen.end.grid)
            repairs.append(unfold(alone, fixed_shape, (1.0,), advance=lambda _: advance(progress, "deliver", 0.9)))
        final = repairs[-1].path.end
        similarity["registered"] = work.similarity(final)
        if final.values.any() and similarity["registered"] <= zero.similarity:
            notes.append("No deformation made the images more similar than the alignment alone, so that is the result.")
            repairs, similarity["registered"] = [replace(repairs[0], path=zero.path)], zero.similarity
        beyond = [_faded(each.path, fixed_shape) for each in repairs]
        for place, found in [("in", each) for each in repairs] + [("beyond", each) for each in beyond]:
            if not found.converged:
                notes.append(
                    f"The repair of folds did not come to an end: {sum(found.folded_after.values())} cells {place} "
                    "the fixed image are left folded, so do not rely on the deformation there."
                )
        if goal.guides:  # the guides decided, but are no similarity
            work.goal = work.goal.unguided
            similarity.pop("network", None)
            similarity |= {
                "aligned": work.similarity(zero.path.end),
                "registered": work.similarity(repairs[-1].path.end),
            }
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    path = replace(beyond[0].path, fine_end=beyond[1].path.end if len(beyond) > 1 else None)
    folded_after: dict[float, int] = {}
    for each in repairs:  # at eta 1 the finer end, where there is one, is what is delivered
        folded_after |= each.folded_after
    repair = Repair(
        repairs[0].path,
        all(each.converged for each in repairs),
        sum(each.folded_before for each in repairs),
        folded_after,
    )
    return Deformation(path.to("cpu"), grid, pair.to(torch.device("cpu")), similarity, repair, notes)


def _faded(path: EtaPath, fixed_shape: tuple[int, ...]) -> Repair:
    """A fold-free path on a grid that reaches beyond its own, to where it has faded to nothing without a fold."""
    faded = path.faded()
    checks = tuple(eta for eta in _FADING_CHECKS if eta >= path.etas[0])
    return unfold(faded, _fine_shape(faded.grid, path.grid, fixed_shape), checks)


def _fine_shape(wide: Grid, grid: Grid, fixed_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a grid over ``wide`` with voxels about as fine as those of ``fixed_shape`` over ``grid``."""
    return tuple(
        max(length, round((length - 1) * (fine - 1) / max(coarse - 1, 1)) + 1)
        for length, coarse, fine in zip(wide.shape, grid.shape, fixed_shape)
    )
