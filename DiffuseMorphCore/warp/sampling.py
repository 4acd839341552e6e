"""Sampling of images and fields: the one place that knows how the voxels of a grid are addressed.

Every tensor is (B, C, *spatial) with spatial (D, H, W) or (H, W). A displacement is (B, ndim, *spatial) in voxels of
its own grid, component order = axis order, and it pulls: warped(p) = image(p + u(p)). The first and last voxel centres
are the end points of an axis (``align_corners=True``); outside the grid the border value continues.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor

from DiffuseMorphCore.warp.threads import SLAB, in_slabs

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def _axis_index(size: int, axis: int, ndim: int, like: Tensor) -> Tensor:
    index = torch.arange(size, device=like.device, dtype=like.dtype)
    return index.view([-1 if other == axis else 1 for other in range(ndim)])


def _sample(image: Tensor, starts: Sequence[Tensor], moves: Sequence[Tensor], mode: str) -> Tensor:
    """``image`` at voxel coordinates start + move, given per axis, together (B, *target); the only call of
    grid_sample.
    """
    if mode not in ("linear", "nearest"):
        raise ValueError(f"interpolation must be 'linear' or 'nearest', not {mode!r}")
    # From voxels to -1 … 1 in one pass over the large part, the moves.
    scales = [2 / max(size - 1, 1) for size in image.shape[2:]]
    grid = torch.stack(
        [torch.add(start * scale - 1, move, alpha=scale) for start, move, scale in zip(starts, moves, scales)][::-1],
        dim=-1,
    )
    parts, target = _parts(image, grid), grid.shape[1:-1]
    if parts > 1:
        missing = -target.numel() % parts
        grid = grid.view(-1, len(target))
        grid = functional.pad(grid, (0, 0, 0, missing)) if missing else grid
        grid = grid.view(parts, *[1] * (len(target) - 1), -1, len(target))
    if image.shape[0] != grid.shape[0]:
        image = image.expand(grid.shape[0], *image.shape[1:])
    kind = "bilinear" if mode == "linear" else "nearest"
    found = functional.grid_sample(image, grid, mode=kind, padding_mode="border", align_corners=True)
    if parts > 1:
        found = found.transpose(0, 1).reshape(1, found.shape[1], -1)[..., : target.numel()]
        found = found.reshape(1, -1, *target)
    return found


def _parts(image: Tensor, grid: Tensor) -> int:
    """Into how many the points of a grid are divided: torch gives every image of a batch to one thread, so a single one
    on a CPU would leave all others idle. Each part of an image that needs a gradient has a gradient of its own.
    """
    if not image.is_cpu or grid.shape[0] != 1 or not grid.numel():
        return 1
    return min(torch.get_num_threads(), 4) if image.requires_grad else torch.get_num_threads()


def warp(image: Tensor, displacement: Tensor, mode: str = "linear") -> Tensor:
    """Pull an image through a displacement: out(p) = image(p + u(p)) (paper, section 3.1, spatial transformation
    layer).

    Parameters
    ----------
    image : (B, C, *spatial) of any range; a batch of one serves every displacement.
    displacement : (B, ndim, *spatial) in voxels of the same grid.
    mode : ``"linear"``, or ``"nearest"`` for labels.

    Returns
    -------
    (B, C, *spatial), float, where ``"nearest"`` returns only values the image has.
    """
    shape, image = displacement.shape[2:], image.to(displacement.dtype)
    starts = [_axis_index(size, axis, len(shape), displacement) for axis, size in enumerate(shape)]
    recorded = torch.is_grad_enabled() and (image.requires_grad or displacement.requires_grad)
    if recorded or not displacement.is_cpu or shape.numel() <= 2 * SLAB:
        return _sample(image, starts, displacement.unbind(1), mode)
    batch = max(image.shape[0], displacement.shape[0])
    found = torch.empty((batch, image.shape[1], *shape), dtype=image.dtype)

    def part(planes: slice) -> None:
        moves = displacement[:, :, planes].unbind(1)
        found[:, :, planes] = _sample(image, [starts[0][planes], *starts[1:]], moves, mode)

    in_slabs(part, shape, displacement.device)
    return found


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Displacement of (id + outer) o (id + inner): inner(p) + outer(p + inner(p)); both (B, ndim, *spatial), voxels."""
    return warp(outer, inner).add_(inner)


