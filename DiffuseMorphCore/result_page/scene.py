"""What the page shows, made small: both images, and the path of the deformation, on grids that a browser can handle.

The browser deforms the moving image itself, at any eta and in any slice, by linear interpolation: in space, and between
the keyframes of the path as the path itself does. What it shows differs from the result by the coarser grids, JPEG, and
the rounding of displacements to 255 steps; how much, is measured for every page.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import grey
from DiffuseMorphCore.registration import Registration
from DiffuseMorphCore.registration.intensity import outside_value
from DiffuseMorphCore.registration.prepare import flatten_slice
from DiffuseMorphCore.registration.transforms import scaled_alignment
from DiffuseMorphCore.result_page.sheets import Sheet, sheet
from DiffuseMorphCore.view_planes import ViewPlane, orient, planes_of, scaled, window

_VOXELS = {2: 1_000_000, 3: 2_200_000}  # of an image, by dimension
_NODES = {2: 60_000, 3: 250_000}  # of the displacement
_STEPS = 127  # to each side of nothing
_DARK = 12  # grey values up to this are background


@dataclass(frozen=True)
class Scene:
    """Everything that is seen. Arrays are (slices, rows, columns); those of a 2-D image have one slice.

    spacing : mm of the square voxels. planes : in which it is shown. middle : the slice of each that goes through the
    middle of the contents. fixed, moving : the images, 0 to 255, the moving one aligned and ``before`` voxels larger at
    the start of each axis. fields : the displacement at each of ``etas``. longest : voxels that the largest step of a
    displacement stands for. levels : grey values of the fixed image's edges. difference : between what the page shows
    and the result, a share of the range from black to white. moved : the moving image as the page deforms it to eta 1.
    uncertainty, doubt : its map and the millimetres of its largest value, or None and 0.
    """

    spacing: float
    planes: list[ViewPlane]
    middle: list[int]
    fixed: Sheet
    moving: Sheet
    before: tuple[int, int, int]
    etas: tuple[float, ...]
    fields: list[Sheet]
    longest: float
    levels: list[float]
    difference: float = 0.0
    moved: np.ndarray | None = None
    uncertainty: Sheet | None = None
    doubt: float = 0.0

    def entry(self) -> dict[str, Any]:
        """For the page's data."""
        return {
            "spacing": self.spacing,
            "planes": [
                {"axis": plane.axis or 0, "name": name, "slice": index, "up": plane.up, "mirrored": plane.mirrored}
                for plane, name, index in zip(self.planes, self.names, self.middle)
            ],
            "fixed": self.fixed.entry(),
            "moving": self.moving.entry(),
            "before": list(self.before),
            "etas": list(self.etas),
            "fields": [field.entry() for field in self.fields],
            "step": self.longest / _STEPS,
            "levels": self.levels,
            "uncertainty": None if self.uncertainty is None else self.uncertainty.entry() | {"largest": self.doubt},
        }

    @property
    def aligned(self) -> np.ndarray:
        """The moving image at eta 0, (slices, rows, columns) of 0 to 255."""
        return self.moving.decoded[tuple(slice(b, b + n) for b, n in zip(self.before, self.fixed.shape))]

    @property
    def names(self) -> tuple[str, ...]:
        return ("Axial", "Coronal", "Sagittal") if len(self.planes) == 3 else ("Image",)


