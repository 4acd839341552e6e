"""Warps: sampling, composition, exponential, inverse, filters and folding. All in voxels, all pulling; none knows eta.

The one place that knows the coordinates of a grid; see :mod:`DiffuseMorphCore.warp.sampling` for the convention.
"""

from DiffuseMorphCore.warp.exponential import exponential, invert, invert_evenly
from DiffuseMorphCore.warp.fading import fade, fading_widths
from DiffuseMorphCore.warp.filters import box_mean, box_sum, downsample, smooth
from DiffuseMorphCore.warp.folding import Folding, determinant_minimum, folding, jacobian_determinant
from DiffuseMorphCore.warp.sampling import (
    compose,
    resize,
    resize_displacement,
    sample_axes,
    sample_points,
    warp,
    warp_points,
)
from DiffuseMorphCore.warp.threads import in_slabs, with_neighbours

__all__ = [
    "Folding",
    "box_mean",
    "box_sum",
    "compose",
    "determinant_minimum",
    "downsample",
    "exponential",
    "fade",
    "fading_widths",
    "folding",
    "invert",
    "in_slabs",
    "invert_evenly",
    "jacobian_determinant",
    "resize",
    "resize_displacement",
    "sample_axes",
    "sample_points",
    "smooth",
    "warp",
    "warp_points",
    "with_neighbours",
]
