"""Whether two aligned images have one kind of contrast or two, told by the images themselves.

Where two scans of one contrast are aligned, they get brighter and darker together nearly everywhere. Two contrasts do
that too where they share the brightest boundaries, as T1 and FLAIR of a head do; then what tells them apart is which
tissue is how bright, and that needs to know the tissues: a model with a canonical contrast does, for heads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.networks import DiffuseMorph
from DiffuseMorphCore.registration.canonical import with_canonical
from DiffuseMorphCore.similarity import ImagePair
from DiffuseMorphCore.warp.filters import box_sum

COMPARED_VOXELS = {2: 10_000, 3: 40_000}
"""Voxels of the grid on which brightness is compared: coarse, as a linear alignment leaves details apart."""
CERTAIN, LIKELY = 0.75, 0.5
"""Correlation from which images have one contrast unless their tissues clearly say otherwise, and from which they are
taken to where nothing knows their tissues. Brains of one contrast, extracted: .84 to .90, hearts and lungs above .9,
hippocampi .60 to .68, brains of inverted contrast .35 to .49; heads with T1 and T1 of two people .44 to .63, with T1
and FLAIR of two .39 to .70, of one person .90 (people that methods are chosen on)."""
IDENTICAL = 0.98
"""Correlation from which no tissue needs to be looked at."""
DIFFERENT_DIRECTION = 11.0
"""Degrees between directions of contrast (:func:`contrast_direction`) from which contrasts are different, however well
the images correlate. Aligned pairs of people that methods are chosen on: 17 of one contrast (heads with T1, heads
with FLAIR, extracted brains) are up to 8.2 apart, 18 of T1 and FLAIR at least 13.2."""
HEAD = 100.0  # mm: a field of view with less along any axis shows no head

_SPACING = 3.0  # mm
_WINDOW = 5
_HALVES = ((0.1, 0.65), (0.55, 1.02))  # canonical intensities: fluid to grey matter, grey to white matter
_WHITE = 0.85
_AROUND = 50.0  # mm
_LEAST_WINDOWS = 200
_LEAST_CORRELATION = 0.2


@dataclass(frozen=True)
class Modality:
    """A choice and what it rests on.

    name : ``"same"`` or ``"different"``. reason : one clause for reports. correlation : signed, -1 to 1.
    directions_apart : degrees between the directions of contrast of both images, 0 to 180; None where there are none.
    """

    name: str
    reason: str
    correlation: float
    directions_apart: float | None = None


def modality_entry(name: str, chosen: Modality | None) -> dict[str, Any]:
    """A report's entry: which modality, and where it was chosen from the images, why."""
    if chosen is None:
        return {"name": name, "reason": "as asked for"}
    return {
        "name": name,
        "reason": chosen.reason,
        "correlation": round(chosen.correlation, 3),
        "directions_apart": None if chosen.directions_apart is None else round(chosen.directions_apart, 1),
    }


def contrast_grid(region: Grid) -> Grid:
    """The grid on which contrasts are looked at: voxels of about 3 mm where a volume is as large as a head."""
    return region.resampled(region.shape_at(_SPACING) if region.ndim == 3 else region.shape)


@torch.no_grad()
def choose_modality(pair: ImagePair, grid: Grid, model: Callable[[], DiffuseMorph | None]) -> Modality:
    """Look at an aligned pair, (1, 1, *spatial) on ``grid`` at some 2 to 4 mm for a head.

    model : called, where a head may be shown and the images are not nearly identical, for a model with a canonical
        contrast; None where there is none.
    """
    correlation = signed_correlation(pair)
    extent = [size * spacing for size, spacing in zip(grid.size, grid.spacing)]
    network = model() if correlation < IDENTICAL and grid.ndim == 3 and min(extent) >= HEAD else None
    apart = None if network is None else directions_apart(with_canonical(network, pair, grid), grid)
    if apart is not None:
        same = apart < DIFFERENT_DIRECTION
        reason = (
            f"brightness follows the anatomy {'alike' if same else 'differently'} in both (directions of contrast "
            f"{apart:.0f} degrees apart, correlation {correlation:.2f})"
        )
    elif correlation >= CERTAIN:
        same = True
        reason = f"both images get brighter together nearly everywhere (correlation {correlation:.2f})"
    else:
        same = correlation >= LIKELY
        reason = f"{'most' if same else 'too few'} boundaries go the same way in both (correlation {correlation:.2f})"
    return Modality("same" if same else "different", reason, correlation, apart)


