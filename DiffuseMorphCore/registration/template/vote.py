"""Everybody's labels in the template: at each voxel the label that most people have there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images.label_shares import resample_label_shares
from DiffuseMorphCore.registration.template.people import Person

_VALUES = 1 << 24  # of all people that are held at once


def vote(
    people: Sequence[Person],
    transforms: Callable[[int], sitk.Transform],
    grid: Grid,
    folder: Path,
    step: Callable[[int], None] = lambda number: None,
) -> sitk.Image:
    """The label map of a template; of labels with as many votes the smallest, 0 being one.

    Everybody's labels are interpolated as :func:`resample_label_shares` does, and wait on disk, so the memory does not
    grow with the number of people. folder : where they may wait. step : called before each person.

    Raises DiffuseMorphError for labels below 0 or beyond 32 bits.
    """
    reference = grid.image(np.zeros(grid.shape, np.uint8))
    with tempfile.TemporaryFile(dir=folder) as file:
        for number, person in enumerate(people):
            step(number)
            labels = person.label_map()
            values = sitk.GetArrayViewFromImage(labels)
            if values.min() < 0 or values.max() > np.iinfo(np.uint32).max:
                raise DiffuseMorphError(f"The labels of '{person.name}' are not whole numbers from 0 to 2^32 - 1.")
            found = resample_label_shares(labels, reference, transforms(number))
            file.write(sitk.GetArrayFromImage(found).astype(np.uint32).tobytes())
        file.flush()
        stack = np.memmap(file, np.uint32, "r", shape=(len(people), int(np.prod(grid.shape))))
        result = np.empty(stack.shape[1], np.uint32)
        width = max(1, _VALUES // len(people))
        for start in range(0, len(result), width):
            result[start : start + width] = most_frequent(np.array(stack[:, start : start + width]))
        del stack
    kind = np.uint8 if result.max(initial=0) < 256 else np.uint16 if result.max() < 65536 else np.uint32
    return grid.image(result.reshape(grid.shape).astype(kind))


def most_frequent(values: np.ndarray) -> np.ndarray:
    """(N,): the most frequent number in each column of (people, N); of several the smallest."""
    ordered = np.sort(values, axis=0)
    chosen = ordered[0].copy()
    run, best = np.ones(len(chosen), np.int32), np.ones(len(chosen), np.int32)
    for before, row in zip(ordered, ordered[1:]):
        run = np.where(row == before, run + 1, 1)
        chosen = np.where(run > best, row, chosen)
        best = np.maximum(best, run)
    return chosen
