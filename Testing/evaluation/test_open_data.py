"""Readers of the open data sets and the synthetic phantom: small folders, closed forms, and the real images where they
are."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation import metrics
from DiffuseMorphCore.evaluation.datasets import open_data_set
from DiffuseMorphCore.evaluation.datasets.brain_oasis import VALIDATION
from DiffuseMorphCore.evaluation.datasets.heart_motion import HeartMotion
from DiffuseMorphCore.evaluation.datasets.lung_ct import read_points
from DiffuseMorphCore.evaluation.datasets.phantom import CardiacPhantom
from DiffuseMorphCore.evaluation.datasets.scan import read_labels
from DiffuseMorphCore.warp.folding import folding
from DiffuseMorphCore.warp.sampling import warp

SMALL = (12, 40, 40)


def write(array, path):
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))


def test_brain_pairs_are_the_ordered_pairs_of_the_split(tmp_path):
    (tmp_path / "labels.csv").write_text("label,name\n4,3rd Ventricle\n15,5th Ventricle\n")
    for person in (*VALIDATION, "1000", "1001", "1002"):
        for kind in ("t1", "labels"):
            write(np.full((3, 3, 3), int(person) % 7, np.int16), tmp_path / f"{person}_{kind}.nii.gz")
    data_set = open_data_set("brain-oasis", tmp_path)
    assert data_set.structures == {4: "3rd Ventricle"}
    assert len(data_set.pairs("validation")) == 20 and len(data_set.pairs("train")) == 6
    assert data_set.pairs("train")[0].name == "1000_to_1001"
    scan = data_set.pairs("train")[0].moving
    assert scan.labels().GetSize() == (3, 3, 3)
    moved = sitk.ReadImage(str(tmp_path / "1000_labels.nii.gz"))
    moved.SetOrigin((0, 0, 5))
    sitk.WriteImage(moved, str(tmp_path / "1000_labels.nii.gz"))
    with pytest.raises(DiffuseMorphError, match="1000_labels.*do not lie"):
        scan.labels()
    (tmp_path / "1004_labels.nii.gz").unlink()
    with pytest.raises(DiffuseMorphError, match="1004_labels"):
        data_set.pairs("validation")


def test_heart_pairs_split_by_person_in_the_order_of_the_list(tmp_path):
    with open(tmp_path / "pairs.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["person", "slice", "end_diastole", "end_diastole_label", "end_systole", "end_systole_label"])
        for person in range(8):
            names = [f"p{person}_{kind}.png" for kind in ("ed", "ed_lv", "es", "es_lv")]
            rows.writerow([f"p{person}", 1, *names])
            for name in names:
                write(np.zeros((4, 4), np.uint8), tmp_path / name)
    data_set = open_data_set("heart-cine", tmp_path)
    assert [pair.moving.subject for pair in data_set.pairs("train")] == ["p0", "p1"]
    assert [pair.name for pair in data_set.pairs("validation")][0] == "p2_ed_to_p2_es"
    (tmp_path / "pairs.csv").write_text("person,slice\n")
    with pytest.raises(DiffuseMorphError, match="headings"):
        data_set.pairs("train")


def test_hippocampus_pairs_go_round_a_ring(tmp_path):
    for number in range(1, 36):
        for kind in ("t1", "labels"):
            (tmp_path / f"hippocampus_{number:03d}_{kind}.nii.gz").touch()
    pairs = open_data_set("hippocampus", tmp_path).pairs("validation")
    assert len(pairs) == 60 and len({pair.name for pair in pairs}) == 60
    assert min(pair.moving.name for pair in pairs) == "006"
    for end in ("moving", "fixed"):
        assert {sum(getattr(pair, end).name == f"{n:03d}" for pair in pairs) for n in range(6, 36)} == {2}


def test_labels_written_as_floats_are_whole_numbers(tmp_path):
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4) % 3
    for name in ("image", "labels"):
        write(values, tmp_path / f"{name}.nii.gz")
    labels = read_labels(tmp_path / "labels.nii.gz", tmp_path / "image.nii.gz")
    assert np.issubdtype(sitk.GetArrayFromImage(labels).dtype, np.integer)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(labels), values)


def test_point_files_that_are_not_world_points_are_refused(tmp_path):
    path = tmp_path / "points.txt"
    path.write_text("index\n1\n1 2 3\n")
    with pytest.raises(DiffuseMorphError, match="point"):
        read_points(path)
    path.write_text("point\n2\n1 2 3\n")
    with pytest.raises(DiffuseMorphError, match="announces"):
        read_points(path)
    path.write_text("point\n2\n1 2 3\n4 5 6\n")
    assert read_points(path).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_lung_landmarks_before_registration(shared_data):
    pair = open_data_set("lung-ct", shared_data / "lung-ct").pairs("validation")[0]
    fixed, moving = pair.fixed.landmarks(), pair.moving.landmarks()
    inside = metrics.points_inside(pair.fixed.image(), fixed) & metrics.points_inside(pair.moving.image(), moving)
    errors = metrics.landmark_errors(sitk.Transform(3, sitk.sitkIdentity), fixed[inside], moving[inside])
    assert inside.sum() == 51 and errors.mean() == pytest.approx(35.3, abs=0.05)


def test_real_folders_have_the_counts_of_their_description(shared_data):
    brain = open_data_set("brain-oasis", shared_data / "brain-oasis")
    pair = brain.pairs("validation")[0]
    labels = [sitk.GetArrayFromImage(scan.labels()) for scan in (pair.fixed, pair.moving)]
    assert len(metrics.shared_labels(*labels, brain.structures)) == 138
    assert len(open_data_set("hippocampus", shared_data / "hippocampus").pairs("validation")) == 60
    heart = open_data_set("heart-cine", shared_data / "heart-cine")
    assert len(heart.pairs("train")) + len(heart.pairs("validation")) == 253
    assert len({pair.fixed.subject for pair in heart.pairs("validation")}) == 6


def test_the_made_heart_beats_as_its_displacement_says():
    phantom = CardiacPhantom(SMALL, {"train": 1, "validation": 0, "test": 2}, frame_count=4)
    assert [len(phantom.pairs(split)) for split in phantom.splits] == [1, 0, 2]
    pair = phantom.pairs("test")[1]
    assert [frame.time for frame in pair.frames] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    moving = torch.from_numpy(sitk.GetArrayFromImage(pair.moving.image()))[None, None]
    earlier = 0.0
    for frame in pair.frames:
        target = sitk.GetArrayFromImage(frame.image())
        field = torch.from_numpy(phantom.true_displacement(frame))[None]
        counted = folding(field)
        assert counted.share == 0 and counted.minimum > 0.3
        moved = warp(moving, field)[0, 0].numpy()
        before = metrics.nmse(moving[0, 0].numpy(), target)
        assert metrics.nmse(moved, target) <= max(0.35 * before, 0.02)
        assert float(field.abs().mean()) >= earlier
        earlier = float(field.abs().mean())
    labels = [sitk.GetArrayFromImage(scan.labels()) for scan in (pair.moving, pair.fixed)]
    counts = [np.bincount(array.ravel(), minlength=4) for array in labels]
    assert counts[1][3] < 0.75 * counts[0][3]
    moved = warp(torch.from_numpy(labels[0])[None, None].float(), field, "nearest")[0, 0].numpy().astype(int)
    assert metrics.dice(moved, labels[1], [3])[3] > 0.85
    assert pair.fixed.image().GetSpacing() == pytest.approx((192 / 40, 192 / 40, 100.8 / 12))


def test_a_slice_of_the_heart_moves_within_its_plane():
    slices = open_data_set("phantom-2d")
    pair = slices.pairs("validation")[0]
    images = [sitk.GetArrayFromImage(scan.image()) for scan in (pair.moving, pair.fixed)]
    field = slices.true_displacement(pair.fixed)
    assert images[0].shape == (128, 128) and field.shape == (2, 128, 128)
    moved = warp(torch.from_numpy(images[0])[None, None], torch.from_numpy(field)[None])[0, 0].numpy()
    assert metrics.psnr(moved, images[1]) > metrics.psnr(images[0], images[1]) + 8
    assert folding(torch.from_numpy(field)[None]).share == 0


def test_the_heart_at_rest_is_where_it_was_and_people_differ():
    points = np.random.default_rng(0).uniform(-50, 50, (100, 3))
    heart = HeartMotion(4)
    assert heart.to_reference(points, 0.0) == pytest.approx(points, abs=1e-9)
    assert np.abs(heart.to_reference(points, 1.0) - points).max() > 3
    assert heart.anatomy != HeartMotion(5).anatomy and heart.anatomy == HeartMotion(4).anatomy
