"""What the intensities of one image mean: which are background, and which are worth keeping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError

CT_RANGE = (-1000.0, 1000.0)
"""Hounsfield units kept of a CT; air, soft tissue and most bone lie inside."""
_SAMPLES = 500_000  # voxels that tell the percentiles
_ROUNDING = 1e-5  # of the range of intensities
_MOST_COMMON = 0.3  # share of the border that one value must have to be the background
_PEAK = 0.35  # share of the border that a narrow range must have to be a noisy background
_BINS = 64  # of the range of intensities; a peak is three of them wide
_END = 0.15  # a noisy background lies within this share of either end of the range


@dataclass(frozen=True)
class Background:
    """What surrounds the object of an image, in its own intensities; ``uniform`` where that is one value."""

    value: float
    uniform: bool


def find_background(array: np.ndarray, inside: np.ndarray | None = None) -> Background:
    """The background of an image, from its border: the one value or narrow range of values that most of it has.

    Where tissue reaches the border all around, there is none to be seen, and the lowest intensity is taken for it.

    Parameters
    ----------
    array : finite values, one axis or more. inside : booleans of the same shape; only these voxels are looked at.
    """
    lowest, highest = _ends(array if inside is None else array[inside])
    border = _border(array, inside)
    if not border.size:
        return Background(lowest, False)
    values, counts = np.unique(border, return_counts=True)
    most = int(counts.argmax())
    if counts[most] >= _MOST_COMMON * border.size:
        return Background(float(values[most]), True)
    if highest > lowest:
        counts, edges = np.histogram(border, _BINS, (lowest, highest))
        three = np.convolve(counts, (1, 1, 1), "same")
        peak = int(three.argmax())
        near_an_end = min(peak, _BINS - 1 - peak) <= _END * _BINS
        if three[peak] >= _PEAK * border.size and near_an_end:
            within = border[(border >= edges[max(peak - 1, 0)]) & (border <= edges[min(peak + 2, _BINS)])]
            return Background(float(np.median(within)), False)
    return Background(lowest, False)


def check_fill(fill: float, image: sitk.Image, name: str) -> float:
    """The value to fill with as a float.

    Raises DiffuseMorphError unless it is a finite number that the type of the image can hold.
    """
    if isinstance(fill, bool) or not isinstance(fill, (int, float)) or not np.isfinite(fill):
        raise DiffuseMorphError(f"The fill value is '{fill}', but must be a finite number.")
    kind = sitk.GetArrayViewFromImage(image).dtype
    if kind.kind in "iu" and not (np.iinfo(kind).min <= fill <= np.iinfo(kind).max and fill == int(fill)):
        raise DiffuseMorphError(
            f"The fill value {fill:g} does not fit into the {name}, which holds whole numbers from "
            f"{np.iinfo(kind).min} to {np.iinfo(kind).max}: choose one of these."
        )
    if kind.kind == "f" and abs(fill) > float(np.finfo(kind).max):
        raise DiffuseMorphError(
            f"The fill value {fill:g} does not fit into the {name}, whose numbers end at {np.finfo(kind).max:g}: "
            "choose a smaller one."
        )
    return float(fill)


def outside_value(image: sitk.Image) -> float:
    """What stands where a resampled image is not: its background, of several channels that of their mean."""
    array = sitk.GetArrayViewFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        array = array.mean(axis=-1)
    array = np.squeeze(array)
    finite = np.isfinite(array) if array.dtype.kind == "f" else None
    if finite is not None and not finite.all():
        return find_background(np.where(finite, array, 0), finite).value if finite.any() else 0.0
    return find_background(array).value


def intensity_range(array: np.ndarray, background: Background | None = None, modality: str = "") -> tuple[float, float]:
    """Lowest and highest intensity to keep.

    A CT is cut to :data:`CT_RANGE`; all else between the 0.1 and 99.9 percentile of the voxels that are not background,
    which itself stays inside.

    Parameters
    ----------
    array : finite values of any shape. background : as :func:`find_background` found it; the lowest value unless given.
    modality : DICOM's code (``"CT"``, ``"MR"``), or "" where it is not known.
    """
    lowest, highest = _ends(array)
    sample = array.ravel()[:: max(1, array.size // _SAMPLES)]
    if modality.strip() == "CT" or (not modality and _looks_like_ct(sample)):
        return max(lowest, CT_RANGE[0]), min(highest, CT_RANGE[1])
    known = background is not None and background.uniform
    bottom = background.value if known else lowest
    # What differs from the background by rounding alone would make the range depend on the scale of the intensities.
    object_ = sample[np.abs(sample - bottom) > _ROUNDING * (highest - lowest)]
    if object_.size < 100:
        return lowest, highest
    # A background of one value (zero around an extracted organ) must not decide the range, and stays in it.
    seen = known or object_.size < 0.9 * sample.size
    low, high = (float(value) for value in np.percentile(object_, (0.1, 99.9)))
    if seen and bottom == lowest:
        low = lowest
    elif known:
        low, high = min(low, bottom), max(high, bottom)
    return (low, high) if high > low else (lowest, highest)


def _looks_like_ct(sample: np.ndarray) -> bool:
    """Whether intensities are Hounsfield units: a peak at air, one at soft tissue, few between, and padding below."""
    below = sample[sample < -1100]
    # Scanners pad with one value what lies outside their field of view; other values there are noise of the air.
    noise = below.size - (np.unique(below, return_counts=True)[1].max() if below.size else 0)
    counts, _ = np.histogram(sample, np.arange(-1100, 420, 20))
    air, between, soft = counts[:10], counts[20:45], counts[47:63]  # -1100 to -900, -700 to -200, -160 to 160
    scanned = sample.size - below.size
    return bool(
        noise < 0.02 * scanned
        and air.sum() > 0.01 * scanned
        and soft.sum() > 0.02 * scanned
        and (sample > 1000).mean() < 0.05
        and min(air.max(), soft.max()) > 3 * between.mean()
    )


def _ends(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _border(array: np.ndarray, inside: np.ndarray | None) -> np.ndarray:
    """The values on the faces of an image (edges of a 2-D one), those inside only."""
    found = []
    for axis in range(array.ndim):
        for index in (0, -1):
            face = np.take(array, index, axis=axis)
            found.append(face.ravel() if inside is None else face[np.take(inside, index, axis=axis)])
    return np.concatenate(found)
