"""Masks: placed by their header, refused where they cannot be meant; what is outside has no part in a result."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore import DiffuseMorphError, register
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.masks import continued, outside_slabs, placed, unscanned_slabs


def like(array, image, kind=np.float32):
    result = sitk.GetImageFromArray(np.asarray(array).astype(kind))
    result.CopyInformation(image)
    return result


def array(image):
    return sitk.GetArrayFromImage(image)


@pytest.fixture
def ramp():
    """A 3-D image on an oblique, anisotropic grid and a mask that is no symmetric thing."""
    image = sitk.Image([20, 16, 12], sitk.sitkFloat32)
    image.SetSpacing((1.0, 2.0, 3.0))
    image.SetOrigin((-40.0, 12.0, 99.0))
    image.SetDirection(sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.5).GetMatrix())
    marked = np.zeros((12, 16, 20), np.uint8)
    marked[2:5, 3:12, 4:9] = 1
    return image, like(marked, image, np.uint8)


@pytest.mark.parametrize("flips", [(True, False, False), (True, True, False), (True, True, True)])
def test_a_mask_stored_the_other_way_round_marks_the_same_place(ramp, flips):
    image, mask = ramp
    flipped = sitk.Flip(mask, flips)
    assert not np.array_equal(array(flipped), array(mask))
    np.testing.assert_array_equal(placed(flipped, image, "image"), array(mask) != 0)


def test_axes_in_another_order_and_a_larger_finer_grid(ramp):
    image, mask = ramp
    np.testing.assert_array_equal(placed(sitk.PermuteAxes(mask, [2, 0, 1]), image, "image"), array(mask) != 0)
    padded = sitk.ConstantPad(mask, [3, 2, 1], [1, 2, 3], 0)
    fine = sitk.Expand(padded, [3, 3, 3], sitk.sitkNearestNeighbor)
    np.testing.assert_array_equal(placed(fine, image, "image"), array(mask) != 0)


def test_rounding_in_a_header_is_no_other_place(ramp):
    image, mask = ramp
    mask.SetOrigin([value + 0.02 for value in mask.GetOrigin()])
    mask.SetSpacing([value * (1 + 1e-5) for value in mask.GetSpacing()])
    np.testing.assert_array_equal(placed(mask, image, "image"), array(mask) != 0)


def test_values_that_are_not_finite_are_outside(ramp):
    image, mask = ramp
    values = array(mask).astype(np.float32)
    values[values == 0] = np.nan
    values[0, 0, 0], values[0, 0, 1] = np.inf, -np.inf
    np.testing.assert_array_equal(placed(like(values, image), image, "image"), array(mask) != 0)


def test_masks_that_cannot_be_meant_are_refused_in_a_sentence(ramp):
    image, mask = ramp
    aside = sitk.Image(mask)
    aside.SetOrigin((0.0, 0.0, 0.0))
    for wrong in (aside, mask[:, :, :7], mask[5:, :, :]):
        with pytest.raises(DiffuseMorphError, match="mask of the moving image does not cover the image"):
            placed(wrong, image, "moving image")
    with pytest.raises(DiffuseMorphError, match="2-D but the image is 3-D"):
        placed(sitk.Image([20, 16], sitk.sitkUInt8), image, "moving image")
    with pytest.raises(DiffuseMorphError, match="empty"):
        placed(mask * 0, image, "moving image")
    with pytest.raises(DiffuseMorphError, match="empty"):
        placed(like(np.full((12, 16, 20), np.nan), image), image, "moving image")


@pytest.mark.parametrize("side", ["fixed", "moving"])
@pytest.mark.parametrize("align", ["none", "center", "affine"])
def test_a_mask_over_background_alone_is_one_sentence(pair_2d, side, align):
    images = dict(zip(("fixed", "moving"), (sitk.Cast(image, sitk.sitkUInt8) for image in pair_2d)))
    mask = np.zeros((56, 64), np.uint8)
    mask[:3, :] = 1
    assert not array(images[side])[:3].any()
    with pytest.raises(
        DiffuseMorphError, match=f"{side} image has only one value inside its mask \\(0\\): mark the region"
    ):
        register(
            images["fixed"], images["moving"], model=None, align=align, **{f"{side}_mask": like(mask, images[side])}
        )


def test_what_is_masked_is_continued_from_what_is_not():
    image = torch.linspace(0, 1, 40).expand(1, 1, 30, 40).clone()
    mask = torch.ones_like(image)
    mask[..., 8:20, 12:24] = 0
    filled = continued(torch.where(mask > 0, image, 1e9), mask)
    assert torch.equal(filled[mask > 0], image[mask > 0])
    assert float((filled - image).abs().max()) < 0.2
    corner = torch.zeros_like(mask)
    corner[..., :2, :2] = 1
    found = continued(image, corner)
    assert found.isfinite().all() and float(found.max()) <= float(image[..., :2, :2].max()) + 1e-6


def with_hole(image, value, hole):
    values = array(image).copy()
    values[hole] = np.random.default_rng(3).uniform(-1e4, 1e4, hole.sum()) if value == "noise" else value
    return like(values, image)


@pytest.mark.parametrize(
    "side, options",
    [
        ("moving", {"model": None, "align": "affine"}),
        ("fixed", {"model": None, "align": "rigid"}),
        ("moving", {"model": "small", "align": "none"}),
        ("fixed", {"model": None, "align": "center", "modality": "different"}),
    ],
)
def test_no_value_outside_a_mask_has_a_part_in_the_result(textured_pair_3d, small_model, side, options):
    fixed, moving = textured_pair_3d
    hole = np.zeros(array(fixed).shape, bool)
    hole[8:18, 6:20, 10:24] = True
    hole[-2:] = True  # at the border too
    mask = like(~hole, fixed, np.uint8)
    if options["model"] == "small":
        options = {**options, "model": small_model(3)}
    found = []
    for value in (0, "noise", np.nan):
        images = {"fixed": fixed, "moving": moving}
        images[side] = with_hole(images[side], value, hole)
        found.append(register(images["fixed"], images["moving"], refine=3, **options, **{f"{side}_mask": mask}))
    for other in found[1:]:
        assert torch.equal(other.path.keyframes, found[0].path.keyframes)
        assert other.alignment.GetParameters() == found[0].alignment.GetParameters()
        assert other.report["similarity"] == found[0].report["similarity"]


def test_with_a_mask_a_cavity_costs_little(textured_pair_3d):
    fixed, moving = textured_pair_3d
    hole = np.zeros(array(fixed).shape, bool)
    hole[8:16, 8:18, 10:20] = True
    truth = register(fixed, moving, model=None, align="none")
    masked = register(
        fixed, with_hole(moving, 4000, hole), model=None, align="none", moving_mask=like(~hole, moving, np.uint8)
    )
    fields = [each.path.end.on(Grid.of(fixed)).vectors() for each in (truth, masked)]
    apart = np.linalg.norm(fields[0] - fields[1], axis=-1)
    seen = ~hole & (array(fixed) > 60)
    assert apart[seen].mean() < 0.3 and apart[seen].max() < 3.0, "millimetres"


def test_a_flat_mask_of_a_slice_and_a_volume_over_it(pair_2d):
    fixed, moving = (sitk.JoinSeries(image, 40.0, 5.0) for image in pair_2d)
    flat = np.ones((56, 64), np.uint8)
    flat[20:30, 20:30] = 0
    upright = sitk.JoinSeries(like(flat, pair_2d[0], np.uint8), 40.0, 5.0)
    volume = sitk.JoinSeries([like(flat, pair_2d[0], np.uint8)] * 5, 30.0, 5.0)
    fields = [
        register(fixed, moving, model=None, align="none", refine=3, fixed_mask=mask).displacement().numpy()
        for mask in (sitk.GetImageFromArray(flat), upright, volume)
    ]
    np.testing.assert_array_equal(fields[0], fields[1])
    np.testing.assert_array_equal(fields[0], fields[2])


def tensor(values):
    return torch.from_numpy(np.ascontiguousarray(values)).float()[None, None]


def test_slabs_that_end_at_a_cut_are_found_and_backgrounds_are_not(textured_pair_3d):
    whole = np.clip(array(textured_pair_3d[0]), 0, 300) / 300
    assert unscanned_slabs(tensor(whole)) == {}
    above, beside = whole.copy(), whole.copy()
    above[22:], beside[:, :, :15] = 0, 0.7
    assert unscanned_slabs(tensor(above)) == {(0, -1): 10}
    assert unscanned_slabs(tensor(beside)) == {(2, 0): 15}
    mask = outside_slabs(tensor(whole), {(0, -1): 10, (2, 0): 15})
    assert not mask[0, 0, 22:].any() and not mask[..., :15].any()
    assert float(mask[0, 0, :22, :, 15:].mean()) == 1
    padded = np.pad(whole, 5)
    assert unscanned_slabs(tensor(padded)) == {}
    assert unscanned_slabs(tensor(np.zeros((9, 9)))) == {}


@pytest.mark.parametrize("value", [0.0, 120.0])
def test_a_slab_of_one_value_at_the_rim_pulls_less_than_tissue(textured_pair_3d, monkeypatch, value):
    images = dict(zip(("fixed", "moving"), textured_pair_3d))
    truth = register(**images, model=None, align="none")
    seen = array(images["fixed"]) > 60
    seen[17:] = False  # what moves across the cut is not known
    values = array(images["moving"]).copy()
    values[20:] = value
    images["moving"] = like(values, images["moving"])

    def apart():
        result = register(**images, model=None, align="none")
        fields = [each.path.end.on(Grid.of(each.fixed)).vectors() for each in (truth, result)]
        return np.linalg.norm(fields[0] - fields[1], axis=-1)[seen].mean(), result.report["notes"]

    excluded, notes = apart()
    assert any("not scanned" in note for note in notes)
    monkeypatch.setattr(sys.modules["DiffuseMorphCore.registration.inputs"], "unscanned_slabs", lambda values: {})
    included, notes = apart()
    assert not any("not scanned" in note for note in notes)
    assert excluded < included


def test_objects_with_straight_sides_are_no_cut_images():
    square = np.zeros((48, 40), np.float32)
    square[14:34, 10:30] = 80
    square[20:26, 15:20] = 200
    moved = np.roll(square, (3, -2), (0, 1))
    result = register(sitk.GetImageFromArray(square), sitk.GetImageFromArray(moved), model=None)
    assert not any("not scanned" in note for note in result.report["notes"])
    assert np.abs(array(result.warp()) - square).mean() < 0.3 * np.abs(moved - square).mean()
