"""register: what a user relies on, with images of every shape, and transforms read by other libraries."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore import register
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.warp import folding


def difference(fixed, other):
    a, b = (sitk.GetArrayFromImage(image).astype(float) for image in (fixed, other))
    return float(np.sqrt(np.mean((a - b) ** 2)))


def resampled(image, transform):
    return sitk.Resample(image, image, transform, sitk.sitkLinear, 0.0)


def reoriented(image, spacing, angles, size):
    """The same anatomy on another, oblique grid."""
    rotation = sitk.Euler3DTransform((0.0, 0.0, 0.0), *angles)
    reference = sitk.Image(size, image.GetPixelID())
    reference.SetSpacing(spacing)
    direction = np.array(rotation.GetMatrix()).reshape(3, 3)
    reference.SetDirection(direction.ravel().tolist())
    middle = np.array(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))
    corner = middle - direction @ (np.array(spacing) * (np.array(size) - 1) / 2)
    reference.SetOrigin(corner.tolist())
    return sitk.Resample(image, reference, sitk.Transform(3, sitk.sitkIdentity), sitk.sitkLinear, 0.0)


@pytest.fixture(scope="module")
def result(pair_3d, small_model):
    return register(*pair_3d, model=small_model(3), align="rigid")


def test_the_images_agree_much_better_afterwards(pair_3d):
    fixed, moving = pair_3d
    result = register(fixed, moving, model=None)
    assert difference(fixed, result.warp()) < 0.35 * difference(fixed, moving)
    similarity = result.report["similarity"]
    assert similarity["registered"] > similarity["aligned"]
    assert result.warp().GetSize() == fixed.GetSize()


def test_two_dimensions(pair_2d):
    fixed, moving = pair_2d
    result = register(fixed, moving, model=None)
    assert difference(fixed, result.warp()) < 0.35 * difference(fixed, moving)
    assert result.displacement().shape[1] == 2


def test_eta_zero_is_the_aligned_moving_image_exactly(pair_3d, result):
    fixed, moving = pair_3d
    assert float(result.displacement(0.0).abs().max()) == 0
    expected = sitk.Resample(moving, fixed, result.alignment, sitk.sitkLinear, 0.0)
    np.testing.assert_allclose(
        sitk.GetArrayFromImage(result.warp(eta=0.0)), sitk.GetArrayFromImage(expected), atol=1e-3
    )


def test_the_trajectory_is_continuous_and_fold_free_on_the_fixed_grid(result):
    fields = [result.path.at(k / 10).on(Grid.of(result.fixed)).values for k in range(11)]
    assert all(folding(field).share == 0 for field in fields)
    steps = [float((b - a).norm(dim=1).mean()) for a, b in itertools.pairwise(fields)]
    assert max(steps) < 5 * (sum(steps) / len(steps)) and min(steps) > 0
    torch.testing.assert_close(result.displacement(1.0), result.path.keyframes[-1:])


def test_alignment_can_follow_eta(pair_3d):
    fixed, moving = pair_3d
    shifted = sitk.Image(moving)
    shifted.SetOrigin([value + 6 for value in moving.GetOrigin()])
    result = register(fixed, shifted, model=None, refine=5, alignment_follows_eta=True)
    untouched = sitk.Resample(shifted, fixed, sitk.Transform(3, sitk.sitkIdentity), sitk.sitkLinear, 0.0)
    np.testing.assert_allclose(
        sitk.GetArrayFromImage(result.warp(eta=0.0)), sitk.GetArrayFromImage(untouched), atol=1e-3
    )
    point = [3.0, -4.0, 5.0]
    expected = np.add(point, 6)
    assert np.linalg.norm(np.array(result.alignment.TransformPoint(point)) - expected) < 3.0


def test_transform_and_inverse_survive_the_disk_and_undo_each_other(result, tmp_path):
    for name, transform in (("transform.h5", result.transform()), ("inverse.h5", result.inverse_transform())):
        sitk.WriteTransform(transform, str(tmp_path / name))
    forward, backward = (sitk.ReadTransform(str(tmp_path / name)) for name in ("transform.h5", "inverse.h5"))
    points = np.random.default_rng(0).uniform(-22, 22, (200, 3))
    there = np.array([forward.TransformPoint(point) for point in points.tolist()])
    expected = np.array([result.transform().TransformPoint(point) for point in points.tolist()])
    np.testing.assert_allclose(there, expected, atol=1e-9)
    back = np.array([backward.TransformPoint(point) for point in there.tolist()])
    assert np.linalg.norm(back - points, axis=1).mean() < 0.1 * result.fixed.GetSpacing()[0]
    np.testing.assert_allclose(result.warp_points(there), back, atol=1e-9)


def test_ants_reads_the_transform_with_the_same_result(result, tmp_path):
    ants = pytest.importorskip("ants")
    sitk.WriteTransform(result.transform(), str(tmp_path / "transform.h5"))
    for name in ("fixed", "moving"):
        sitk.WriteImage(sitk.Cast(getattr(result, name), sitk.sitkFloat32), str(tmp_path / f"{name}.nii.gz"))
    fixed, moving = (ants.image_read(str(tmp_path / f"{name}.nii.gz")) for name in ("fixed", "moving"))
    theirs = ants.apply_transforms(fixed, moving, [str(tmp_path / "transform.h5")], interpolator="linear").numpy()
    ours = sitk.GetArrayFromImage(result.warp()).transpose(2, 1, 0)
    inside = (slice(2, -2),) * 3
    assert np.abs(theirs[inside] - ours[inside]).max() < 1e-2 * np.ptp(ours)


@pytest.mark.parametrize(
    "spacing, angles, size",
    [((1.5, 2.5, 3.0), (0.3, -0.2, 0.1), (60, 34, 26)), ((3.0, 1.0, 2.0), (0.0, 0.0, np.pi / 2), (24, 84, 36))],
)
def test_oblique_anisotropic_and_differently_sized_grids(pair_3d, spacing, angles, size):
    fixed, moving = pair_3d
    oblique = reoriented(moving, spacing, angles, size)
    result = register(fixed, oblique, model=None)
    assert difference(fixed, result.warp()) < 0.5 * difference(fixed, moving)
    assert Grid_matches(result.warp(), fixed)
    backwards = register(oblique, fixed, model=None)
    before = sitk.Resample(fixed, oblique, sitk.Transform(3, sitk.sitkIdentity), sitk.sitkLinear, 0.0)
    assert difference(oblique, backwards.warp()) < 0.6 * difference(oblique, before)


def Grid_matches(image, other):
    return (
        image.GetSize() == other.GetSize()
        and image.GetOrigin() == other.GetOrigin()
        and image.GetDirection() == other.GetDirection()
        and image.GetSpacing() == other.GetSpacing()
    )


def test_a_left_handed_grid(pair_3d):
    fixed, moving = pair_3d
    mirrored = sitk.Flip(moving, [True, False, False])  # the same anatomy with the x axis stored backwards
    assert np.linalg.det(np.array(mirrored.GetDirection()).reshape(3, 3)) < 0
    assert difference(fixed, register(fixed, mirrored, model=None).warp()) < 0.4 * difference(fixed, moving)


def test_single_slices_are_registered_in_their_plane(pair_2d):
    fixed, moving = (sitk.JoinSeries(image, 40.0, 5.0) for image in pair_2d)
    result = register(fixed, moving, model=None)
    assert result.warp().GetSize() == fixed.GetSize()
    assert difference(fixed, result.warp()) < 0.35 * difference(fixed, moving)
    there = result.transform().TransformPoint((3.0, 2.0, 40.0))
    assert there[2] == pytest.approx(40.0)
    back = result.inverse_transform().TransformPoint(there)
    assert np.allclose(back, (3.0, 2.0, 40.0), atol=0.05)
    assert result.jacobian().GetSize() == fixed.GetSize()
    standing = sitk.PermuteAxes(fixed, [2, 0, 1]), sitk.PermuteAxes(moving, [2, 0, 1])
    assert difference(standing[0], register(*standing, model=None).warp()) < 0.4 * difference(fixed, moving)


def test_the_warped_image_keeps_its_type_and_intensities(pair_3d):
    fixed, moving = pair_3d
    ct = sitk.Cast(moving * 8 - 1000, sitk.sitkInt16)
    result = register(sitk.Cast(fixed * 8 - 1000, sitk.sitkInt16), ct, model=None, refine=10)
    moved = result.warp()
    assert moved.GetPixelID() == sitk.sitkInt16
    values = sitk.GetArrayFromImage(moved)
    assert values.min() >= -1000 and abs(int(values.max()) - int(sitk.GetArrayFromImage(ct).max())) < 100


def test_labels_keep_their_values(result):
    labels = sitk.Cast(sitk.Cast(result.moving > 60, sitk.sitkUInt16) * 517, sitk.sitkUInt16)
    moved = result.warp_labels(labels)
    assert moved.GetPixelID() == sitk.sitkUInt16
    assert set(np.unique(sitk.GetArrayFromImage(moved))) == {0, 517}


def test_inverted_contrast_is_aligned_as_a_different_modality(textured_pair_3d):
    fixed, moving = textured_pair_3d
    inverted = sitk.Cast(sitk.Sqrt(sitk.Cast(300 - moving, sitk.sitkFloat64)), sitk.sitkFloat32)
    result = register(fixed, inverted, model=None, modality="different")
    carried = result.warp(moving)
    assert difference(fixed, carried) < 0.6 * difference(fixed, moving)


def test_far_apart_and_rotated_images_find_each_other(pair_3d):
    fixed, moving = pair_3d
    motion = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.5, -0.3, 0.4, (50.0, -30.0, 40.0))
    placed = sitk.TransformGeometry(moving, motion)
    result = register(fixed, placed, model=None)
    assert difference(fixed, result.warp()) < 0.4 * difference(fixed, moving)


def test_masks_exclude_a_lesion(pair_3d):
    fixed, moving = pair_3d
    array = sitk.GetArrayFromImage(moving)
    array[12:20, 8:16, 10:20] = 250
    lesion = sitk.GetImageFromArray(array)
    lesion.CopyInformation(moving)
    mask = np.ones_like(array, np.uint8)
    mask[10:22, 6:18, 8:22] = 0
    mask = sitk.GetImageFromArray(mask)
    mask.CopyInformation(moving)
    masked = register(fixed, lesion, model=None, align="none", moving_mask=mask)
    unmasked = register(fixed, lesion, model=None, align="none")
    known = np.ones(array.shape, bool)  # where the mask, and what bends towards it, leaves the images to be compared
    known[8:24, 4:20, 6:24] = False
    target = sitk.GetArrayFromImage(fixed)
    errors = [
        np.abs(sitk.GetArrayFromImage(result.warp(moving)) - target)[known].mean() for result in (masked, unmasked)
    ]
    assert errors[0] < errors[1]


def on_grid(result, image):
    """The displacement of a result on the voxels of an image, (*spatial, ndim) in mm."""
    places = image.GetSize(), image.GetOrigin(), image.GetSpacing(), image.GetDirection()
    return sitk.GetArrayFromImage(
        sitk.TransformToDisplacementField(result.transform(), sitk.sitkVectorFloat64, *places)
    )


def test_a_cut_moving_image_deforms_like_the_whole_one_where_it_is_known(textured_pair_3d):
    fixed, moving = textured_pair_3d
    results = [register(fixed, image, model=None, align="none") for image in (moving, moving[:, :, :22])]
    whole, cut = (on_grid(result, fixed) for result in results)
    apart = np.linalg.norm(whole - cut, axis=-1)
    known = sitk.GetArrayViewFromImage(fixed) > 60
    known[21:] = False
    assert apart[known].mean() < 0.35 and apart[known].max() < 2.5, "millimetres"


def test_the_same_pair_twice_gives_the_same_bytes(pair_3d, small_model):
    first, second = (register(*pair_3d, model=small_model(3)) for _ in range(2))
    assert torch.equal(first.path.keyframes, second.path.keyframes)
    assert first.alignment.GetParameters() == second.alignment.GetParameters()


def test_jacobian_is_one_at_rest_and_uncertainty_is_in_millimetres(result):
    rest = sitk.GetArrayFromImage(result.jacobian(0.0))
    np.testing.assert_allclose(rest, 1, atol=1e-6)
    spread = sitk.GetArrayFromImage(result.uncertainty(samples=3))
    assert spread.shape == rest.shape and spread.min() >= 0 and np.isfinite(spread).all() and spread.max() > 0
    again = sitk.GetArrayFromImage(result.uncertainty(samples=3))
    np.testing.assert_array_equal(spread, again)


def test_missing_values_are_filled_and_reported(pair_3d):
    fixed, moving = pair_3d
    array = sitk.GetArrayFromImage(moving)
    array[0, 0, :5] = np.nan
    holed = sitk.GetImageFromArray(array)
    holed.CopyInformation(moving)
    result = register(fixed, holed, model=None, refine=5)
    assert any("5 voxels of the moving image were not finite" in note for note in result.report["notes"])
    assert np.isfinite(sitk.GetArrayFromImage(result.warp())).all()


def test_refine_zero_without_a_model_is_the_alignment_alone(pair_3d):
    result = register(*pair_3d, model=None, refine=0)
    assert float(result.displacement().abs().max()) == 0
