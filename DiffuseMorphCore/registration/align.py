"""Align: the linear transform that brings the moving image over the fixed one before anything bends.

SimpleITK does the work, on copies of a few millimetres: many starts are scored, the best are refined rigidly, and the
winner affinely, first on the coarser copies. Scans of one person need no more than the rigid transform. Mutual
information serves all modalities. All voxels are used, so the same pair gives the same answer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.linear import affine_transform, linear_map
from DiffuseMorphCore.options import declared
from DiffuseMorphCore.progress import Progress, advance
from DiffuseMorphCore.registration.alignment_search import LARGE, AlignmentSearch, volume
from DiffuseMorphCore.registration.prepare import PreparedScan
from DiffuseMorphCore.registration.turns import angle, right_angles, turned

ALIGNMENTS = declared()["align"].choices
_SCORED_VOXELS, _SEARCHED_VOXELS, _RIGID_VOXELS = 8_000, 60_000, 200_000
_AFFINE_GAIN = 1.01
"""Times the rigid transform's mutual information that an affine one must have. T1 and FLAIR of one person: at most
1.000, and the affine one is wrong; two people: 1.017 to 1.125; one person's lung and liver in two breaths: 1.2."""
_POOR, _CLEARLY = 0.2, 0.1
"""Share of one image that the other explains below which an alignment is poor, and by how much more a turned one has
to."""
_TURN = math.radians(25)  # starting rotations; a rigid search recovers about as much again


def align(
    fixed: PreparedScan,
    moving: PreparedScan,
    kind: str = "affine",
    initial: sitk.Transform | None = None,
    progress: Progress | None = None,
    notes: list[str] | None = None,
) -> sitk.AffineTransform:
    """Linear transform from fixed points to moving points (mm, LPS; slice coordinates for a slice).

    Parameters
    ----------
    fixed, moving : prepared scans of the same dimension.
    kind : ``"none"`` keeps the images where their headers put them, ``"center"`` matches their centres of mass,
        ``"rigid"`` rotates and shifts, ``"affine"`` also scales and shears.
    initial : a linear transform to start from instead of searching starts.
    progress : see :mod:`DiffuseMorphCore.progress`. notes : gathers what was found out, for the user.

    Raises
    ------
    DiffuseMorphError : an unknown kind.
    """
    if kind not in ALIGNMENTS:
        raise DiffuseMorphError(f"The alignment '{kind}' is unknown: choose one of {', '.join(ALIGNMENTS)}.")
    ndim = fixed.grid.ndim
    start = as_affine(initial, ndim) if initial is not None else sitk.AffineTransform(ndim)
    if kind == "none":
        return start
    if kind == "center":
        center = _center_of_mass(fixed)
        return start if initial is not None else _rigid(ndim, center, _center_of_mass(moving) - center)[1]
    if volume(fixed) > LARGE * volume(moving):
        # What matters are the voxels of the smaller image, and only those are looked at when it is the fixed one.
        given = None if initial is None else sitk.AffineTransform(start.GetInverse())
        found = sitk.AffineTransform(_search(moving, fixed, kind, given, progress, notes).GetInverse())
    else:
        found = _search(fixed, moving, kind, None if initial is None else start, progress, notes)
    return _rounded(found, fixed.grid)


def _search(
    fixed: PreparedScan,
    moving: PreparedScan,
    kind: str,
    initial: sitk.AffineTransform | None,
    progress: Progress | None,
    notes: list[str] | None,
) -> sitk.AffineTransform:
    """The best rigid or affine transform from fixed to moving points; see :func:`align`."""
    ndim, center = fixed.grid.ndim, _center_of_mass(fixed)
    start = sitk.AffineTransform(ndim) if initial is None else initial
    coarse, fine = (AlignmentSearch(fixed, moving, voxels) for voxels in (_SCORED_VOXELS, _SEARCHED_VOXELS))
    if initial is not None:
        turn = fine.search(_rigid(ndim, center, np.zeros(ndim))[0], 60, start)
        best = rigid = as_affine(sitk.CompositeTransform([start, turn]), ndim)
    else:
        rigid_starts = [pair[0] for pair in _starts(fixed, moving)]
        rigid_starts.sort(key=coarse.score, reverse=True)
        advance(progress, "align", 0.2)
        searched = []
        for index, rigid in enumerate(rigid_starts[:3]):
            searched.append(coarse.search(rigid, 60))
            advance(progress, "align", 0.2 + 0.1 * (index + 1))
        best = _turned_round(coarse, max(searched, key=coarse.score), center, _center_of_mass(moving), notes)
        rigid = fine.search(best, 60)
    advance(progress, "align", 0.6)
    found = rigid
    if kind == "affine":
        affine = coarse.search(_centered(as_affine(best, ndim), center), 100)
        advance(progress, "align", 0.7)
        affine = fine.search(affine, 40)
        found = affine if fine.score(affine) > _AFFINE_GAIN * fine.score(rigid) else rigid
    advance(progress, "align", 0.9)
    if found is rigid and initial is None:
        found = AlignmentSearch(fixed, moving, _RIGID_VOXELS).search(rigid, 60)
    advance(progress, "align", 1.0)
    return max((as_affine(found, ndim), start), key=fine.score)


