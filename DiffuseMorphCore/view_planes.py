"""In which planes an image is shown, and in which window of intensities; nothing is drawn here.

Volumes are shown in their three orthogonal planes through the middle of what is in them, the way radiologists look at
them: the patient's right is on the left, anterior and superior are up. Pictures (2-D images) are shown as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import grey
from DiffuseMorphCore.registration import Registration
from DiffuseMorphCore.registration.prepare import flatten_slice, is_slice

_SAMPLE = 500_000  # voxels that tell the percentiles of an image
_MIDDLE = 0.6  # share of the length of what is in a volume that counts as its middle


@dataclass(frozen=True)
class ViewPlane:
    """One plane of an image: `grid` is the piece of the oriented image in it, one voxel thick, `axis` the array axis it
    cuts at `index` (None for a 2-D image), `spacing` its row and column spacing in mm, `up` whether the first row is
    drawn at the bottom, `mirrored` the first column right.
    """

    grid: sitk.Image
    axis: int | None
    index: int
    spacing: tuple[float, float]
    up: bool
    mirrored: bool = False

    def of(self, array: np.ndarray) -> np.ndarray:
        """The plane (rows, columns, …) of an array (*spatial, …) on the same grid."""
        return array if self.axis is None else np.take(array, self.index, axis=self.axis)

    def sample(self, image: sitk.Image, transform: sitk.Transform, outside: float = 0.0) -> np.ndarray:
        """(rows, columns, …) of another image in space, seen through a transform, `outside` where it is not."""
        found = sitk.GetArrayFromImage(sitk.Resample(image, self.grid, transform, sitk.sitkLinear, outside))
        return found if self.axis is None else found.squeeze(self.axis)

    @property
    def axes(self) -> tuple[int, int]:
        """The array axes of its rows and columns."""
        return tuple(a for a in range(3) if a != self.axis) if self.axis is not None else (0, 1)


def orient(image: sitk.Image) -> sitk.Image:
    """The image, colours as grey, with axes in the order closest to left, posterior, superior; a single slice as the
    2-D image it is.
    """
    image = grey(image)
    if is_slice(image):
        return flatten_slice(image)[0]
    return sitk.DICOMOrient(image, "LPS") if image.GetDimension() == 3 else image


def choose_planes(
    image: sitk.Image, other: sitk.Image | None = None, transform: sitk.Transform | None = None
) -> list[ViewPlane]:
    """The planes in which an image is shown, on the grid of `orient(image)`: axial, coronal and sagittal through the
    middle of what is in a volume, the one there is of a slice or a 2-D image.

    other, transform : an image that, seen through this transform, shows a part of it: only this part counts.
    """
    oriented = orient(image)
    spacing = oriented.GetSpacing()[::-1]
    if is_slice(image):
        along, down = np.array(flatten_slice(image)[1].direction).reshape(3, 3).T[:2]
        return [
            ViewPlane(oriented, None, 0, spacing, up=_points(down, (0, -1, 1)), mirrored=_points(along, (-1, -1, 0)))
        ]
    if image.GetDimension() == 2:
        return [ViewPlane(oriented, None, 0, spacing, up=False)]
    step = max(1, round((oriented.GetNumberOfPixels() / _SAMPLE) ** (1 / 3)))
    values = sitk.GetArrayViewFromImage(oriented)[::step, ::step, ::step]
    weights = scaled(values, window(oriented))  # fat that is brighter than white does not draw the planes to itself
    if other is not None and transform is not None:
        coarse = Grid.of(oriented[::step, ::step, ::step])
        shared = weights * _covered(coarse, other, transform)
        weights = shared if shared.any() else weights
    planes = []
    for axis, length in enumerate(oriented.GetSize()[::-1]):
        others = tuple(a for a in range(3) if a != axis)
        profile = weights.sum(axis=others, dtype=np.float64)
        profile = profile if profile.any() else np.ones_like(profile)
        middle = round(float(np.average(np.arange(len(profile)), weights=profile)) * step)
        middle = min(middle, length - 1)
        size, start = list(oriented.GetSize()), [0, 0, 0]
        size[2 - axis], start[2 - axis] = 1, middle
        planes.append(
            ViewPlane(
                sitk.RegionOfInterest(oriented, size, start),
                axis,
                middle,
                (spacing[others[0]], spacing[others[1]]),
                up=axis != 0,
            )
        )
    return planes


def planes_of(result: Registration) -> list[ViewPlane]:
    """The planes in which a registration is shown: those of the fixed image, through what both images show."""
    return choose_planes(result.fixed, result.moving, result.alignment)


def _covered(grid: Grid, other: sitk.Image, transform: sitk.Transform) -> np.ndarray:
    """(*shape) 0 or 1: which voxels of a grid another image shows, seen through a transform."""
    there = sitk.Image(other.GetSize(), sitk.sitkUInt8) + 1
    there.CopyInformation(other)
    return sitk.GetArrayFromImage(
        sitk.Resample(there, grid.image(np.zeros(grid.shape, np.float32)), transform, sitk.sitkNearestNeighbor, 0)
    )


def _points(axis: np.ndarray, signs: tuple[int, int, int]) -> bool:
    """Whether the largest component of an axis (left, posterior, superior) has the sign given for it."""
    largest = int(np.abs(axis).argmax())
    return bool(axis[largest] * signs[largest] > 0)


def window(image: sitk.Image) -> tuple[float, float]:
    """Intensities to show as black and as white: the 1 and 99.5 percentile of what is not background; in a volume, of
    that in the middle of its contents, so that the fat around a head does not leave its brain dark.
    """
    array = sitk.GetArrayFromImage(grey(image))
    for values in (_middle(array), _thinned(array), array.ravel()):
        values = values.astype(np.float32)
        values = values[np.isfinite(values)]
        shown = values[values > values.min()] if values.size else values
        if shown.size > 1000:
            break
    if shown.size == 0:
        return float(values.min()), float(values.min()) + 1.0
    low, high = np.percentile(shown, (1.0, 99.5))
    return (float(low), float(high)) if high > low else (float(values.min()), float(shown.max()))


def _thinned(array: np.ndarray) -> np.ndarray:
    """About :data:`_SAMPLE` of its values."""
    return array.ravel()[:: max(1, array.size // _SAMPLE)]


def _middle(array: np.ndarray) -> np.ndarray:
    """Values of a volume in an ellipsoid about the middle of its contents, :data:`_MIDDLE` as long along each axis; of
    anything else none.
    """
    if array.ndim != 3 or min(array.shape) < 8:
        return array[:0].ravel()
    step = max(1, round((array.size / _SAMPLE) ** (1 / 3)))
    coarse = np.nan_to_num(array[::step, ::step, ::step].astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = np.percentile(coarse, (1.0, 99.9))
    filled = np.argwhere(coarse > low + 0.1 * (high - low))
    if not len(filled):
        return array[:0].ravel()
    start, end = np.percentile(filled, (0.5, 99.5), axis=0)
    reach = np.maximum(_MIDDLE * (end - start) / 2, 1.0)
    distance = sum(
        ((along - (first + last) / 2) / length) ** 2
        for along, first, last, length in zip(np.ogrid[tuple(map(slice, coarse.shape))], start, end, reach)
    )
    return coarse[distance < 1]


def grid_steps(result: Registration, planes: list[ViewPlane], eta: float) -> list[np.ndarray]:
    """The deformation at `eta` in every plane, in voxels of the oriented fixed image: (rows, columns, ndim), components
    in the order of that image's array axes.
    """
    field = result.grid.image(result.vectors(eta), vector=True)
    n = field.GetDimension()
    found = []
    for plane in planes:
        vectors = plane.sample(field, sitk.Transform(n, sitk.sitkIdentity))
        to_voxels = np.array(plane.grid.GetDirection()).reshape(n, n) / np.array(plane.grid.GetSpacing())
        found.append((vectors @ to_voxels)[..., ::-1])
    return found


def scaled(array: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Intensities from the lower to the upper limit as 0 to 1."""
    array = array.astype(np.float32)
    return np.clip((np.nan_to_num(array, nan=limits[0]) - limits[0]) / (limits[1] - limits[0]), 0.0, 1.0)