def signed_correlation(pair: ImagePair) -> float:
    """Mean local correlation inside both objects, from -1 to 1, each window weighed by the contrast in it; 0 without
    any.
    """
    ndim = pair.fixed.dim() - 2
    scale = max(1.0, (pair.fixed[0, 0].numel() / COMPARED_VOXELS[ndim]) ** (1 / ndim))
    small = pair.at(tuple(max(8, round(size / scale)) for size in pair.shape))
    fixed, moving = small.fixed, small.moving
    counted = (fixed > 0.08 * fixed.quantile(0.99)) & (moving > 0.08 * moving.quantile(0.99)) & _seen(small)
    weight = counted.to(fixed)
    size = box_sum(weight, _WINDOW)

    def mean(image: Tensor) -> Tensor:
        return box_sum(image * weight, _WINDOW) / size.clamp(min=1e-6)

    centred = [
        torch.where(counted, image - image[counted].mean() if counted.any() else image, 0) for image in (fixed, moving)
    ]
    means = [mean(image) for image in centred]
    variances = [(mean(image * image) - average**2).clamp(min=0) for image, average in zip(centred, means)]
    covariance = mean(centred[0] * centred[1]) - means[0] * means[1]
    told = size > 0.6 * _WINDOW**ndim
    for variance in variances:
        told = told & (variance > 0.02 * variance.mean())
    if not told.any():
        return 0.0
    contrast = (variances[0] * variances[1]).sqrt()[told]
    return float((covariance[told]).sum() / contrast.sum().clamp(min=1e-12))


def directions_apart(pair: ImagePair, grid: Grid) -> float | None:
    """Degrees between the directions of contrast of both images in the middle of the brain, 0 to 180; None where one
    has none.

    pair : on ``grid``, with canonical images.
    """
    counted = _middle((pair.fixed_canonical + pair.moving_canonical) / 2, _seen(pair), grid)
    if counted is None:
        return None
    fixed = contrast_direction(pair.fixed, pair.fixed_canonical, counted)
    moving = contrast_direction(pair.moving, pair.moving_canonical, counted)
    if fixed is None or moving is None:
        return None
    return abs((fixed - moving + 180) % 360 - 180)


def _seen(pair: ImagePair) -> Tensor:
    """Where both masks of a pair, if it has any, let the images count; boolean, of their shape."""
    seen = torch.ones_like(pair.fixed, dtype=torch.bool)
    for mask in (pair.fixed_mask, pair.moving_mask):
        seen = seen if mask is None else seen & (mask > 0.9)
    return seen


def _middle(canonical: Tensor, counted: Tensor, grid: Grid) -> Tensor | None:
    """What is counted, away from its border, around the white matter: skin, fat and muscle differ more between people
    than tissues of the brain do, and the neck is on some scans only. None without white matter.
    """
    deep = box_sum(counted.to(canonical), _WINDOW) > _WINDOW**3 - 0.5
    white = (box_sum(((canonical > _WHITE) & counted).to(canonical), 3) > 20)[0, 0].nonzero()
    if len(white) < _LEAST_WINDOWS:
        return None
    spacing = canonical.new_tensor(grid.voxel_spacing)
    axes = [torch.arange(size, device=canonical.device) for size in canonical.shape[2:]]
    offset = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1) - white.to(canonical).median(dim=0).values
    return deep & ((offset * spacing).norm(dim=-1) < _AROUND)[None, None]


def contrast_direction(image: Tensor, canonical: Tensor, counted: Tensor | None = None) -> float | None:
    """How an image's brightness follows the canonical one, as one angle in degrees, -180 to 180: from the x axis, whose
    length is the slope between grey and white matter, to the y axis, that between fluid and grey matter. The canonical
    contrast itself lies at 45, T1 at 40 to 60, FLAIR at 60 to 80, T2 where both are negative.

    Slopes are those of least squares in small windows, all windows together, so that neither an uneven sensitivity nor
    what lies between windows has a part in them, and their ratio does not follow the scale of the brightness.

    image, canonical : (1, 1, *spatial), canonical in [0, 1] as :func:`with_canonical` gives it. counted : boolean, of
        the same shape; None: everywhere. Returns None where there are too few boundaries of either kind, or the image
        does not follow them.
    """
    slopes, correlations = [], []
    for low, high in _HALVES:
        within = (canonical > low) & (canonical < high)
        inside = (within if counted is None else within & counted).to(image)
        size = box_sum(inside, _WINDOW)

        def mean(values: Tensor, inside: Tensor = inside, size: Tensor = size) -> Tensor:
            return box_sum(values * inside, _WINDOW) / size.clamp(min=1)

        means = mean(image), mean(canonical)
        spread = mean(canonical**2) - means[1] ** 2
        told = (size > 0.6 * _WINDOW ** (image.dim() - 2)) & (spread > (0.18 * (high - low)) ** 2)
        if int(told.sum()) < _LEAST_WINDOWS:
            return None
        variance = (mean(image**2) - means[0] ** 2).clamp(min=0)[told]
        covariance = (mean(image * canonical) - means[0] * means[1])[told].sum()
        slopes.append(float(covariance / spread[told].sum()))
        correlations.append(float(covariance / (variance * spread[told]).sqrt().sum().clamp(min=1e-12)))
    if math.hypot(*correlations) < _LEAST_CORRELATION:
        return None
    return math.degrees(math.atan2(*slopes))
