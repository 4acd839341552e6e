"""Fold repair along a trajectory: what is delivered has no non-positive determinant at any checked eta.

A trajectory is a few displacements (keyframes) on a coarse grid, interpolated linearly in eta and in space. Users
sample it on a finer grid, so it is checked there: first the ten determinants of the coarse grid at every checked eta,
then those of the fine cells near every coarse one that is small. Where one is not positive, all keyframes are replaced
by their local mean, feathered into the surroundings, and the check is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import torch
import torch.nn.functional as functional
from torch import Tensor

from DiffuseMorphCore.samplers import EtaPath, interpolate
from DiffuseMorphCore.warp import box_mean, determinant_minimum, sample_points
from DiffuseMorphCore.warp.folding import cell_determinants
from DiffuseMorphCore.warp.threads import parallel_map

CHECKS = tuple(index / 10 for index in range(11))
"""Etas at which a delivered trajectory is checked."""
MARGIN = 0.01
"""Determinants must exceed this, so that rounding in another program's interpolation cannot fold what we delivered."""
SUSPECT = 0.3
"""Fine cells are computed where a coarse determinant in reach is below this. In random fields with up to 40 % folds, on
fine grids of whole and uneven ratios, every folded fine cell had one below 0.21 (see the test of this file)."""
FEW = 0.02  # share of the coarse voxels of which all fine cells are computed at once
_REACH = 7  # voxels from a fold to the last that its repair reads or changes
_PLANES = 16  # of fine cells looked at together


@dataclass(frozen=True)
class Repair:
    """A path after its repair.

    path : fold-free at every checked eta if ``converged``. folded_before : fine cells that were folded before, summed
    over the etas; 0 means that nothing was changed. folded_after : fine cells that still are, by eta; empty if
    ``converged``.
    """

    path: EtaPath
    converged: bool
    folded_before: int
    folded_after: dict[float, int] = field(default_factory=dict)


def folded(
    path: EtaPath,
    checks: Sequence[float],
    shape: tuple[int, ...],
    between: Callable[[], None] = lambda: None,
    within: Tensor | None = None,
) -> tuple[Tensor, dict[float, int]]:
    """Where, and at which of the checked etas, the fine grid folds.

    Parameters
    ----------
    checks : etas to check.
    shape : the fine grid with the same end points, no coarser than the path's own.
    between : called after each eta; it may raise to stop.
    within : (*spatial) bool on the path's grid; only fine cells near these voxels are checked. All unless given.

    Returns
    -------
    (1, 1, *spatial) bool on the path's grid, true next to a fine cell with a determinant below :data:`MARGIN`, and
    the number of such fine cells by eta, for the etas that have any.
    """
    result = torch.zeros((1, 1, *path.grid.shape), dtype=torch.bool, device=path.keyframes.device)
    counts = {}
    few = within is not None and float(within.float().mean()) < FEW

    def folded_at(eta: float) -> Tensor | None:
        displacement = interpolate(path.keyframes, path.etas, eta)
        if not bool(displacement.any()):
            return None
        suspects = within
        if not few:
            suspects = _with_neighbours(determinant_minimum(displacement)[0, 0] < SUSPECT)
            if within is not None:
                suspects &= within
        return _folded_cells(displacement, suspects, shape) if bool(suspects.any()) else None

    for eta, bad in zip(checks, parallel_map(folded_at, checks, path.keyframes.device)):
        between()
        if bad is not None and len(bad):
            counts[eta] = len(bad)
            result[(0, 0, *bad.unbind(1))] = True
    return result, counts


def _with_neighbours(marked: Tensor) -> Tensor:
    """The voxels marked (*spatial, bool) and those next to them."""
    for axis in range(marked.dim()):
        grown, length = marked.clone(), marked.shape[axis] - 1
        grown.narrow(axis, 0, length).logical_or_(marked.narrow(axis, 1, length))
        grown.narrow(axis, 1, length).logical_or_(marked.narrow(axis, 0, length))
        marked = grown
    return marked


