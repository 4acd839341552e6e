"""Where the boundaries of labels lie, and how far apart those of two label maps are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def boundary(mask: np.ndarray) -> np.ndarray:
    """The voxels of a mask that touch its outside along an axis."""
    from scipy.ndimage import binary_erosion

    return mask & ~binary_erosion(mask)


def boundary_distances(
    fixed: np.ndarray, moved: np.ndarray, labels: Iterable[int], spacing: tuple[float, ...]
) -> dict[int, tuple[np.ndarray, np.ndarray, float]]:
    """Where the boundary of each label lies in `fixed`, and how far from there it lies in `moved`.

    Label -> indices (N, ndim) of its boundary voxels in `fixed`, their (N,) distances in mm to the nearest boundary
    voxel in `moved`, and the mean distance in mm of both boundaries, both ways. Labels that one of the maps does not
    hold are left out. `spacing` in array order.
    """
    from scipy.ndimage import distance_transform_edt, find_objects

    boxes = find_objects(fixed.astype(np.int32)), find_objects(moved.astype(np.int32))
    found = {}
    for label in labels:
        if any(label > len(each) or each[label - 1] is None for each in boxes):
            continue
        box = tuple(
            slice(max(0, min(a.start, b.start) - 1), max(a.stop, b.stop) + 1)
            for a, b in zip(boxes[0][label - 1], boxes[1][label - 1])
        )
        edges = [boundary(labelled[box] == label) for labelled in (fixed, moved)]
        there, back = (distance_transform_edt(~other, sampling=spacing)[edge] for edge, other in (edges, edges[::-1]))
        found[label] = (
            np.argwhere(edges[0]) + [part.start for part in box],
            there,
            float(there.mean() + back.mean()) / 2,
        )
    return found