def resize(image: Tensor, shape: Sequence[int]) -> Tensor:
    """Linear interpolation of (B, C, *spatial) onto a grid of ``shape`` with the same end points, values unchanged."""
    shape = tuple(shape)
    if tuple(image.shape[2:]) == shape:
        return image
    return functional.interpolate(image, size=shape, mode=_LINEAR[len(shape)], align_corners=True)


def sample_axes(
    image: Tensor, starts: Sequence[float], steps: Sequence[float], shape: Sequence[int], outside: float | None = None
) -> Tensor:
    """Linear interpolation of (B, C, *spatial) onto a grid of ``shape`` whose voxels lie at start + step · index, given
    for each axis in voxels of the image.

    Outside the image stands ``outside``, or its border value continues where that is None.
    """
    for axis, (start, step, size) in enumerate(zip(starts, steps, shape), start=2):
        last = image.shape[axis] - 1
        position = start + step * torch.arange(size, dtype=torch.float64, device=image.device)
        nearest = position.round()
        position = torch.where((position - nearest).abs() < 1e-5, nearest, position)  # what rounding put beside a voxel
        if len(position) != last + 1 or not torch.equal(position, torch.arange(size, device=image.device).double()):
            lower = position.clamp(0, last).floor().clamp(max=max(last - 1, 0)).long()
            column = [-1 if other == axis else 1 for other in range(image.dim())]
            weight = (position.clamp(0, last) - lower).to(image.dtype).view(column)
            inside = ((position >= 0) & (position <= last)).view(column)
            image = torch.lerp(
                image.index_select(axis, lower), image.index_select(axis, (lower + 1).clamp(max=last)), weight
            )
            if outside is not None:
                image = torch.where(inside, image, outside)
    return image


def resize_displacement(displacement: Tensor, shape: Sequence[int]) -> Tensor:
    """A displacement or velocity (B, ndim, *spatial) on a grid of ``shape``, its values in voxels of the new grid."""
    resized = resize(displacement, shape)
    if resized is displacement:
        return displacement
    ratios = [(new - 1) / max(old - 1, 1) for new, old in zip(shape, displacement.shape[2:])]
    scale = torch.tensor(ratios, device=displacement.device, dtype=displacement.dtype)
    return resized * scale.view(1, -1, *[1] * len(ratios))


def resize_planes(displacement: Tensor, shape: Sequence[int], planes: slice) -> Tensor:
    """Some planes along the first axis of what :func:`resize_displacement` gives, (ndim, *spatial) in and out."""
    old = displacement.shape[1:]
    ratios = [(new - 1) / max(size - 1, 1) for new, size in zip(shape, old)]
    position = torch.arange(planes.start, planes.stop, device=displacement.device) / (ratios[0] or 1)
    lower = position.long().clamp_(max=max(old[0] - 2, 0))
    weight = (position - lower).to(displacement.dtype).view(-1, *[1] * (len(old) - 1))
    between = torch.lerp(displacement[:, lower], displacement[:, (lower + 1).clamp_(max=old[0] - 1)], weight)
    resized = resize(between, shape[1:])
    return resized * torch.tensor(ratios, device=displacement.device).to(resized).view(-1, *[1] * len(old))


def sample_points(image: Tensor, points: Tensor, mode: str = "linear") -> Tensor:
    """Values of an image (1, C, *spatial) at voxel coordinates ``points`` (N, ndim), as an (N, C) tensor."""
    ndim = points.shape[1]
    moves = [points[:, axis].view(1, -1, *[1] * (ndim - 1)) for axis in range(ndim)]
    return _sample(image.to(points.dtype), [points.new_zeros(())] * ndim, moves, mode)[0].flatten(1).T


def warp_points(points: Tensor, displacement: Tensor) -> Tensor:
    """P + u(p) for voxel coordinates ``points`` (N, ndim) and a displacement (1, ndim, *spatial) in voxels.

    Points move against images: to carry points of the moving image to the fixed one, give the inverse displacement.
    """
    return points + sample_points(displacement, points)