def _turned_round(
    pair: AlignmentSearch, best: sitk.Transform, center: np.ndarray, target: np.ndarray, notes: list[str] | None
) -> sitk.Transform:
    """The best transform so far or, where it matches hardly better than by chance, a clearly better one that begins
    turned by right angles.
    """
    before = pair.explained(best)
    if before >= _POOR:
        return best
    starts = sorted(
        (turned(matrix, center, target) for matrix in right_angles(len(center))), key=pair.score, reverse=True
    )
    found = max((pair.search(start, 60) for start in starts[:3]), key=pair.score)
    if pair.score(found) <= pair.score(best) or pair.explained(found) < before + _CLEARLY:
        return best
    if notes is not None:
        degrees = angle(np.array(as_affine(found, len(center)).GetMatrix()).reshape(len(center), -1))
        notes.append(
            f"The images matched only when the moving one was turned by about {degrees:.0f} degrees: check the "
            "orientation in the headers."
        )
    return found


def as_affine(transform: sitk.Transform, ndim: int) -> sitk.AffineTransform:
    """Any linear transform as an AffineTransform centred at the origin.

    Raises DiffuseMorphError when the transform bends, or is of another dimension.
    """
    if transform.GetDimension() != ndim or not transform.IsLinear():
        raise DiffuseMorphError(
            f"The initial transform must be a linear {ndim}-D transform from fixed to moving points."
        )
    return affine_transform(*linear_map(transform))


def _rounded(transform: sitk.AffineTransform, grid: Grid) -> sitk.AffineTransform:
    """The transform to a hundredth of a voxel of the fixed grid: ITK adds up in parallel, in an order that changes the
    last digits from run to run, and the same pair shall give the same bytes.

    It is rounded about the grid's middle, so that neither the units of the image nor its distance from the origin
    matter.
    """
    direction = np.array(grid.direction).reshape(grid.ndim, grid.ndim)
    middle = np.array(grid.origin) + direction @ (np.array(grid.spacing) * (np.array(grid.size) - 1) / 2)
    step = 0.01 * min(grid.spacing)
    matrix = np.array(transform.GetMatrix()).reshape(grid.ndim, grid.ndim)
    shift = np.array(transform.TransformPoint(middle.tolist())) - middle
    turn_step = step / max(size * spacing for size, spacing in zip(grid.size, grid.spacing))
    identity = np.eye(grid.ndim)  # which stays exact
    rigid = np.allclose(matrix @ matrix.T, identity, atol=1e-6)
    matrix = identity + np.round((matrix - identity) / turn_step) * turn_step
    if rigid:  # and stays so
        left, _, right = np.linalg.svd(matrix)
        matrix = identity if np.array_equal(matrix, identity) else left @ right
    shift = np.round(shift / step) * step
    return sitk.AffineTransform(matrix.ravel().tolist(), (middle + shift - matrix @ middle).tolist())


def _centered(transform: sitk.AffineTransform, center: np.ndarray) -> sitk.AffineTransform:
    """The same map, parametrised about ``center`` so that scales and shifts do not fight in the search."""
    matrix = np.array(transform.GetMatrix()).reshape(len(center), -1)
    translation = np.array(transform.TransformPoint(center.tolist())) - center
    return sitk.AffineTransform(matrix.ravel().tolist(), translation.tolist(), center.tolist())


def _center_of_mass(scan: PreparedScan) -> np.ndarray:
    """Centre in mm of what differs from the background, within the mask where there is one."""
    weights = (scan.values - scan.background).abs()[0, 0]
    if scan.mask is not None:
        weights = weights * scan.mask[0, 0]
    if not weights.any():  # all that the mask leaves is background
        weights = scan.mask[0, 0]
    total = float(weights.sum())
    index = []
    for axis, size in enumerate(weights.shape):
        profile = weights.sum(dim=[other for other in range(weights.dim()) if other != axis]).double()
        index.append(float((profile * profile.new_tensor(range(size))).sum()) / total)
    grid = scan.grid
    direction = np.array(grid.direction).reshape(grid.ndim, grid.ndim)
    return np.array(grid.origin) + direction @ (np.array(grid.spacing) * np.array(index[::-1]))


def _middle(scan: PreparedScan) -> np.ndarray:
    grid = scan.grid
    direction = np.array(grid.direction).reshape(grid.ndim, grid.ndim)
    return np.array(grid.origin) + direction @ (np.array(grid.spacing) * (np.array(grid.size) - 1) / 2)


def _rigid(ndim: int, center: np.ndarray, translation: np.ndarray, angles: tuple[float, ...] = ()) -> tuple:
    kind = sitk.Euler2DTransform if ndim == 2 else sitk.Euler3DTransform
    rigid = kind()
    rigid.SetCenter(center.tolist())
    rigid.SetTranslation(np.asarray(translation).tolist())
    if angles:
        rigid.SetAngle(angles[0]) if ndim == 2 else rigid.SetRotation(*angles)
    return rigid, as_affine(rigid, ndim)


def _starts(fixed: PreparedScan, moving: PreparedScan) -> Iterator[tuple]:
    """Header positions, middles and centres of mass matched, each with rotations about every axis."""
    ndim = fixed.grid.ndim
    center = _center_of_mass(fixed)
    shifts = [np.zeros(ndim), _middle(moving) - _middle(fixed), _center_of_mass(moving) - center]
    turns = [
        angles
        for angles in itertools.product((0.0, -_TURN, _TURN), repeat=1 if ndim == 2 else 3)
        if sum(angle != 0 for angle in angles) <= 2
    ]
    for shift, angles in itertools.product(shifts, turns):
        yield _rigid(ndim, center, shift, angles)
