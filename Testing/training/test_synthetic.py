"""Synthetic pairs: anatomy read right, geometry consistent, appearance bounded, all decided by seed and index."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.seeds import generator
from DiffuseMorphCore.training.appearance import Appearance, degrade, random_contrast, render, scaled
from DiffuseMorphCore.training.augmentation import (
    AffineRange,
    grid_points,
    random_affine,
    random_displacement,
    random_orientation,
    sample_affine,
)
from DiffuseMorphCore.training.label_files import find_label_maps
from DiffuseMorphCore.training.labelmaps import EXTRA_CEREBRAL, load_label_maps
from DiffuseMorphCore.training.shapes import RandomShapes, _Organ
from DiffuseMorphCore.training.synthetic import Geometry, People, SyntheticPairs, slice_of
from DiffuseMorphCore.warp import determinant_minimum, sample_points, warp

CPU = torch.device("cpu")
STILL = AffineRange(0, 0, 0, 0)
CLEAN = Appearance(natural=0, texture=0, bias=0, gamma=0, blur=(0.4, 0.4), noise=0)


def head(path, direction="LPS", shift=0, scale=1.0):
    """A label map: an ellipsoid (2) with an off-centre ball (10) in it, in skin (502), 2 mm, any orientation."""
    z, y, x = np.meshgrid(*(np.arange(-30, 31),) * 3, indexing="ij")
    x = x - shift
    labels = np.zeros(x.shape, np.int16)
    labels[(x / 24) ** 2 + (y / 27) ** 2 + (z / 24) ** 2 < scale] = 502
    labels[(x / 18) ** 2 + (y / 22) ** 2 + (z / 16) ** 2 < scale] = 2
    labels[(x - 7) ** 2 + (y + 6) ** 2 + (z - 3) ** 2 < 25 * scale] = 10
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing((2.0, 2.0, 2.0))
    sitk.WriteImage(sitk.DICOMOrient(image, direction), str(path))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelmaps")
    head(folder / "a_1.nii.gz")
    head(folder / "a_2.nii.gz", "RAS")
    head(folder / "b_3.nii.gz", "LSA", shift=4, scale=1.2)
    return folder


@pytest.fixture(scope="module")
def maps(folder):
    return load_label_maps(find_label_maps(folder), 4.0, EXTRA_CEREBRAL)


def test_label_maps_are_alike_whatever_their_orientation(maps):
    (first, turned, larger), ids = maps
    assert ids == (0, 2, 10)  # the skin is gone
    assert torch.equal(first.labels, turned.labels)
    assert torch.allclose(first.matrix, turned.matrix, atol=1e-4)
    assert torch.allclose(first.shift, turned.shift, atol=1e-3)
    assert torch.linalg.det(larger.matrix) < torch.linalg.det(first.matrix) * 1.5
    # The mode of the labels keeps volumes: 8 voxels of 2 mm are one of 4 mm.
    assert int((first.labels == 1).sum()) == pytest.approx(26500 / 8, rel=0.06)


def test_the_common_pose_takes_out_position_and_size(folder, maps):
    (first, _, larger), _ = maps
    place = []
    for anatomy in (first, larger):
        ball = torch.nonzero(anatomy.labels[0, 0] == 2).float().mean(0)
        place.append(torch.linalg.solve(anatomy.matrix, ball - anatomy.shift))
    assert (place[0] - place[1]).norm() < 2.0  # mm, of which the different sizes explain some
    whole, ids = load_label_maps(find_label_maps(folder, ["a_"]), 4.0)
    assert len(whole) == 2 and 502 in ids


@pytest.mark.parametrize("what", ["missing", "empty", "damaged", "flat", "void"])
def test_bad_label_maps_are_refused_by_name(tmp_path, what):
    folder = tmp_path / "maps"
    if what != "missing":
        folder.mkdir()
    if what == "damaged":
        (folder / "x.nii.gz").write_bytes(b"no image at all")
    if what == "flat":
        sitk.WriteImage(sitk.Image([9, 9], sitk.sitkUInt8), str(folder / "x.nii"))
    if what == "void":
        sitk.WriteImage(sitk.Image([9, 9, 9], sitk.sitkUInt8), str(folder / "x.nii"))
    with pytest.raises(DiffuseMorphError, match=r"x\.nii" if what in ("damaged", "flat", "void") else "maps"):
        load_label_maps(find_label_maps(folder), 2.0)


@pytest.mark.parametrize("shape", [(16, 20, 16), (24, 28)])
def test_pairs_depend_on_seed_and_index_alone(maps, shape):
    people = People(*maps)
    source, again = (SyntheticPairs(people, people, Geometry(shape, 8.0), seed=4, validation_pairs=2) for _ in range(2))
    again.draw(0, CPU)
    for one, other in zip(source.draw(7, CPU).parts(), again.draw(7, CPU).parts()):
        assert torch.equal(one.nan_to_num(-9), other.nan_to_num(-9))
    assert not torch.equal(source.draw(7, CPU).fixed, source.draw(8, CPU).fixed)
    assert len(source.validation(CPU)) == 2
    pair = source.draw(3, CPU)
    assert pair.moving.shape == pair.fixed_labels.shape == (1, 1, *shape)
    assert pair.moving.min() >= -1 and pair.moving.max() <= 1 and pair.moving.std() > 0.05
    assert set(pair.fixed_labels.unique().tolist()) <= {0.0, 1.0, 2.0}
    assert (pair.fixed_labels > 0).float().mean() > 0.05


@pytest.mark.parametrize("shape", [(20, 24, 20), (28, 32)])
def test_the_known_field_warps_the_moving_image_onto_the_fixed_one(maps, shape):
    people = People(*maps)
    geometry = Geometry(shape, 6.0, same_person=1.0, strength=0.15, permute=True)
    source = SyntheticPairs(people, None, geometry, CLEAN, seed=1)
    before, after = [], []
    for index in range(6):
        pair = source.draw(index, CPU)
        known = pair.displacement
        inside = ~known[:, :1].isnan()
        assert torch.equal(inside, pair.fixed_labels > 0)
        warped = warp(pair.moving, known.nan_to_num())
        before.append((pair.moving - pair.fixed)[inside].square().mean())
        after.append((warped - pair.fixed)[inside].square().mean())
    assert torch.stack(after).mean() < 0.35 * torch.stack(before).mean()


@pytest.mark.parametrize("shape", [(64, 64), (32, 32, 32)])
def test_a_local_pair_differs_in_one_region_only(shape):
    shapes = RandomShapes(ndim=len(shape))
    pairs = SyntheticPairs(
        shapes, None, Geometry(shape=shape, spacing=3.0, strength=0.15, same_person=1.0, local=1.0), CLEAN
    )
    ways = [pairs.draw(index, CPU).displacement.norm(dim=1) for index in range(8)]
    known = [way[~way.isnan()] for way in ways]
    assert all(float((way < 0.05).float().mean()) > 0.3 for way in known)
    assert max(float(way.amax()) for way in known) > 1.0


def test_two_people_have_no_known_field(maps):
    source = SyntheticPairs(People(*maps), None, Geometry((16, 16, 16), 8.0, same_person=0.0))
    assert source.draw(0, CPU).displacement.isnan().all()


def test_contrast_is_shared_or_independent(maps):
    still = dict(shape=(20, 24, 20), spacing=6.0, own=STILL, strength=0.0, same_person=1.0)
    same = SyntheticPairs(People(*maps), None, Geometry(**still), CLEAN, seed=2).draw(1, CPU)
    other = SyntheticPairs(People(*maps), None, Geometry(**still, independent_contrast=1.0), CLEAN, seed=2).draw(1, CPU)
    assert torch.allclose(same.moving, same.fixed, atol=1e-5)
    assert (other.moving - other.fixed).abs().mean() > 0.01


def test_halves_of_the_brain_look_alike_and_the_background_is_black():
    ids = (0, 2, 3, 4, 41, 42, 43)
    for index in range(20):
        values = random_contrast(ids, 0.5, generator(0, index))
        assert values[0] == 0 and values.min() >= 0 and values.max() <= 1
        assert torch.equal(values[1:4], values[4:7])
    natural = random_contrast(ids, 1.0, generator(0, 1))
    assert len({round(float(value), 1) for value in natural[1:4]}) == 3


def test_images_stay_in_range_with_black_background(maps):
    labels = maps[0][0].labels
    limits = Appearance(texture=0.2, bias=1.0, gamma=1.0, noise=0.2)
    contrast = torch.tensor([0.0, 0.4, 0.9])
    image = degrade(render(labels, contrast, limits, 1.0, generator(1, 1)), limits, generator(1, 2))
    assert image.min() == -1 and image.max() == 1
    assert (image[0, 0, 0] == -1).all()
    assert (scaled(torch.full((1, 1, 9, 9), 3.0)) == -1).all()


@pytest.mark.parametrize("shape", [(20, 20, 20), (32, 32)])
def test_random_shapes_are_related_but_not_equal(shape):
    shapes = RandomShapes(labels=6, ndim=len(shape))
    shares = []
    for index in range(8):
        one, other = shapes.choose(2, generator(0, index))
        assert one.labels.dim() == 2 + len(shape) and one.labels.max() < len(shapes.ids)
        assert (one.labels > 0).float().mean() > 0.1
        shares.append((one.labels == other.labels)[(one.labels > 0) & (other.labels > 0)].float().mean())
    assert 0.35 < torch.stack(shares).mean() < 0.99
    (alone,) = shapes.choose(1, generator(0, 0))
    assert torch.equal(alone.labels, shapes.choose(1, generator(0, 0))[0].labels)
    source = SyntheticPairs(shapes, None, Geometry(shape, 9.0))
    assert max(len(source.draw(index, CPU).fixed_labels.unique()) for index in range(4)) > 3


def test_organs_have_walls_and_tubes_are_unbroken():
    organs = [_Organ.random(2, generator(0, index)) for index in range(12)]
    points = grid_points((200, 200)) / 100
    assert {len(organ.curve) for organ in organs} == {1, 32}
    for organ in organs:
        distance = organ.distance(points)
        if len(organ.curve) == 1:  # the area of an ellipse whose middle is in the picture
            area = math.pi / float(torch.linalg.det(organ.stretch).abs())
            wide = grid_points((400, 400)) / 100
            assert float((organ.distance(wide) < 1).sum()) / 100**2 == pytest.approx(area, rel=0.05)
        else:  # halfway between two balls is still within the wall
            between = (organ.curve[1:] + organ.curve[:-1]) / 2
            assert organ.distance(between).max() < 0.95
        assert 0.4 <= organ.inside <= 1 and distance.min() >= 0
        assert torch.allclose(organ.relative(0.0, generator(1, 1)).distance(points), distance)


def test_a_slice_of_a_map_shows_the_plane_of_the_view(maps):
    anatomy = maps[0][0]
    turn, _ = random_affine(3, AffineRange(20, 0.1, 0, 8), generator(0, 5))
    view = 5.0 * turn[:, 1:], torch.tensor([3.0, -4.0, 2.0])
    cut = slice_of(anatomy, view, (24, 20))
    assert cut.labels.shape == (1, 1, 72, 60)
    pixels = grid_points((24, 20))
    seen = sample_points(cut.labels, pixels @ cut.matrix.T + cut.shift, "nearest")
    there = (pixels @ view[0].T + view[1]) @ anatomy.matrix.T + anatomy.shift
    # The plane is sampled at half pixels, so labels differ only beside an edge.
    same = (seen == sample_points(anatomy.labels, there, "nearest")).float().mean()
    assert same > 0.9 and len(seen.unique()) == 3


def test_random_displacements_reach_as_far_as_asked_without_folding():
    field = random_displacement((32, 32, 32), (16.0, 8.0), 0.1, generator(0, 3))
    assert 0.1 < field.abs().max() < 10
    folded = [
        float(determinant_minimum(random_displacement((24, 24), (8.0,), 0.05, generator(0, k))).min()) <= 0
        for k in range(20)
    ]
    assert not any(folded)


def test_affine_and_orientation_follow_their_limits():
    matrix, shift = random_affine(3, STILL, generator(0, 0))
    assert torch.equal(matrix, torch.eye(3)) and torch.equal(shift, torch.zeros(3))
    for index in range(20):
        turn, shift = random_affine(3, AffineRange(10, 0, 0, 2), generator(0, index))
        assert torch.allclose(turn @ turn.T, torch.eye(3), atol=1e-5) and shift.abs().max() <= 2
        mirrored = random_orientation(3, (False, False, True), False, generator(0, index))
        assert torch.equal(mirrored.abs(), torch.eye(3)) and mirrored[0, 0] == mirrored[1, 1] == 1
    seen = {tuple(random_orientation(2, (True, True), True, generator(1, k)).flatten().tolist()) for k in range(60)}
    assert len(seen) == 8  # all the symmetries of a square


def test_sampling_with_a_turn_by_a_right_angle_is_a_turn_of_the_array():
    image = torch.rand(1, 1, 9, 9)
    turned = sample_affine(image, torch.tensor([[0.0, -1.0], [1.0, 0.0]]), torch.zeros(2))
    assert torch.allclose(turned, image.rot90(-1, (2, 3)), atol=1e-5) or torch.allclose(
        turned, image.rot90(1, (2, 3)), atol=1e-5
    )


def test_two_people_of_real_label_maps_overlap_in_a_common_pose(shared_data):
    paths = find_label_maps(shared_data / "brain-labelmaps", ["training_seg_01", "training_seg_18"])
    maps, ids = load_label_maps(paths, 4.0, EXTRA_CEREBRAL)
    assert not set(ids) & set(EXTRA_CEREBRAL) and {2, 3, 41, 42} < set(ids)
    source = SyntheticPairs(People(maps, ids), None, Geometry(same_person=0.0))
    for index in range(4):
        pair = source.draw(index, CPU)
        both = ((pair.moving_labels > 0) & (pair.fixed_labels > 0)).sum()
        assert 2 * both / ((pair.moving_labels > 0).sum() + (pair.fixed_labels > 0).sum()) > 0.75