def scene(result: Registration, uncertainty: sitk.Image | None = None) -> Scene:
    """The scene of a registration, and of its uncertainty map where there is one (on the fixed image's grid)."""
    fixed = orient(result.fixed)
    moving = flatten_slice(grey(result.moving))[0] if result.planes else grey(result.moving)
    n = fixed.GetDimension()
    shown = _square(Grid.of(fixed), _VOXELS[n])
    coarse = shown.resampled(_square(shown, _NODES[n]).shape)
    planes = planes_of(result)
    limits, moving_limits = window(fixed), window(moving)
    fixed_bytes = _bytes(_resampled(_reduced(fixed, shown), shown), limits)
    vectors = [_displacement(result, eta, shown, coarse) for eta in result.etas]
    before, after = _margins(vectors, coarse.shape, shown.shape)
    wide = shown.part(
        tuple(-b for b in reversed(before)),
        tuple(size + b + a for size, b, a in zip(shown.size, reversed(before), reversed(after))),
    )
    outside = outside_value(moving) if result.options.fill is None else result.options.fill
    reduced = _reduced(moving, shown)
    moving_bytes = _bytes(_resampled(reduced, wide, result.alignment, outside), moving_limits)
    longest = max(max(float(np.abs(each).max()) for each in vectors), 1e-3)
    fields = [sheet(_deep(_steps(each, longest), n), exact=True) for each in vectors]
    found = Scene(
        spacing=shown.spacing[0],
        planes=planes,
        middle=[
            0 if plane.axis is None else round(plane.index * fixed.GetSpacing()[2 - plane.axis] / shown.spacing[0])
            for plane in planes
        ],
        fixed=sheet(_deep(fixed_bytes, n)),
        moving=sheet(_deep(moving_bytes, n)),
        before=(0,) * (3 - n) + before,
        etas=result.etas,
        fields=fields,
        longest=longest,
        levels=_levels(fixed_bytes),
    )
    moved = _as_seen(found, shown, wide, coarse)
    whole = sitk.CompositeTransform([result.alignment, _through(result, result.etas[-1])])
    exact = _deep(_bytes(_resampled(reduced, shown, whole, outside), moving_limits), n)
    inside = (exact > _DARK) | (moved > _DARK)
    difference = float(np.abs(moved - exact)[inside].mean()) / 255 if inside.any() else 0.0
    found = replace(found, moved=moved, difference=difference)
    if uncertainty is None:
        return found
    values = sitk.GetArrayFromImage(_resampled(orient(uncertainty), coarse))
    largest = max(float(np.percentile(values, 99.9)), 1e-6)
    levels = np.clip(np.rint(values / largest * 255), 0, 255).astype(np.uint8)
    return replace(found, uncertainty=sheet(_deep(levels, n), exact=True), doubt=largest)


def _square(grid: Grid, most: int) -> Grid:
    """A grid with the same axes and first voxel, of at most about ``most`` voxels, as long as wide."""
    extent = [size * step for size, step in zip(grid.size, grid.spacing)]
    side = max(min(grid.spacing), (math.prod(extent) / most) ** (1 / grid.ndim))
    size = tuple(max(1, math.floor((n - 1) * step / side) + 1) for n, step in zip(grid.size, grid.spacing))
    return Grid(size, (side,) * grid.ndim, grid.origin, grid.direction)


def _reduced(image: sitk.Image, grid: Grid) -> sitk.Image:
    """An image with means of as many voxels as fit into one of the grid, so that nothing aliases."""
    if image.GetPixelID() not in (sitk.sitkFloat32, sitk.sitkFloat64):
        image = sitk.Cast(image, sitk.sitkFloat32)
    factors = [
        max(1, min(int(grid.spacing[0] / step), size)) for step, size in zip(image.GetSpacing(), image.GetSize())
    ]
    return image if max(factors) == 1 else sitk.BinShrink(image, factors)


def _resampled(
    image: sitk.Image, grid: Grid, transform: sitk.Transform | None = None, outside: float | None = None
) -> sitk.Image:
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(grid.size)
    resampler.SetOutputSpacing(grid.spacing)
    resampler.SetOutputOrigin(grid.origin)
    resampler.SetOutputDirection(grid.direction)
    resampler.SetTransform(sitk.Transform(grid.ndim, sitk.sitkIdentity) if transform is None else transform)
    resampler.SetDefaultPixelValue(0.0 if outside is None else outside)
    resampler.SetUseNearestNeighborExtrapolator(outside is None)
    return resampler.Execute(image)


