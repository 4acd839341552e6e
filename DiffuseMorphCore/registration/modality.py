"""Whether two aligned images have one kind of contrast or two, told by the images themselves.

Where two scans of one contrast are aligned, they get brighter and darker together nearly everywhere. Two contrasts do
that too where they share the brightest boundaries, as T1 and FLAIR of a head do; then what tells them apart is which
tissue is how bright, and that needs to know the tissues: a model with a canonical contrast does, for heads.
"""

from __future__ import annotations

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
DIFFERENT_PROFILE = 0.03
"""Distance of tissue profiles from which contrasts are taken for different. T1 and FLAIR of six pairs of heads are .08
to .45 apart, T1 and T1 .00 to .12, so the two overlap: one contrast that is taken for two costs time, two that are
taken for one cost the result."""
CLEARLY_DIFFERENT_PROFILE = 0.2
"""Distance from which contrasts are different although the images correlate, as T1 and FLAIR of one person do, which
are .23 to .37 apart, and .00 to .13 scans of one contrast (people that methods are chosen on)."""
HEAD = 100.0  # mm: a field of view with less along any axis shows no head

_SPACING = 3.0  # mm
_WINDOW = 5
_TISSUES = {"fluid": (0.08, 0.17), "grey": (0.56, 0.70), "white": (0.93, 1.01)}  # canonical intensities
_LEAST_VOXELS = 30


@dataclass(frozen=True)
class Modality:
    """A choice and what it rests on.

    name : ``"same"`` or ``"different"``. reason : one clause for reports. correlation : signed, -1 to 1.
    profile_distance : between the tissues' brightness in both images, 0 for equal; None where no tissue was recognised.
    """

    name: str
    reason: str
    correlation: float
    profile_distance: float | None = None


def modality_entry(name: str, chosen: Modality | None) -> dict[str, Any]:
    """A report's entry: which modality, and where it was chosen from the images, why."""
    if chosen is None:
        return {"name": name, "reason": "as asked for"}
    return {
        "name": name,
        "reason": chosen.reason,
        "correlation": round(chosen.correlation, 3),
        "profile_distance": None if chosen.profile_distance is None else round(chosen.profile_distance, 3),
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
    distance = None if network is None else profile_distance(with_canonical(network, pair, grid))
    if distance is not None:
        same = distance < (CLEARLY_DIFFERENT_PROFILE if correlation >= CERTAIN else DIFFERENT_PROFILE)
        reason = (
            f"the tissues are {'equally' if same else 'differently'} bright in both (profiles {distance:.2f} apart, "
            f"correlation {correlation:.2f})"
        )
    elif correlation >= CERTAIN:
        same = True
        reason = f"both images get brighter together nearly everywhere (correlation {correlation:.2f})"
    else:
        same = correlation >= LIKELY
        reason = f"{'most' if same else 'too few'} boundaries go the same way in both (correlation {correlation:.2f})"
    return Modality("same" if same else "different", reason, correlation, distance)


def signed_correlation(pair: ImagePair) -> float:
    """Mean local correlation inside both objects, from -1 to 1, each window weighed by the contrast in it; 0 without
    any.
    """
    ndim = pair.fixed.dim() - 2
    scale = max(1.0, (pair.fixed[0, 0].numel() / COMPARED_VOXELS[ndim]) ** (1 / ndim))
    small = pair.at(tuple(max(8, round(size / scale)) for size in pair.shape))
    fixed, moving = small.fixed, small.moving
    counted = (fixed > 0.08 * fixed.quantile(0.99)) & (moving > 0.08 * moving.quantile(0.99))
    for mask in (small.fixed_mask, small.moving_mask):
        counted = counted if mask is None else counted & (mask > 0.9)
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


def profile_distance(pair: ImagePair) -> float | None:
    """How differently bright fluid, grey and white matter are in both images, 0 for alike; None where one is not
    found.
    """
    profiles = [
        tissue_profile(image, canonical)
        for image, canonical in ((pair.fixed, pair.fixed_canonical), (pair.moving, pair.moving_canonical))
    ]
    if any(profile is None for profile in profiles):
        return None
    return max(abs(a - b) for a, b in zip(*profiles))


def tissue_profile(image: Tensor, canonical: Tensor) -> tuple[float, float] | None:
    """(grey - fluid, white - grey) in shares of the range of the three, by the median brightness of each tissue where
    the canonical image is even; None where there are too few such voxels.
    """
    size = box_sum(torch.ones_like(canonical), 3)
    mean = box_sum(canonical, 3) / size
    even = (box_sum(canonical * canonical, 3) / size - mean**2).clamp(min=0).sqrt() < 0.08
    brightness = []
    for low, high in _TISSUES.values():
        here = even & (canonical > low) & (canonical < high)
        if int(here.sum()) < _LEAST_VOXELS:
            return None
        brightness.append(float(image[here].median()))
    spread = max(brightness) - min(brightness)
    if spread <= 0:
        return None
    fluid, grey, white = brightness
    return (grey - fluid) / spread, (white - grey) / spread
