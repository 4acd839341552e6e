"""Label maps keep their labels, however large the numbers are."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk

_EXACT = 2**53  # whole numbers up to here are exact in the 64-bit floats that ITK interpolates with


def resample_labels(labels: sitk.Image, reference: sitk.Image, transform: sitk.Transform) -> sitk.Image:
    """A label map on the grid of `reference`, through a transform (reference points to label points), by nearest
    neighbour; 0 outside.
    """
    values = sitk.GetArrayViewFromImage(labels)
    if (
        values.dtype.itemsize == 8
        and values.dtype.kind in "iu"
        and (int(values.max()) > _EXACT or int(values.min()) < -_EXACT)
    ):
        ids = np.unique(np.append(values.ravel(), values.dtype.type(0)))
        indices = _like(np.searchsorted(ids, values).astype(np.uint32), labels)
        zero = int(np.searchsorted(ids, 0))
        found = sitk.Resample(indices, reference, transform, sitk.sitkNearestNeighbor, zero, sitk.sitkUInt32)
        return _like(ids[sitk.GetArrayViewFromImage(found)], found)
    return sitk.Resample(labels, reference, transform, sitk.sitkNearestNeighbor, 0.0, labels.GetPixelID())


def dice(first: sitk.Image, second: sitk.Image) -> dict[str, Any]:
    """Dice overlap of two label maps, the first resampled to the grid of the second.

    Returns "labels", the overlap (0 to 1) of each label but 0, and "mean", their mean, None where there is no label.
    """
    identity = sitk.Transform(first.GetDimension(), sitk.sitkIdentity)
    each = dice_of_each(
        sitk.GetArrayFromImage(resample_labels(first, second, identity)), sitk.GetArrayViewFromImage(second)
    )
    return {
        "mean": sum(each.values()) / len(each) if each else None,
        "labels": {str(label): overlap for label, overlap in each.items()},
    }


def dice_of_each(first: np.ndarray, second: np.ndarray) -> dict[int, float]:
    """Dice overlap 2 |A and B| / (|A| + |B|), 0 to 1, of each label but 0 that two arrays of whole numbers hold.

    Raises ValueError for arrays of different shapes.
    """
    if first.shape != second.shape:
        raise ValueError(f"the label maps have different shapes, {first.shape} and {second.shape}")
    first_values, second_values = first.ravel(), second.ravel()
    common = np.promote_types(first_values.dtype, second_values.dtype)
    if {first_values.dtype.kind, second_values.dtype.kind} == {"i", "u"} and common.kind == "f":
        # 64-bit labels of one file with a sign and of the other without: as Python's numbers they are equal or not.
        first_values, second_values = first_values.astype(object), second_values.astype(object)
    else:
        first_values, second_values = first_values.astype(common), second_values.astype(common)
    both = first_values[first_values == second_values]
    (ids, counts), (other_ids, other_counts), (common_ids, common_counts) = (
        np.unique(values[values != 0], return_counts=True) for values in (first_values, second_values, both)
    )
    sizes: dict[int, int] = {}
    for labels, numbers in ((ids, counts), (other_ids, other_counts)):
        for label, number in zip(labels.tolist(), numbers.tolist()):
            sizes[int(label)] = sizes.get(int(label), 0) + number
    overlap = {int(label): number for label, number in zip(common_ids.tolist(), common_counts.tolist())}
    return {label: 2 * overlap.get(label, 0) / sizes[label] for label in sorted(sizes)}


def inside_share(labels: sitk.Image, image: sitk.Image) -> float | None:
    """Share of the labelled voxels that lie within the field of view of an image; None where nothing is labelled."""
    points = np.argwhere(sitk.GetArrayViewFromImage(labels) != 0)[:, ::-1]
    if not len(points):
        return None
    n = labels.GetDimension()
    points = points[:: max(1, len(points) // 100_000)]

    def matrix(one: sitk.Image) -> np.ndarray:
        return np.array(one.GetDirection()).reshape(n, n) * np.array(one.GetSpacing())

    there = points @ matrix(labels).T + np.array(labels.GetOrigin())
    index = (there - np.array(image.GetOrigin())) @ np.linalg.inv(matrix(image)).T
    return float(((index >= -0.5) & (index <= np.array(image.GetSize()) - 0.5)).all(axis=1).mean())


def _like(values: np.ndarray, image: sitk.Image) -> sitk.Image:
    result = sitk.GetImageFromArray(values)
    result.CopyInformation(image)
    return result
