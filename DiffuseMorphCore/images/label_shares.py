"""Labels interpolated linearly: the label with the largest share of a voxel's place gets it."""

from __future__ import annotations

import itertools

import numpy as np
import SimpleITK as sitk

_VOXELS = 1 << 18
"""Voxels that are worked on at once; about 100 bytes of memory are taken for each of them."""
_EVEN = 1e-6  # shares closer than this are as good as equal: the label of the nearest voxel wins


def resample_label_shares(labels: sitk.Image, reference: sitk.Image, transform: sitk.Transform) -> sitk.Image:
    """A label map on the grid of ``reference``: every label as an image of its own, interpolated linearly, and at each
    voxel the label with the largest value; 0 outside.

    That draws smooth borders where nearest neighbour draws steps. The label images are never made: a voxel's place has
    2^ndim neighbours, whose weights are summed by label, so the memory does not grow with the number of labels.

    Parameters
    ----------
    labels : whole numbers of any type, one a voxel. transform : reference points to label points, mm, LPS.
    """
    values = sitk.GetArrayViewFromImage(labels)
    result = np.zeros(tuple(reversed(reference.GetSize())), values.dtype)
    plane = int(np.prod(result.shape[1:]))
    step = max(1, _VOXELS // plane)
    for start in range(0, len(result), step):
        stop = min(start + step, len(result))
        indices = _label_indices(labels, reference, transform, start, stop)
        result[start:stop] = _largest_share(values, indices).reshape(result[start:stop].shape)
    found = sitk.GetImageFromArray(result)
    found.CopyInformation(reference)
    return found


def _label_indices(
    labels: sitk.Image, reference: sitk.Image, transform: sitk.Transform, start: int, stop: int
) -> np.ndarray:
    """Where voxels of slices ``start`` to ``stop`` of the reference lie in the label map: (ndim, N) indices with
    fractions, in array order.
    """
    ndim = reference.GetDimension()
    size = [*reference.GetSize()[:-1], stop - start]
    origin = reference.TransformIndexToPhysicalPoint([0] * (ndim - 1) + [start])
    shifts = sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, size, origin, reference.GetSpacing(), reference.GetDirection()
    )
    points = sitk.GetArrayFromImage(shifts).reshape(-1, ndim)
    matrix = np.array(reference.GetDirection()).reshape(ndim, ndim) * np.array(reference.GetSpacing())
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in reversed(size)), indexing="ij")[::-1], axis=-1)
    points += voxels.reshape(-1, ndim) @ matrix.T + np.array(origin)
    inverse = np.linalg.inv(np.array(labels.GetDirection()).reshape(ndim, ndim) * np.array(labels.GetSpacing()))
    return np.ascontiguousarray(((points - np.array(labels.GetOrigin())) @ inverse.T).T[::-1])


def _largest_share(values: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """The label with the largest share at each of the (ndim, N) indices; 0 further than half a voxel outside."""
    sizes = np.array(values.shape)[:, None]
    inside = ((indices >= -0.5) & (indices <= sizes - 0.5)).all(axis=0)
    result = np.zeros(indices.shape[1], values.dtype)
    places = np.clip(indices[:, inside], 0, sizes - 1)
    low = np.minimum(np.floor(places).astype(np.int64), np.maximum(sizes - 2, 0))
    share = places - low
    high = np.minimum(low + 1, sizes - 1)
    corners = list(itertools.product((0, 1), repeat=len(values.shape)))
    found = np.stack([values[tuple(np.where(bit, high[k], low[k]) for k, bit in enumerate(bits))] for bits in corners])
    chosen = found[0].copy()
    mixed = np.flatnonzero((found != found[0]).any(axis=0))
    if len(mixed):
        share, found = share[:, mixed], found[:, mixed]
        weights = np.stack(
            [np.prod([share[k] if bit else 1 - share[k] for k, bit in enumerate(bits)], axis=0) for bits in corners]
        )
        sums = np.zeros_like(weights)
        for one, label in enumerate(found):
            for weight, other in zip(weights, found):
                sums[one] += np.where(other == label, weight, 0)
        best = (sums + _EVEN * weights).argmax(axis=0)
        chosen[mixed] = np.take_along_axis(found, best[None], axis=0)[0]
    result[inside] = chosen
    return result