def _bytes(image: sitk.Image, limits: tuple[float, float]) -> np.ndarray:
    return np.rint(scaled(sitk.GetArrayViewFromImage(image), limits) * 255).astype(np.uint8)


def _through(result: Registration, eta: float) -> sitk.CompositeTransform:
    """The deformation, and what eta leaves of the alignment where it scales that: fixed to aligned moving points."""
    parts = [result.path.at(eta).transform()]
    if result.options.alignment_follows_eta:
        parts = [sitk.AffineTransform(result.alignment.GetInverse()), scaled_alignment(result.alignment, eta), *parts]
    return sitk.CompositeTransform(parts)


def _displacement(result: Registration, eta: float, shown: Grid, coarse: Grid) -> np.ndarray:
    """(*coarse.shape, ndim) in voxels of ``shown``, components in the order of the array's axes."""
    field = sitk.TransformToDisplacementField(
        _through(result, eta), sitk.sitkVectorFloat32, coarse.size, coarse.origin, coarse.spacing, coarse.direction
    )
    vectors = sitk.GetArrayFromImage(field)
    directions = np.array(shown.direction).reshape(shown.ndim, shown.ndim) / np.array(shown.spacing)
    return (vectors @ directions)[..., ::-1]


def _margins(
    vectors: list[np.ndarray], coarse: tuple[int, ...], shown: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Voxels that the deformation reaches beyond the fixed image at the start and at the end of each axis."""
    before, after = [], []
    for axis, (nodes, size) in enumerate(zip(coarse, shown)):
        place = np.linspace(0, size - 1, nodes).reshape([-1 if a == axis else 1 for a in range(len(coarse))])
        reached = [place + each[..., axis] for each in vectors]
        limit = size // 3
        before.append(min(limit, max(0, math.ceil(-min(float(each.min()) for each in reached)))))
        after.append(min(limit, max(0, math.ceil(max(float(each.max()) for each in reached) - (size - 1)))))
    return tuple(before), tuple(after)


def _steps(vectors: np.ndarray, longest: float) -> np.ndarray:
    """Displacements as 128 ± 127 steps, three components, the missing one of 2-D first."""
    steps = np.rint(vectors / longest * _STEPS).astype(np.int16) + 128
    missing = np.full((*steps.shape[:-1], 3 - steps.shape[-1]), 128)
    return np.concatenate([missing, steps], axis=-1).astype(np.uint8)


def _deep(values: np.ndarray, ndim: int) -> np.ndarray:
    return values[None] if ndim == 2 else values


def _levels(fixed: np.ndarray) -> list[float]:
    """Two grey values that part the fixed image best: their lines are its edges."""
    tissue = fixed[fixed > _DARK]
    if tissue.size < 16 or tissue.min() == tissue.max():
        return [127.5]
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.Execute(sitk.GetImageFromArray(tissue.reshape(1, -1)))
    return sorted({max(otsu.GetThreshold() / 2, 12.5), otsu.GetThreshold() + 0.5})


def _as_seen(found: Scene, shown: Grid, wide: Grid, coarse: Grid) -> np.ndarray:
    """The moving image at eta 1, (slices, rows, columns) of 0 to 255, from what the page holds and as it does it."""
    decoded = found.fields[-1].decoded.astype(np.float64) - 128
    decoded = (decoded[0] if shown.ndim == 2 else decoded)[..., 3 - shown.ndim :][..., ::-1]
    directions = np.array(shown.direction).reshape(shown.ndim, shown.ndim) * np.array(shown.spacing)
    field = coarse.image(decoded * (found.longest / _STEPS) @ directions.T, vector=True)
    source = wide.image(found.moving.decoded.reshape(wide.shape).astype(np.float32))
    return _deep(sitk.GetArrayFromImage(_resampled(source, shown, sitk.DisplacementFieldTransform(field))), shown.ndim)
