"""The uncertainty: in millimetres, reproducible, with and without a model, and high where the images say nothing."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore import Cancelled, DiffuseMorphError, register
from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.networks import DiffuseMorph
from DiffuseMorphCore.registration.uncertainty import _random_displacement, _strain, inside, summary


def array(image):
    return sitk.GetArrayFromImage(image)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("with_model", [False, True])
def test_a_map_in_millimetres_on_the_fixed_grid_the_same_each_time(pair_2d, pair_3d, small_model, ndim, with_model):
    fixed, moving = pair_2d if ndim == 2 else pair_3d
    result = register(fixed, moving, model=small_model(ndim) if with_model else None, refine=10)
    first = result.uncertainty(samples=2)
    assert first.GetSize() == fixed.GetSize() and first.GetSpacing() == pytest.approx(fixed.GetSpacing())
    values = array(first)
    assert np.isfinite(values).all() and values.min() >= 0 and values.max() > 0
    np.testing.assert_array_equal(values, array(result.uncertainty(samples=2)))
    assert not np.array_equal(values, array(result.uncertainty(samples=2, seed=1)))


def test_a_model_that_draws_no_latents_adds_nothing(pair_3d, small_model):
    still = DiffuseMorph(dataclasses.replace(small_model(3).configuration, diffusion=None))
    still.deformation.exit.weight.data.zero_()
    maps = [
        array(register(*pair_3d, model=model, refine=2, align="none").uncertainty(samples=2)) for model in (still, None)
    ]
    assert maps[0].max() > 0
    np.testing.assert_array_equal(*maps)


def test_millimetres_scale_with_the_image(pair_3d):
    values = []
    for factor in (1.0, 3.0):
        images = [sitk.Image(image) for image in pair_3d]
        for image in images:
            image.SetSpacing([factor * step for step in image.GetSpacing()])
            image.SetOrigin([factor * place for place in image.GetOrigin()])
        values.append(array(register(*images, model=None, align="none", refine=10).uncertainty(samples=2)))
    np.testing.assert_allclose(3 * values[0], values[1], rtol=1e-2, atol=1e-2)


def test_images_that_contradict_each_other_are_less_certain_there(textured_pair_3d):
    fixed, moving = textured_pair_3d
    values, place = array(moving), (slice(11, 21), slice(14, 24), slice(14, 24))
    values[place] = np.random.default_rng(5).permutation(values[place].ravel()).reshape(values[place].shape)
    other = sitk.GetImageFromArray(values)
    other.CopyInformation(moving)
    agree, contradict = (
        array(register(fixed, image, model=None, align="none").uncertainty()) for image in (moving, other)
    )
    assert contradict[place].mean() > 1.3 * agree[place].mean()
    elsewhere = np.ones(values.shape, bool)
    elsewhere[5:27, 8:30, 8:30] = False
    assert contradict[elsewhere].mean() == pytest.approx(agree[elsewhere].mean(), rel=0.15)


def test_it_can_be_cancelled_and_refuses_no_samples(pair_3d):
    result = register(*pair_3d, model=None, refine=2)
    with pytest.raises(Cancelled):
        result.uncertainty(progress=lambda stage, fraction: stage != "uncertainty")
    with pytest.raises(DiffuseMorphError, match="at least 1"):
        result.uncertainty(samples=0)


def test_starts_are_moved_by_one_voxel():
    moved = _random_displacement((20, 24, 28), 3)
    assert float(moved.square().sum(1).mean().sqrt()) == pytest.approx(1, abs=1e-5)
    assert float((moved[..., 1:] - moved[..., :-1]).abs().mean()) < 0.5 * float(moved.abs().mean())


def test_the_strain_of_a_stretch_and_of_a_translation(pair_3d):
    grid = register(*pair_3d, model=None, align="none", refine=0).grid
    import torch

    index = torch.arange(grid.shape[0], dtype=torch.float32).view(-1, 1, 1).expand(grid.shape)
    still = torch.zeros(1, 3, *grid.shape)
    assert _strain(Displacement(still + 2.5, grid)).max() == pytest.approx(0, abs=1e-6)
    still[0, 0] = 0.2 * index
    np.testing.assert_allclose(_strain(Displacement(still, grid)), 0.2, atol=1e-4)


def test_figures_are_of_the_object(pair_3d):
    fixed = pair_3d[0]
    object_ = inside(fixed)
    assert 0.1 < object_.mean() < 0.5
    map_ = sitk.GetImageFromArray(np.where(object_, 2.0, 50.0).astype(np.float32))
    assert summary(map_, fixed) == {"mean": 2.0, "percentile_95": 2.0}
