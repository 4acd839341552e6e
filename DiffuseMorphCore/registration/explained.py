"""How much of one image another one explains: a figure that the registration does not maximise.

The correlation ratio (Roche et al., MICCAI 1998) is the share of one image's variance that its means over the
intensities of the other account for. Inside the object alone, and beside what it is when the images are shifted against
each other, it says whether structures meet or only outlines do. The alignment maximises mutual information and the
deformation local correlation, which a strong deformation brings about between any two images.
"""

from __future__ import annotations

from itertools import product

import numpy as np

_BINS, _FEWEST = 24, 60  # intensities; voxels from which on there is anything to say
_TISSUE = 0.05  # difference from the background, of intensities from 0 to 1, from which on a voxel is object
_VARIED = 0.04  # standard deviation inside the object below which only its outline tells anything
_SHIFTS = (1 / 6, 1 / 10)  # of the object's size


def explained(
    fixed: np.ndarray, moved: np.ndarray, inside: np.ndarray, backgrounds: tuple[float, float] = (0.0, 0.0)
) -> float:
    """Share of the variance that either image explains of the other, beyond what it does when they are shifted.

    Parameters
    ----------
    fixed, moved : intensities from 0 to 1 on one grid. inside : booleans, where both are known.
    backgrounds : the intensity around the object in each.

    Returns
    -------
    At most 1, for images that determine each other; about 0 or below for ones that meet by chance.
    """
    objects = [np.abs(image - value) > _TISSUE for image, value in zip((fixed, moved), backgrounds)]
    both = objects[0] & objects[1] & inside
    varied = both.sum() >= _FEWEST and min(fixed[both].std(), moved[both].std()) >= _VARIED

    def compared(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        # Of objects of one intensity only the outline tells anything: then what is around them counts too.
        return first & second if varied else _box(first | second)

    here = _ratio(fixed, moved, compared(*objects) & inside)
    shifted = []
    for axis, share, sign in product(range(fixed.ndim), _SHIFTS, (-1, 1)):
        extent = np.flatnonzero(objects[0].any(axis=tuple(other for other in range(fixed.ndim) if other != axis)))
        step = sign * int(share * (np.ptp(extent) + 1 if extent.size else 0))
        if step:
            other, its_object, known = (np.roll(part, step, axis) for part in (moved, objects[1], inside))
            shifted.append(_ratio(fixed, other, compared(objects[0], its_object) & inside & known))
    return float(here - max(shifted, default=0.0))


def _box(marked: np.ndarray) -> np.ndarray:
    """Booleans: the smallest box around what is marked."""
    box = np.zeros_like(marked)
    if marked.any():
        box[tuple(slice(along.min(), along.max() + 1) for along in np.nonzero(marked))] = True
    return box


def _ratio(first: np.ndarray, second: np.ndarray, where: np.ndarray) -> float:
    """The larger of the two correlation ratios, corrected for the number of means."""
    a, b = first[where].astype(np.float64), second[where].astype(np.float64)
    if a.size < _FEWEST or min(a.std(), b.std()) < 1e-6:
        return 0.0
    return max(_one_way(a, b), _one_way(b, a))


def _one_way(given: np.ndarray, told: np.ndarray) -> float:
    low, high = np.percentile(given, (1, 99))
    if high <= low:
        low, high = given.min(), given.max()
    index = np.clip((given - low) / (high - low) * _BINS, 0, _BINS - 1).astype(int)
    count, total = np.bincount(index, minlength=_BINS), np.bincount(index, told, _BINS)
    used = count > 0
    between = (total[used] ** 2 / count[used]).sum() - told.size * told.mean() ** 2
    share = between / ((told - told.mean()) ** 2).sum()
    return 1 - (1 - share) * (told.size - 1) / max(told.size - int(used.sum()), 1)
