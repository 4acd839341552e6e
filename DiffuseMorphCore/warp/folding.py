"""Topology of a displacement on its grid: Jacobian determinant and the ten-determinant rule.

Central differences overlook most folds of a sampled field. A field is fold-free as a piecewise linear map exactly when
the eight one-sided corner determinants of every cell and the determinants of its two central tetrahedra are all positive
(Liu et al., "On finite difference Jacobian computation in deformable image registration", IJCV 2024). In 2-D the four
corner determinants suffice. Everything is in voxels; the identity scores 1.
"""

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

# The two ways to cut a cube into five tetrahedra differ by the central one: apex and the three corners it is joined to.
_CENTRAL = (((0, 0, 0), ((1, 1, 0), (1, 0, 1), (0, 1, 1))), ((1, 1, 1), ((0, 0, 1), (0, 1, 0), (1, 0, 0))))


@dataclass(frozen=True)
class Folding:
    """Folding of one displacement.

    share : share of voxels with any non-positive determinant, 0 to 1.
    volume : non-diffeomorphic volume, the volume of all negative simplices in share of the grid's (both cuts averaged).
    minimum : smallest determinant (central tetrahedra scaled so that the identity gives 1).
    """

    share: float
    volume: float
    minimum: float


def determinant(columns: list[list[Tensor]]) -> Tensor:
    """Determinant of 2×2 or 3×3 matrices whose entries are tensors: columns[j][i] is component i of vector j."""
    if len(columns) == 2:
        (a, b), (c, d) = columns
        return a * d - b * c
    a, b, c = columns
    return (a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0]))


def cell_determinants(corners: dict[tuple[int, ...], list[Tensor]]) -> dict[tuple[int, ...] | int, Tensor]:
    """The determinants of cells given the map at their corners.

    corners[c][i] is component i of the deformed position p + u(p) of corner c, as offset from the cell's first corner
    position. Returns one tensor per corner (key: the corner) and, in 3-D, per central tetrahedron (keys 0 and 1),
    all scaled to give 1 for the identity.
    """
    ndim = len(next(iter(corners)))

    def edge(start: tuple[int, ...], end: tuple[int, ...]) -> list[Tensor]:
        return [b - a for a, b in zip(corners[start], corners[end])]

    result: dict[tuple[int, ...] | int, Tensor] = {}
    for corner in product((0, 1), repeat=ndim):
        columns = []
        for axis in range(ndim):
            low = corner[:axis] + (0,) + corner[axis + 1:]
            high = corner[:axis] + (1,) + corner[axis + 1:]
            columns.append(edge(low, high))
        result[corner] = determinant(columns)
    if ndim == 3:
        for key, (apex, ends) in enumerate(_CENTRAL):
            result[key] = determinant([edge(apex, end) for end in ends]) * (-0.5 if key == 0 else 0.5)
    return result


def _cells(displacement: Tensor) -> dict[tuple[int, ...] | int, Tensor]:
    """Cell determinants of a whole displacement (ndim, *spatial): tensors of shape spatial - 1."""
    ndim = displacement.shape[0]
    corners = {}
    for corner in product((0, 1), repeat=ndim):
        region = tuple(slice(1, None) if bit else slice(0, -1) for bit in corner)
        corners[corner] = [displacement[(axis, *region)] + corner[axis] for axis in range(ndim)]
    return cell_determinants(corners)


def determinant_minimum(displacement: Tensor) -> Tensor:
    """Smallest of the determinants at every voxel, (B, 1, *spatial); a cell's central ones count for its first corner."""
    ndim, shape = displacement.shape[1], displacement.shape[2:]
    result = torch.full((displacement.shape[0], 1, *shape), torch.inf, device=displacement.device)
    for batch, field in enumerate(displacement):
        for key, value in _cells(field).items():
            corner = key if isinstance(key, tuple) else (0,) * ndim
            region = tuple(slice(1, None) if bit else slice(0, -1) for bit in corner)
            view = result[(batch, 0, *region)]
            torch.minimum(view, value, out=view)
    return result.nan_to_num_(posinf=1.0)


def folding(displacement: Tensor, mask: Tensor | None = None) -> Folding:
    """Count the folds of a displacement (B, ndim, *spatial) in voxels by the ten-determinant rule.

    ``mask`` (B or 1, 1, *spatial), where given, restricts the count to its non-zero voxels.
    """
    ndim, shape = displacement.shape[1], displacement.shape[2:]
    inside = torch.ones((1, 1, *shape), dtype=torch.bool) if mask is None else mask.detach().cpu() != 0
    # 1/6 of a cube per corner simplex and 1/3 per central one, halved because both cuts are counted; 1/4 each in 2-D.
    corner_weight, central_weight = (0.25, 0.0) if ndim == 2 else (1 / 12, 1 / 6)
    folded, voxels, negative, smallest = 0, 0, 0.0, float("inf")
    for batch, field in enumerate(displacement.detach().cpu()):
        here = inside[min(batch, inside.shape[0] - 1), 0]
        bad = torch.zeros(shape, dtype=torch.bool)
        # Slabs along the first axis keep the temporaries in the cache, whatever the size of the grid.
        slab = max(1, 400_000 // max(1, shape[1:].numel()))
        for start in range(0, shape[0] - 1, slab):
            stop = start + slab + 1
            for key, value in _cells(field[:, start:stop]).items():
                corner = key if isinstance(key, tuple) else (0,) * ndim
                region = tuple(slice(1, None) if bit else slice(0, -1) for bit in corner)
                value = torch.where(here[start:stop][region], value, torch.inf)
                least = float(value.min()) if value.numel() else float("inf")
                smallest = min(smallest, least)
                if least <= 0:
                    bad[start:stop][region] |= value <= 0
                    negative -= float(value.clamp(max=0).sum()) * (
                        corner_weight if isinstance(key, tuple) else central_weight)
        folded += int(bad.sum())
        voxels += int(here.sum())
    voxels = max(voxels, 1)
    return Folding(folded / voxels, negative / voxels, smallest if smallest != float("inf") else 1.0)


def jacobian_determinant(displacement: Tensor) -> Tensor:
    """det(I + grad u) by central differences (one-sided at the border), (B, 1, *spatial): the local change of volume.

    For display and statistics; count folds with :func:`folding`.
    """
    ndim = displacement.shape[1]
    gradients = [torch.gradient(displacement[:, component], dim=list(range(1, ndim + 1))) for component in range(ndim)]
    columns = [[gradients[i][j] + (1.0 if i == j else 0.0) for i in range(ndim)] for j in range(ndim)]
    return determinant(columns)[:, None]
