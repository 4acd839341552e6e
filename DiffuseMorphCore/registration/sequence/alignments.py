"""Linear motion between frames: each frame's alignment with the reference, begun at its neighbour's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import SimpleITK as sitk

from DiffuseMorphCore.registration.align import align
from DiffuseMorphCore.registration.aligned_similarity import aligned_similarity
from DiffuseMorphCore.registration.prepare import PreparedScan
from DiffuseMorphCore.similarity import Similarity

_AS_GOOD = 0.9  # share of the neighbour's similarity below which all starts are tried
_TIMES, _GAIN = 5, 1.001  # searches from where the last one ended, as long as each makes the images more similar


def align_frames(
    reference: PreparedScan,
    scan: Callable[[int], PreparedScan],
    ways: Sequence[tuple[int, int | None]],
    kind: str,
    goal: Similarity,
    advance: Callable[[float], None],
) -> dict[int, sitk.AffineTransform]:
    """The linear transform (mm, LPS) from points of the reference to points of each frame, by its number.

    A frame that has hardly moved from its neighbour is found from there; one that has jumped is first searched for as
    `register` does it. A search goes a short way only, so it is begun again where it ended.

    Parameters
    ----------
    scan : gives the frame with a number. ways : the frames in order, each with the neighbour before it, the reference
        with None. kind : ``"rigid"`` or ``"affine"``. advance : called with the fraction done; it may raise to stop.
    """
    still = sitk.AffineTransform(reference.grid.ndim)
    found, reached = {}, {}
    for place, (number, neighbour) in enumerate(ways):
        advance(place / len(ways))
        if neighbour is None:
            found[number] = still
            continue
        scans = reference, scan(number)

        def value(alignment: sitk.AffineTransform, scans: tuple[PreparedScan, PreparedScan] = scans) -> float:
            return aligned_similarity(scans, alignment, reference.grid, goal)

        begun = [still] if neighbour not in reached else [still, found[neighbour]]
        tried = {each: value(each) for each in begun}
        if max(tried.values()) < _AS_GOOD * reached.get(neighbour, 1.0):
            anew = align(*scans, kind)
            tried[anew] = value(anew)
        for _ in range(_TIMES):
            best = max(tried, key=tried.__getitem__)
            further = align(*scans, kind, best)
            tried[further] = value(further)
            if tried[further] <= _GAIN * tried[best]:
                break
        found[number] = max(tried, key=tried.__getitem__)  # the first of equals: what has not moved stays
        reached[number] = tried[found[number]]
    advance(1.0)
    return found
