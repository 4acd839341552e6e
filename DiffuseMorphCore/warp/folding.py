"""Topology of a displacement on its grid: Jacobian determinant and the ten-determinant rule.

Central differences overlook most folds of a sampled field. A field is fold-free as a piecewise linear map exactly when
the eight one-sided corner determinants of every cell and the determinants of its two central tetrahedra are all
positive (Liu et al., "On finite difference Jacobian computation in deformable image registration", IJCV 2024). In 2-D
the four corner determinants suffice. Everything is in voxels; the identity scores 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from DiffuseMorphCore.warp.sampling import resize_planes
from DiffuseMorphCore.warp.threads import parallel_map

# The two ways to cut a cube into five tetrahedra differ by the central one: apex and the three corners it is joined to.
_CENTRAL = (((0, 0, 0), ((1, 1, 0), (1, 0, 1), (0, 1, 1))), ((1, 1, 1), ((0, 0, 1), (0, 1, 0), (1, 0, 0))))
_SIDES = (slice(0, -1), slice(1, None))
_SLAB = {"cpu": 200_000}  # voxels
_LARGE_SLAB = 8_000_000  # on a GPU


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


def cofactors(columns: list[list[Tensor]]) -> list[Tensor]:
    """What the first column of a 2×2 or 3×3 matrix is multiplied with to give the determinant, from its other columns;
    columns[j][i] is component i of vector j.
    """
    if len(columns) == 1:
        (b,) = columns
        return [b[1], -b[0]]
    b, c = columns
    return [(b[i] * c[j]).addcmul_(b[j], c[i], value=-1) for i, j in ((1, 2), (2, 0), (0, 1))]


def product_sum(column: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    """The scalar product of two vectors whose components are tensors: with :func:`cofactors`, a determinant."""
    total = column[0] * others[0]
    for a, b in zip(column[1:], others[1:]):
        total.addcmul_(a, b)
    return total


def cell_determinants(
    corners: dict[tuple[int, ...], Sequence[Tensor]],
) -> Iterator[tuple[tuple[int, ...] | int, Tensor]]:
    """The determinants of cells given the map at their corners.

    corners[c][i] is component i of the deformed position p + u(p) of corner c, as offset from the cell's first corner
    position. Yields a key and a tensor per corner (key: the corner) and, in 3-D, per central tetrahedron (keys 0 and
    1), all scaled to give 1 for the identity.
    """
    ndim = len(next(iter(corners)))

    def edge(start: tuple[int, ...], end: tuple[int, ...]) -> list[Tensor]:
        return [b - a for a, b in zip(corners[start], corners[end])]

    edges = {
        (axis, corner): edge(corner, corner[:axis] + (1,) + corner[axis + 1 :])
        for corner in product((0, 1), repeat=ndim)
        for axis in range(ndim)
        if not corner[axis]
    }
    for corner in product((0, 1), repeat=ndim):
        columns = [edges[axis, corner[:axis] + (0,) + corner[axis + 1 :]] for axis in range(ndim)]
        yield corner, product_sum(columns[0], cofactors(columns[1:]))
    if ndim == 3:
        for key, (apex, ends) in enumerate(_CENTRAL):
            columns = [edge(apex, end) for end in ends]
            yield key, product_sum(columns[0], cofactors(columns[1:])).mul_(-0.5 if key == 0 else 0.5)


def _cells(displacement: Tensor) -> Iterator[tuple[tuple[int, ...] | int, Tensor]]:
    """Cell determinants of a whole displacement (ndim, *spatial): keys, and tensors of shape spatial - 1.

    The corners of neighbouring cells share edges and, seen from the voxel where they meet, cofactors.
    """
    ndim = displacement.shape[0]
    edges = []
    for axis in range(ndim):
        difference = displacement.diff(dim=1 + axis)
        difference[axis] += 1
        edges.append(difference)
    for rest in product((0, 1), repeat=ndim - 1):
        sides = [slice(None), *(_SIDES[bit] for bit in rest)]
        columns = [
            edges[axis][(slice(None), *sides[:axis], slice(None), *sides[axis + 1 :])] for axis in range(1, ndim)
        ]
        others = cofactors(columns)
        along = edges[0][(slice(None), *sides)]
        for bit in (0, 1):
            yield (bit, *rest), product_sum(along, [part[_SIDES[bit]] for part in others])
    if ndim == 3:
        for key, (apex, ends) in enumerate(_CENTRAL):
            columns = []
            for end in ends:
                column = displacement[(slice(None), *_region(end))] - displacement[(slice(None), *_region(apex))]
                for axis in range(ndim):
                    if end[axis] != apex[axis]:
                        column[axis] += end[axis] - apex[axis]
                columns.append(column)
            yield key, product_sum(columns[0], cofactors(columns[1:])).mul_(-0.5 if key == 0 else 0.5)


def _region(key: tuple[int, ...] | int, ndim: int = 3) -> tuple[slice, ...]:
    """Where the voxels lie that the cells' determinants of this key belong to; the central ones count for the first."""
    return tuple(_SIDES[bit] for bit in (key if isinstance(key, tuple) else (0,) * ndim))


