"""Curves of a sequence: sizes of labels, similarity, displacement and Jacobian, frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.registration.sequence.result import SequenceRegistration


def label_sizes(
    result: SequenceRegistration,
    labels: Any,
    drawn_on: int | None = None,
    step: Callable[[float], None] = lambda _: None,
) -> dict[int, list[float]]:
    """The volume in mm³ (of pictures the area in mm²) of each label but 0 in every frame.

    It is the Jacobian determinant of the whole way from the reference, summed up over the label's voxels there, which
    changes smoothly where counted voxels would jump.

    Parameters
    ----------
    labels, drawn_on : see :meth:`SequenceRegistration.carry_labels`. step : called with the fraction that is done.
    """
    on_reference = result.reference_labels(labels, drawn_on)
    array = sitk.GetArrayFromImage(on_reference)
    names = [label for label in np.unique(array).tolist() if label]
    voxel = float(np.prod(result.scan.grid.spacing))  # of a slice its area
    places = np.searchsorted(names, array)
    inside = array != 0
    found: dict[int, list[float]] = {label: [] for label in names}
    ndim = result.grid.ndim
    for number in range(len(result)):
        step(number / len(result))
        scale = float(abs(np.linalg.det(np.array(result.alignment(number).GetMatrix()).reshape(ndim, ndim))))
        determinant = sitk.GetArrayFromImage(result.registration(number).jacobian())
        sums = np.bincount(places[inside], determinant[inside].astype(np.float64), minlength=len(names))
        for label, value in zip(names, sums.tolist()):
            found[label].append(value * voxel * scale)
    return found


def motion_rows(result: SequenceRegistration) -> list[dict[str, float]]:
    """For each frame: its number and time, the similarity to the reference before and registered, mean and largest
    displacement in mm, alignment included, and the mean Jacobian determinant; the last three where the reference is no
    background, whose noise says nothing of motion.
    """
    similarity = result.report["similarity"]
    inside = result.inside_object()
    rows = []
    for number, time in enumerate(result.times):
        displacement = result.whole(number)
        lengths = np.linalg.norm(displacement.vectors(), axis=-1)[inside]
        rows.append(
            {
                "frame": number,
                "time": time,
                "similarity_before": similarity["before"][number],
                "similarity_registered": similarity["registered"][number],
                "mean_displacement_mm": float(lengths.mean()),
                "largest_displacement_mm": float(lengths.max()),
                "mean_jacobian": float(displacement.jacobian()[0, 0].numpy()[inside].mean()),
            }
        )
    return rows
