"""The pair of images that a registration works on: both scans on the working grid, the moving one aligned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import SimpleITK as sitk
from torch import Tensor

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.prepare import PreparedScan, aligned_tensor
from DiffuseMorphCore.similarity import ImagePair


def working_pair(
    scans: tuple[PreparedScan, PreparedScan],
    grid: Grid,
    alignment: sitk.Transform,
    known: ImagePair | None = None,
    tissue: bool = False,
) -> ImagePair:
    """Both scans on the working grid, the moving one through the alignment; the fixed one from a ``known`` pair, if
    any.

    ``tissue`` asks for the shares of tissue too, which a known pair has if its images are to be compared by them.

    Raises DiffuseMorphError when the moving image does not reach the grid.
    """
    identity = sitk.AffineTransform(grid.ndim)
    reference = grid.image(np.zeros(grid.shape, np.float32))
    spacing = float(np.prod(grid.spacing)) ** (1 / grid.ndim)

    def on_grid(
        image: sitk.Image | None, transform: sitk.Transform, continued: bool = False, outside: float = 0.0
    ) -> Tensor | None:
        if image is None:
            return None
        moved = sitk.Resample(image, reference, transform, sitk.sitkLinear, outside, sitk.sitkFloat32, continued)
        return aligned_tensor(sitk.GetArrayFromImage(moved))[None, None]

    moving = scans[1].coarse(spacing)
    covered = on_grid(Grid.of(moving).image(np.ones(Grid.of(moving).shape, np.float32)), alignment)
    moving_mask = on_grid(scans[1].coarse_mask(spacing), alignment)
    cut = is_cut(scans[1]) and float(covered.amin()) < 1
    if cut:
        moving_mask = covered if moving_mask is None else moving_mask * covered
    # A step from tissue to nothing, where the scan ends, would pull like an edge of the anatomy.
    moved = on_grid(moving, alignment, cut, scans[1].background)
    if known is not None:
        pair = replace(known, moving=moved, moving_mask=moving_mask)
        tissue = known.fixed_tissue is not None
    else:
        pair = ImagePair(
            on_grid(scans[0].coarse(spacing), identity),
            moved,
            on_grid(scans[0].coarse_mask(spacing), identity),
            moving_mask,
            on_grid(scans[0].coarse_tissue(spacing), identity) if tissue else None,
        )
    if tissue:
        pair = replace(pair, moving_tissue=on_grid(scans[1].coarse_tissue(spacing), alignment, continued=cut))
    if not covered.any() or float(pair.moving.amax() - pair.moving.amin()) < 1e-6:
        raise DiffuseMorphError(
            "The moving image does not overlap the fixed one after the alignment: "
            "choose the alignment 'affine' or 'center', or give an initial transform."
        )
    return pair


def is_cut(scan: PreparedScan) -> bool:
    """Whether tissue reaches the border of a scan, so that beyond it nothing is known (not: there is background)."""
    values = (scan.values - scan.background).abs()[0, 0]
    faces = [values.select(axis, index) for axis in range(values.dim()) for index in (0, -1)]
    return max(float(face.mean()) for face in faces) > 0.05
