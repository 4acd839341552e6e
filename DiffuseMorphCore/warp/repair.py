"""Fold repair along a trajectory: what is delivered has no non-positive determinant at any checked eta.

A trajectory is a few displacements (keyframes) on a coarse grid, interpolated linearly in eta and in space. Users sample
it on a finer grid, so it is checked there: first the ten determinants of the coarse grid at every checked eta, then those of
the fine cells near every coarse one that is small. Where one is not positive, all keyframes are replaced by their local
mean, feathered into the surroundings, and the check is repeated.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import product

import torch
import torch.nn.functional as functional
from torch import Tensor

from DiffuseMorphCore.warp.filters import box_mean
from DiffuseMorphCore.warp.folding import cell_determinants, determinant_minimum
from DiffuseMorphCore.warp.sampling import sample_points

CHECKS = tuple(index / 10 for index in range(11))
"""Etas at which a delivered trajectory is checked."""
MARGIN = 0.01
"""Determinants must exceed this, so that rounding in another program's interpolation cannot fold what we delivered."""
SUSPECT = 0.3
"""Fine cells are computed where a coarse determinant in reach is below this. In random fields with up to 40 % folds, on fine
grids of whole and uneven ratios, every folded fine cell had one below 0.21 (see the test of this file)."""
_CHUNK = 200_000  # cells evaluated at once


def at_eta(keyframes: Tensor, etas: Sequence[float], eta: float) -> Tensor:
    """Keyframes (K, …) at ascending ``etas``, interpolated linearly: (1, …)."""
    after = min(max(bisect_right(etas, eta), 1), len(etas) - 1)
    weight = (eta - etas[after - 1]) / (etas[after] - etas[after - 1])
    return torch.lerp(keyframes[after - 1:after], keyframes[after:after + 1], weight)


def folded(keyframes: Tensor, etas: Sequence[float], checks: Sequence[float], shape: tuple[int, ...],
           between: Callable[[], None] = lambda: None) -> tuple[Tensor, dict[float, int]]:
    """Where, and at which of the checked etas, the fine grid folds.

    Parameters
    ----------
    keyframes : (K, ndim, *spatial) in voxels of their own grid, at the ascending ``etas``.
    checks : etas to check, between the first and the last of ``etas``.
    shape : the fine grid with the same end points, no coarser than the keyframes' own.
    between : called before each eta; it may raise to stop.

    Returns
    -------
    (1, 1, *spatial) bool on the keyframes' grid, true next to a fine cell with a determinant below :data:`MARGIN`, and
    the number of such fine cells by eta, for the etas that have any.
    """
    own = keyframes.shape[2:]
    pool = functional.max_pool3d if len(own) == 3 else functional.max_pool2d
    result = torch.zeros((1, 1, *own), dtype=torch.bool, device=keyframes.device)
    counts = {}
    for eta in checks:
        between()
        displacement = at_eta(keyframes, etas, eta)
        small = (determinant_minimum(displacement) < SUSPECT).to(displacement.dtype)
        if not bool(small.any()):
            continue
        bad = _folded_cells(displacement, pool(small, 3, 1, 1)[0, 0] > 0, shape)
        if len(bad):
            counts[eta] = len(bad)
            result[(0, 0, *bad.unbind(1))] = True
    return result, counts


def _folded_cells(displacement: Tensor, suspects: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Coarse voxel indices (N, ndim) nearest to the folded ones among the fine cells near ``suspects`` (*spatial)."""
    ndim, own = displacement.shape[1], displacement.shape[2:]
    device = displacement.device
    ratio = torch.tensor([(fine - 1) / (coarse - 1) if coarse > 1 and fine > 1 else 1.0
                          for fine, coarse in zip(shape, own)], device=device)
    last = torch.tensor(own, device=device) - 1
    for axis, fine in enumerate(shape):
        index = (torch.arange(max(fine - 1, 1), device=device) / ratio[axis]).round().long().clamp_(max=own[axis] - 1)
        suspects = suspects.index_select(axis, index)
    found = []
    for cells in suspects.nonzero().split(_CHUNK):
        corners = {}
        for corner in product((0, 1), repeat=ndim):
            points = (cells + torch.tensor(corner, device=device)) / ratio
            values = sample_points(displacement, points) * ratio
            corners[corner] = [values[:, axis] + corner[axis] for axis in range(ndim)]
        smallest = torch.stack(list(cell_determinants(corners).values())).amin(0)
        found.append(torch.minimum((cells[smallest < MARGIN] / ratio).round().long(), last))
    return torch.cat(found) if found else torch.zeros((0, ndim), dtype=torch.int64, device=device)


def unfold(keyframes: Tensor, etas: Sequence[float], shape: tuple[int, ...], checks: tuple[float, ...] = CHECKS,
           rounds: int = 50, advance: Callable[[float], None] = lambda fraction: None) -> tuple[Tensor, int]:
    """Change a trajectory as little as needed for it to be fold-free on the fine grid at every checked eta.

    Parameters are those of :func:`folded`; ``rounds`` bounds the repetitions. A keyframe that is zero stays zero, and the
    interpolation between keyframes stays linear, because all of them are smoothed at the same places. ``advance`` is called
    with a fraction that approaches 1, because nobody knows how many rounds it takes; it may raise to stop.

    Returns
    -------
    The repaired keyframes, and the number of fine cells that were folded before, summed over the etas (0: nothing was
    changed).
    """
    pool = functional.max_pool3d if keyframes.shape[1] == 3 else functional.max_pool2d
    before, pending = None, checks
    for done in range(rounds):
        bad, counts = folded(keyframes, etas, pending, shape, lambda: advance(done / (done + 5)))
        before = sum(counts.values()) if before is None else before
        if not counts and pending == checks:
            break
        # The eta with the most folds is repaired first; what heals it heals most others. At the end all are checked.
        pending = (max(counts, key=counts.get),) if counts else checks
        if counts:
            reach = box_mean(pool(bad.to(keyframes.dtype), 7, 1, 3), 5)
            keyframes = torch.lerp(keyframes, box_mean(keyframes, 5), reach)
    return keyframes, before or 0
