"""Voxels with unequal sides: steps and smoothing are as long in millimetres along every axis."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore import register
from DiffuseMorphCore.registration.descent import RefinementSettings, ascend, thinness
from DiffuseMorphCore.registration.refine import levels, refine
from DiffuseMorphCore.similarity import ImagePair
from DiffuseMorphCore.warp import smooth, warp


def texture(shape, widths):
    torch.manual_seed(len(shape))
    image = smooth(torch.rand(1, 1, *shape), widths)
    return (image - image.amin()) / (image.amax() - image.amin())


def test_about_equal_sides_count_as_equal():
    assert thinness((1.0, 1.0, 1.02)) == (1, 1, 1) == thinness((1.0, 1.25, 1.2))
    assert thinness((10.0, 1.0, 2.0)) == pytest.approx((0.1, 1.0, 0.5))


def test_long_axes_wait_until_the_others_have_caught_up():
    assert levels((107, 129, 113), 28, (1.5, 1.52, 1.49)) == levels((107, 129, 113), 28)
    shapes = levels((20, 256, 256), 28, (10.0, 1.0, 1.0))
    assert shapes[-1] == (20, 256, 256) and shapes[-2] == (20, 128, 128) and shapes[-4] == (20, 32, 32)
    assert max(shapes[0]) <= 28
    assert levels((256, 8, 8), 28, (10.0, 1.0, 1.0))[0] == (16, 4, 4), "it ends where only a long axis is left"


def test_equal_sides_are_registered_as_without_a_spacing():
    moving = texture((40, 44), 2.0)
    fixed = warp(moving, 2 * smooth(torch.randn(1, 2, 40, 44), 5.0))
    pair, nothing = ImagePair(fixed, moving), torch.zeros(1, 2, 40, 44)
    plain = refine(pair, nothing, steps=10)
    assert torch.equal(plain, refine(pair, nothing, steps=10, spacing=(3.0, 3.0)))
    assert not torch.equal(plain, refine(pair, nothing, steps=10, spacing=(9.0, 3.0)))


def test_a_step_is_as_long_in_millimetres_along_every_axis():
    class Slope:
        """Pulls equally along both axes, per millimetre."""

        def force(self, displacement):
            per_voxel = torch.tensor([4.0, 1.0]).view(1, 2, 1, 1)  # of voxels of 4 mm and 1 mm
            return torch.zeros(1), per_voxel.expand_as(displacement).clone()

    settings = RefinementSettings(thinness=thinness((4.0, 1.0)))
    moved = ascend(Slope(), torch.zeros(1, 2, 24, 24), 4, settings)
    millimetres = moved * torch.tensor([4.0, 1.0]).view(1, 2, 1, 1)
    torch.testing.assert_close(millimetres[:, 0], millimetres[:, 1])
    assert float(millimetres.amax()) == pytest.approx(4 * 0.5, rel=0.01)


def slabs(thickness, count, amplitude=3.0):
    """A volume of `count` thick slices of a fine texture, and the same bent within the slices (fixed, moving)."""
    fine = texture((int(thickness * count), 64, 64), (thickness / 2, 2.5, 2.5))[0, 0].numpy() * 200
    fine[:, :6], fine[:, -6:], fine[:, :, :6], fine[:, :, -6:] = 0, 0, 0, 0
    step = int(thickness)
    thick = fine.reshape(count, step, 64, 64).mean(axis=1)
    image = sitk.GetImageFromArray(thick.astype(np.float32))
    image.SetSpacing((1.0, 1.0, float(thickness)))
    wave = amplitude * np.sin(np.linspace(0, 2 * np.pi, 64))
    vectors = np.zeros((count, 64, 64, 3))
    vectors[..., 0], vectors[..., 1] = wave[None, :, None], wave[None, None, :]
    field = sitk.GetImageFromArray(vectors, isVector=True)
    field.CopyInformation(image)
    return image, sitk.Resample(image, image, sitk.DisplacementFieldTransform(field), sitk.sitkLinear, 0.0)


@pytest.mark.parametrize("count", [2, 3, 4, 12])
def test_thick_slices_are_not_moved_through_one_another(count):
    fixed, moving = slabs(10.0, count)
    result = register(fixed, moving, model=None, align="none")
    values = sitk.GetArrayFromImage(fixed)
    object_ = values > 20
    vectors = result.vectors()
    if count < 5:
        assert not vectors[..., 2].any(), "so few slices say nothing of motion through them"
    before, after = (
        np.abs(sitk.GetArrayFromImage(image) - values)[object_].mean() for image in (moving, result.warp())
    )
    assert after < 0.5 * before
    assert (sitk.GetArrayFromImage(result.warp())[object_] == 0).mean() < 0.01, "nothing of the object is lost"