def _folded_cells(displacement: Tensor, suspects: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Coarse voxel indices (N, ndim) nearest to the folded ones among the fine cells near ``suspects`` (*spatial)."""
    ndim, own = displacement.shape[1], displacement.shape[2:]
    device = displacement.device
    ratio = torch.tensor(
        [(fine - 1) / (coarse - 1) if coarse > 1 and fine > 1 else 1.0 for fine, coarse in zip(shape, own)],
        device=device,
    )
    last = torch.tensor(own, device=device) - 1
    nearest = [
        (torch.arange(max(fine - 1, 1), device=device) / step).round().long().clamp_(max=coarse - 1)
        for fine, coarse, step in zip(shape, own, ratio)
    ]
    # Only the box around the suspects is looked at.
    for axis, index in reversed(list(enumerate(nearest))):  # the last axis, slowest to select from, while they are few
        found = suspects.amax(dim=[other for other in range(ndim) if other != axis])[index].nonzero()
        nearest[axis] = torch.arange(int(found[0]), int(found[-1]) + 1, device=device)
        suspects = suspects.index_select(axis, index[nearest[axis]])
    start = torch.stack([index[0] for index in nearest])
    found = []
    for first, part in zip(range(0, suspects.shape[0], _PLANES), suspects.split(_PLANES)):
        cells = part.nonzero()
        if not len(cells):
            continue
        # Neighbouring cells share corners: each is sampled once.
        needed = torch.zeros([size + 1 for size in part.shape], dtype=torch.bool, device=device)
        for corner in product((0, 1), repeat=ndim):
            needed[tuple(slice(bit, bit + size) for bit, size in zip(corner, part.shape))] |= part
        offset = start + torch.tensor([first] + [0] * (ndim - 1), device=device)
        points = needed.nonzero() + offset
        moved = (points + sample_points(displacement, points / ratio) * ratio).T.contiguous()
        number = torch.zeros(needed.shape, dtype=torch.int64, device=device)
        number[needed] = torch.arange(len(points), device=device)
        corners = {
            corner: moved[:, number[tuple((cells + torch.tensor(corner, device=device)).unbind(1))]]
            for corner in product((0, 1), repeat=ndim)
        }
        smallest = torch.full((len(cells),), torch.inf, device=device)
        for _, value in cell_determinants(corners):
            torch.minimum(smallest, value, out=smallest)
        found.append(torch.minimum(((cells[smallest < MARGIN] + offset) / ratio).round().long(), last))
    return torch.cat(found) if found else torch.zeros((0, ndim), dtype=torch.int64, device=device)


def unfold(
    path: EtaPath,
    shape: tuple[int, ...],
    checks: tuple[float, ...] = CHECKS,
    rounds: int = 50,
    advance: Callable[[float], None] = lambda fraction: None,
) -> Repair:
    """Change a path as little as needed for it to be fold-free on the fine grid at every checked eta.

    A keyframe that is zero stays zero, and the interpolation between keyframes stays linear, because all of them are
    smoothed at the same places.

    Parameters
    ----------
    shape : the fine grid with the same end points, no coarser than the path's own.
    rounds : most repetitions; a path that still folds after them is returned as not converged.
    advance : called with a fraction that approaches 1, because nobody knows how many rounds it takes; it may raise to
        stop.
    """
    before, pending, changed = None, checks, None
    for done in range(rounds):
        # Every fold found so far was smoothed, so only what the smoothing changed can fold after the first round.
        bad, counts = folded(path, pending, shape, lambda: advance(done / (done + 5)), changed)
        before = sum(counts.values()) if before is None else before
        if not counts and pending == checks:
            return Repair(path, True, before)
        # The eta with the most folds is repaired first; what heals it heals most others. At the end all are checked.
        pending = (max(counts, key=counts.get),) if counts else checks
        if counts:
            path, touched = _evened(path, bad)
            changed = touched if changed is None else changed | touched
    remaining = folded(path, checks, shape)[1]
    return Repair(path, not remaining, sum(remaining.values()) if before is None else before, remaining)


def _evened(path: EtaPath, bad: Tensor) -> tuple[EtaPath, Tensor]:
    """The path with its keyframes replaced by their local mean around the voxels ``bad`` (1, 1, *spatial), feathered
    into the surroundings; and the voxels (*spatial, bool) that belong to a cell which that changed.
    """
    found = bad[0, 0].nonzero()
    low, high = (found.amin(0) - _REACH).clamp(min=0).tolist(), (found.amax(0) + _REACH + 1).tolist()
    box = tuple(slice(*ends) for ends in zip(low, high))
    share = bad[(..., *box)].to(path.keyframes.dtype)
    pool = functional.max_pool3d if path.grid.ndim == 3 else functional.max_pool2d
    for axis in range(path.grid.ndim):
        share = pool(
            share,
            [7 if other == axis else 1 for other in range(path.grid.ndim)],
            1,
            [3 if other == axis else 0 for other in range(path.grid.ndim)],
        )
    share = box_mean(share, 5)
    keyframes = path.keyframes.clone()
    part = keyframes[(..., *box)]
    part.copy_(torch.lerp(part, box_mean(part.contiguous(), 5), share))
    touched = torch.zeros_like(bad[0, 0])
    touched[box] = _with_neighbours(_with_neighbours(share[0, 0] > 0))  # a cell has its corners on both sides
    return replace(path, keyframes=keyframes), touched
