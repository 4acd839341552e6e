"""Pairs of images of which the displacement is known, for the tests of every term."""

from __future__ import annotations

import torch

from DiffuseMorphCore.similarity import ImagePair
from DiffuseMorphCore.warp import smooth, warp

SHAPES = {2: (40, 44), 3: (22, 20, 24)}


def texture(*shape, channels=1, width=1.5):
    """Smooth random tissue of (1, channels, *shape) with values from 0 to 1."""
    image = smooth(torch.rand(1, channels, *shape), width)
    return (image - image.amin()) / (image.amax() - image.amin())


def random_field(shape, length, batch=1):
    """Smooth random displacements (batch, ndim, *shape) of at most ``length`` voxels."""
    field = smooth(torch.randn(batch, len(shape), *shape), 3.0)
    return field * (length / field.norm(dim=1).amax())


def deformed(ndim, seed=0):
    """(pair, the displacement that brings its moving image onto the fixed one)."""
    torch.manual_seed(seed)
    moving, field = texture(*SHAPES[ndim]), random_field(SHAPES[ndim], 1.0)
    return pair_of(warp(moving, field), moving), field


def pair_of(fixed, moving, *masks, **named):
    """A pair that every term can compare: its images are their own canonical contrast."""
    return ImagePair(fixed, moving, *masks, **named, fixed_canonical=fixed, moving_canonical=moving)
