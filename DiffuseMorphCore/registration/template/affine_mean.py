"""The first mean of a group: everybody aligned linearly, in a space of everybody's mean place, size and shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.linear import affine_transform, linear_map, mean_transform
from DiffuseMorphCore.progress import Progress
from DiffuseMorphCore.registration.align import align
from DiffuseMorphCore.registration.prepare import prepare
from DiffuseMorphCore.registration.template.average import Scale, average
from DiffuseMorphCore.registration.template.kept import Kept
from DiffuseMorphCore.registration.template.people import Person
from DiffuseMorphCore.transforms import transform_points

_MARGIN = 3  # voxels around the box of everybody
_LARGEST = 512**3  # voxels of a template
PASSES = 2
"""Everybody is aligned to one person first, then to the mean of that."""


def affine_mean(
    people: Sequence[Person],
    kind: str,
    spacing: float | None,
    kept: Kept,
    inner: Callable[[int], Progress],
    notes: list[str],
) -> tuple[list[sitk.AffineTransform], Grid, np.ndarray]:
    """Align everybody to the person of the middle size, then to the mean image of that; each time to the mean place.

    Parameters
    ----------
    kind : of the alignment, see :func:`align`. spacing : mm of the template's voxels, or None.
    inner : the callback for the registration with a number, of ``PASSES * len(people)``.

    Returns
    -------
    For each person the transform from template points to image points, whose mean is the identity; the grid; the mean
    image on it, (*spatial) in [0, 1].
    """
    sizes = [person.facts.volume for person in people]
    middle = sizes.index(sorted(sizes)[len(sizes) // 2])
    scale = Scale.of(people)
    depends = [kind, [[person.facts.digest, person.window] for person in people]]
    reference = people[middle].scan()

    def first(number: int) -> sitk.AffineTransform:
        if number == middle:
            return sitk.AffineTransform(reference.grid.ndim)
        return align(reference, people[number].scan(), kind, None, inner(number), notes)

    found = [
        _kept(kept, f"aligned-1-{person.name}", [*depends, person.name], first, i) for i, person in enumerate(people)
    ]
    centred = _centred(found)
    grid = template_grid(people, centred, reference.grid, spacing)
    values = average(people, lambda number: centred[number], grid, scale)
    reference = prepare(scale.image(values, grid), "affine mean")

    def second(number: int) -> sitk.AffineTransform:
        if kind in ("none", "center"):
            return centred[number]
        return align(reference, people[number].scan(), kind, centred[number], inner(len(people) + number), notes)

    depends = [*depends, vars(grid)]
    found = [
        _kept(kept, f"aligned-2-{person.name}", [*depends, person.name], second, i) for i, person in enumerate(people)
    ]
    found = _centred(found)
    return found, grid, average(people, lambda number: found[number], grid, scale)


def _kept(
    kept: Kept, name: str, depends: list, make: Callable[[int], sitk.AffineTransform], number: int
) -> sitk.AffineTransform:
    def arrays() -> dict[str, np.ndarray]:
        matrix, offset = linear_map(make(number))
        return {"matrix": matrix, "offset": offset}

    found = kept.get(kept.path(_plain(name), *depends), arrays)
    return affine_transform(found["matrix"], found["offset"])


def _plain(name: str) -> str:
    return "".join(each if each.isascii() and (each.isalnum() or each in "-_") else "_" for each in name)[:80]


def _centred(transforms: list[sitk.AffineTransform]) -> list[sitk.AffineTransform]:
    """From the space of the reference to that of the mean: the transforms whose mean is the identity."""
    try:
        back = mean_transform(transforms).GetInverse()
    except (ValueError, np.linalg.LinAlgError) as error:
        raise DiffuseMorphError(
            "The people are turned against one another so far that there is no mean: check the orientation of their "
            "images."
        ) from error
    return [affine_transform(*linear_map(sitk.CompositeTransform([each, back]))) for each in transforms]


def template_grid(
    people: Sequence[Person], transforms: Sequence[sitk.AffineTransform], reference: Grid, spacing: float | None
) -> Grid:
    """A grid along the axes of ``reference`` around what is not background of everybody, in the space of the template.

    Raises DiffuseMorphError where it would have more voxels than memory is for.
    """
    step = spacing or float(
        np.median([np.prod(person.facts.grid.spacing) ** (1 / reference.ndim) for person in people])
    )
    frame = Grid((1,) * reference.ndim, (step,) * reference.ndim, (0.0,) * reference.ndim, reference.direction)
    corners = [
        frame.indices(transform_points(transform.GetInverse(), person.facts.corners))
        for person, transform in zip(people, transforms)
    ]
    low = np.floor(np.min([each.min(axis=0) for each in corners], axis=0)) - _MARGIN
    high = np.ceil(np.max([each.max(axis=0) for each in corners], axis=0)) + _MARGIN
    size = tuple((high - low + 1).astype(int).tolist())
    if np.prod(size, dtype=float) > _LARGEST:
        raise DiffuseMorphError(
            f"The template would have {'×'.join(map(str, size))} voxels: give a larger --spacing, or align the people."
        )
    return frame.part(tuple(low.tolist()), size)
