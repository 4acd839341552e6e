"""A small moving image on a huge fixed one: what counts is what of the moving image meets the fixed one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore import DiffuseMorphError, register
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.region import overlap, working_region

CENTRE = (40.0, -30.0, 20.0)
BEND = 2.0  # mm


def texture(size: tuple[int, int, int], spacing: float, centre: tuple[float, ...], bend: float = 0.0) -> sitk.Image:
    """The same smooth pattern of space, seen on a grid about ``centre``, pulled by a wave of ``bend`` mm along x."""
    origin = np.array(centre) - spacing * (np.array(size) - 1) / 2
    axes = [start + spacing * np.arange(length) for start, length in zip(origin, size)]
    z, y, x = np.meshgrid(*reversed(axes), indexing="ij")
    x = x + bend * np.exp(-((x - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2 + (z - CENTRE[2]) ** 2) / 2 / 8**2)
    values = np.sin(x / 3.1) + np.sin(y / 3.7 + 0.3 * np.sin(x / 5)) + np.sin(z / 4.3 + y / 9)
    image = sitk.GetImageFromArray((100 + 30 * values).astype(np.float32))
    image.SetSpacing((spacing,) * 3)
    image.SetOrigin(origin.tolist())
    return image


@pytest.fixture(scope="module")
def result():
    """A region of 30 mm, .4 % of a field of view of 190 mm, bent by up to 2 mm."""
    fixed, moving = texture((96, 96, 96), 2.0, (0.0, 0.0, 0.0)), texture((30, 30, 30), 1.0, CENTRE, BEND)
    return register(fixed, moving, model=None, align="none", modality="same", refine=20, device="cpu")


def test_it_is_registered_though_it_covers_half_a_percent(result):
    # A point x of the fixed image lies where the moving image's pattern has the same value: x' + bend(x') = x.
    transform = result.transform()
    points = np.array(CENTRE) + np.random.default_rng(0).uniform(-7, 7, (200, 3))
    moved = np.array([transform.TransformPoint(point) for point in points.tolist()])
    pull = BEND * np.exp(-np.square(moved - CENTRE).sum(axis=1) / 2 / 8**2)
    expected = points - pull[:, None] * np.array([1.0, 0.0, 0.0])
    before = np.linalg.norm(points - expected, axis=1).mean()
    after = np.linalg.norm(moved - expected, axis=1).mean()
    assert before > 1.0 and after < 0.35 * before


def test_the_work_is_done_about_it_alone(result):
    assert math.prod(result.report["grids"]["working"]) < 0.02 * 96**3


def test_the_region_is_the_moving_image_with_a_margin():
    fixed = Grid.of(texture((96, 96, 96), 2.0, (0.0, 0.0, 0.0)))
    moving = Grid.of(texture((30, 30, 30), 1.0, CENTRE))
    region = working_region(fixed, moving, sitk.AffineTransform(3))
    low, high = region.points(np.array([[0.0] * 3, np.array(region.size) - 1.0]))
    assert (low <= np.array(CENTRE) - 15).all() and (high >= np.array(CENTRE) + 15).all()
    assert (high - low < 60).all()


@pytest.mark.parametrize("away", [400.0, -130.0])
def test_one_that_lies_elsewhere_is_refused(away):
    fixed, moving = texture((96, 96, 96), 2.0, (0.0, 0.0, 0.0)), texture((30, 30, 30), 1.0, (away, 0.0, 0.0))
    assert overlap(Grid.of(fixed), Grid.of(moving), sitk.AffineTransform(3)) == 0.0
    with pytest.raises(DiffuseMorphError, match="overlap"):
        register(fixed, moving, model=None, align="none", refine=5, device="cpu")
