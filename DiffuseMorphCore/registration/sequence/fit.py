"""Fitting a sequence: each frame begins where its neighbour ended, then every point's way is smoothed in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.options import RegistrationOptions, free_axes
from DiffuseMorphCore.registration.prepare import PreparedScan
from DiffuseMorphCore.registration.presets import PRESETS
from DiffuseMorphCore.registration.refine import refine
from DiffuseMorphCore.registration.repair import unfold
from DiffuseMorphCore.registration.sequence.fields import Fields, around, smoothed
from DiffuseMorphCore.registration.working_pair import working_pair
from DiffuseMorphCore.samplers import EtaPath
from DiffuseMorphCore.similarity import ImagePair, Similarity

OUTLYING = 3.0
"""Standard deviations, estimated robustly, by which a frame may lose more similarity by smoothing than the others."""
_NORMAL = 1.4826  # standard deviations in a median absolute deviation, of a normal distribution
_LEAST = 0.25  # of the median loss: less than this never stands out
_AS_GOOD = 0.95  # share of a similarity that counts as having reached it
_END = (1.0,)  # the eta that counts


def order(count: int, start: int, periodic: bool) -> list[tuple[int, int | None]]:
    """The frames from ``start`` outwards, each with the neighbour that leads to it.

    The ways lead to both ends or, periodic, round both sides to where they meet.
    """
    ahead = count // 2 if periodic else count - 1 - start
    found: list[tuple[int, int | None]] = [(start, None)]
    for length, way in ((ahead, 1), (count - 1 - ahead, -1)):
        for step in range(1, length + 1):
            found.append(((start + way * step) % count, (start + way * (step - 1)) % count))
    return found


@dataclass
class SequenceFit:
    """The displacements that bring the frames of a sequence onto a reference.

    reference : prepared. scan : gives the frame with a number, prepared. count : of the frames. still : the number of
    the frame that is the reference itself, or None. grid : the working grid. alignments : of the frames that lie
    elsewhere than the reference, from its points to theirs; displacements come before them. before, aligned, after :
    the similarity of each frame to the reference as it is, aligned, and with its displacement. smooth_ones : the frames
    that were smoothed in time. folded : cells of each frame's field that could not be repaired.
    """

    reference: PreparedScan
    scan: Callable[[int], PreparedScan]
    count: int
    still: int | None
    periodic: bool
    grid: Grid
    device: torch.device
    goal: Similarity
    options: RegistrationOptions
    alignments: dict[int, sitk.AffineTransform] = field(default_factory=dict)
    fields: Fields = field(default_factory=Fields)
    before: dict[int, float] = field(default_factory=dict)
    aligned: dict[int, float] = field(default_factory=dict)
    after: dict[int, float] = field(default_factory=dict)
    smooth_ones: list[int] = field(default_factory=list)
    folded: dict[int, int] = field(default_factory=dict)
    _known: ImagePair | None = None

    def __post_init__(self) -> None:
        self.steps, settings = PRESETS[self.options.quality].settings(self.options.refine, self.grid.shape)
        self.settings = replace(settings, free=free_axes(self.options.restrict, self.grid.ndim))
        half = (max(self.grid.shape) + 1) // 2
        fewer = max(self.steps, (settings.coarse_steps or 0) // 2)
        coarsest = max(half, settings.coarsest)
        self._near = replace(self.settings, coarsest=coarsest, coarse_steps=fewer, search_smoothing=None)

    def ahead(self, number: int) -> tuple[list[Tensor], float | None]:
        """Where a frame may begin, seen from the frames before it, and the similarity that is to be expected there.

        At the displacement of its neighbour, or where every point comes if it moves on as it did to there. Beside the
        reference: where the frame on the other side is, as after a turning point, or where its way came from.
        """
        ways = dict(order(self.count, self.still, self.periodic))
        neighbour = ways[number]
        if neighbour is None:
            return [], None
        if neighbour != self.still:
            last = self.fields[neighbour]
            return [last, 2 * last - self.fields[ways[neighbour]]], self.after[neighbour]
        for other, its in ways.items():
            if its == self.still and other != number and other in self.after:
                return [self.fields[other], -self.fields[other]], self.after[other]
        return [], None

    @torch.no_grad()
    def fit(
        self, number: int, starts: Sequence[Tensor], advance: Callable[[float], None], expected: float | None = None
    ) -> None:
        """Register a frame from that of some displacements that fits best, or from none at all where that fits better.

        expected : the similarity that a start nearby lets it reach without a search on coarse grids, which is made up
        for where the frame falls short of that. Without a number all grids are gone through.
        """
        nothing = torch.zeros((1, self.grid.ndim, *self.grid.shape), device=self.device)
        if number == self.still:
            self.fields[number] = nothing
            self.before[number] = self.aligned[number] = self.after[number] = 1.0
            return
        pair = self._pair(number)
        goal = self.goal.for_pair(pair)
        aligned = value = goal.evaluate(pair, nothing)
        before = aligned
        if number in self.alignments:
            before = goal.evaluate(self._pair(number, sitk.AffineTransform(self.grid.ndim)), nothing)
        found = nothing
        for start in starts:
            start = start.to(self.device)
            at_start = goal.evaluate(pair, start)
            if at_start > value:
                found, value = start, at_start
        near = found is not nothing and expected is not None
        if self.steps and not pair.identical():
            tries = [self._near, self.settings] if near else [self.settings]
            for index, settings in enumerate(tries):
                refined = refine(
                    pair,
                    found,
                    steps=self.steps,
                    similarity=goal,
                    settings=settings,
                    spacing=self.grid.voxel_spacing,
                    advance=lambda fraction, index=index: advance((index + fraction) / len(tries)),
                )
                reached = goal.evaluate(pair, refined)
                if reached >= value:
                    found, value = refined, reached
                if near and value >= _AS_GOOD * expected:
                    break
        self.fields[number], self.after[number] = found, value
        self.before[number], self.aligned[number] = before, aligned

    @torch.no_grad()
    def smooth(self, reach: int, advance: Callable[[float], None]) -> None:
        """Smooth the way of every point over ``reach`` frames before and after each, where that fits the images.

        A registration follows the noise of its frame, so every frame is a little less similar when that is smoothed
        away. A frame that loses far more than the others moves otherwise than its neighbours say: it keeps its own
        motion, and has no say in theirs.
        """
        moving = [number for number in range(self.count) if number != self.still]
        candidates, losses, apart = Fields(), {}, []
        stale = moving
        while True:
            for place, number in enumerate(stale):
                advance(place / len(stale) if not apart else 1.0)
                candidate = smoothed(self.fields, number, reach, self.count, self.periodic, apart).to(self.device)
                pair = self._pair(number)
                losses[number] = self.after[number] - self.goal.for_pair(pair).evaluate(pair, candidate)
                candidates[number] = candidate
            middle = float(np.median(list(losses.values())))
            spread = _NORMAL * float(np.median([abs(loss - middle) for loss in losses.values()]))
            worst = max(losses, key=losses.__getitem__)
            if losses[worst] <= middle + max(OUTLYING * spread, _LEAST * abs(middle)):
                break
            apart.append(worst)
            del losses[worst]
            near = [(worst + step) % self.count for step in around(worst, reach, self.count, self.periodic)]
            stale = [number for number in near if number in losses]
            if len(losses) < 2:
                break
        for number, loss in losses.items():
            self.fields[number] = candidates[number]
            self.after[number] -= loss
            self.smooth_ones.append(number)

    @torch.no_grad()
    def repair(self, shape: tuple[int, ...], advance: Callable[[float], None]) -> None:
        """Take the folds out of every field, on a grid of ``shape``."""
        for number in range(self.count):
            advance(number / self.count)
            path = EtaPath.straight(Displacement(self.fields[number], self.grid))
            found = unfold(path, shape, _END)
            self.folded[number] = 0 if found.converged else sum(found.folded_after.values())
            if found.folded_before:
                self.fields[number] = found.path.end.values

    def _pair(self, number: int, alignment: sitk.AffineTransform | None = None) -> ImagePair:
        alignment = alignment or self.alignments.get(number) or sitk.AffineTransform(self.grid.ndim)
        scans = self.reference, self.scan(number)
        self._known = working_pair(scans, self.grid, alignment, self._known, self.goal.uses_tissue)
        return self._known.to(self.device)