def _slabs(shape: torch.Size, device: torch.device) -> Iterator[slice]:
    """Parts of a grid along its first axis that overlap by one plane and together have all its cells. On a CPU the
    temporaries of a part stay in its cache, and a field on a finer grid is never held as a whole.
    """
    length = max(shape[0] - 1, 1)
    step = max(1, _SLAB.get(device.type, _LARGE_SLAB) // max(1, shape[1:].numel()))
    for start in range(0, length, step):
        yield slice(start, min(start + step + 1, shape[0]))


def _on_slab(field: Tensor, shape: torch.Size, slab: slice) -> Tensor:
    """A field (ndim, *spatial) on a part of the grid of ``shape``."""
    return field[:, slab] if field.shape[1:] == shape else resize_planes(field, shape, slab)


def determinant_minimum(displacement: Tensor) -> Tensor:
    """Smallest of the determinants at every voxel, (B, 1, *spatial); a cell's central ones count for its first
    corner.
    """
    ndim, shape = displacement.shape[1], displacement.shape[2:]
    result = torch.full((displacement.shape[0], 1, *shape), torch.inf, device=displacement.device)
    for batch, field in enumerate(displacement):
        for slab in _slabs(shape, field.device):
            for key, value in _cells(_on_slab(field, shape, slab)):
                view = result[(batch, 0, slab)][_region(key, ndim)]
                torch.minimum(view, value, out=view)
    return result.nan_to_num_(posinf=1.0)


def folding(displacement: Tensor, mask: Tensor | None = None, shape: Sequence[int] | None = None) -> Folding:
    """Count the folds of a displacement (B, ndim, *spatial) in voxels by the ten-determinant rule.

    ``mask`` (B or 1, 1, *spatial), where given, restricts the count to its non-zero voxels. With a ``shape``, the folds
    are counted as a grid of that shape with the same end points has them, where the field is interpolated linearly.
    """
    ndim = displacement.shape[1]
    shape = displacement.shape[2:] if shape is None else torch.Size(shape)
    inside = None if mask is None else mask.detach().to(displacement.device) != 0
    # 1/6 of a cube per corner simplex and 1/3 per central one, halved because both cuts are counted; 1/4 each in 2-D.
    corner_weight, central_weight = (0.25, 0.0) if ndim == 2 else (1 / 12, 1 / 6)
    folded, voxels, negative, smallest = 0, 0, 0.0, float("inf")
    for batch, field in enumerate(displacement.detach()):
        here = None if inside is None else inside[min(batch, inside.shape[0] - 1), 0]
        bad = torch.zeros(shape, dtype=torch.bool, device=field.device)

        def count(slab: slice) -> tuple[float, float, Tensor | None]:
            part = _on_slab(field, shape, slab)
            least, outside, folds = float("inf"), 0.0, None
            for key, value in _cells(part):
                region = _region(key, ndim)
                if here is not None:
                    value = torch.where(here[slab][region], value, torch.inf)
                lowest = float(value.min()) if value.numel() else float("inf")
                least = min(least, lowest)
                if lowest <= 0:
                    folds = (
                        torch.zeros(part.shape[1:], dtype=torch.bool, device=part.device) if folds is None else folds
                    )
                    folds[region] |= value <= 0
                    outside -= float(value.clamp(max=0).sum()) * (
                        corner_weight if isinstance(key, tuple) else central_weight
                    )
            return least, outside, folds

        slabs = list(_slabs(shape, field.device))
        for slab, (least, outside, folds) in zip(slabs, parallel_map(count, slabs, field.device)):
            smallest, negative = min(smallest, least), negative + outside
            if folds is not None:
                bad[slab] |= folds
        folded += int(bad.sum())
        voxels += shape.numel() if here is None else int(here.sum())
    voxels = max(voxels, 1)
    return Folding(folded / voxels, negative / voxels, smallest if smallest != float("inf") else 1.0)


def jacobian_determinant(displacement: Tensor) -> Tensor:
    """det(I + grad u) by central differences (one-sided at the border), (B, 1, *spatial): the local change of volume.

    For display and statistics; count folds with :func:`folding`.
    """
    ndim = displacement.shape[1]
    gradients = [torch.gradient(displacement[:, component], dim=list(range(1, ndim + 1))) for component in range(ndim)]
    columns = [[gradients[i][j] + (1.0 if i == j else 0.0) for i in range(ndim)] for j in range(ndim)]
    return product_sum(columns[0], cofactors(columns[1:]))[:, None]
