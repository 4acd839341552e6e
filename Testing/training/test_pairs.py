"""Pairs of real images: found, paired, refused in clear sentences, and brought to one grid with their labels."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.training.pairs import (
    ImageGrid,
    ImagePairs,
    ScanFiles,
    every_pair,
    find_scans,
    group_by_subject,
    pairs_to_atlas,
    prepare_image,
    read_table,
)

CPU = torch.device("cpu")


def write(path, array, spacing=1.0, origin=None):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([spacing] * array.ndim)
    if origin:
        image.SetOrigin(origin)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def ramp(seed=0):
    return (np.random.default_rng(seed).random((24, 20)) * 200 + np.arange(20)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    for name in ("a_1", "a_2", "b_1", "b_2", "c_1"):
        write(tmp_path / f"{name}_img.png", ramp(len(name)))
        write(tmp_path / f"{name}_seg.png", (ramp() > 100).astype(np.uint8))
    (tmp_path / "readme.txt").write_text("no image")
    return tmp_path


def test_images_and_their_labels_are_found_by_name(folder):
    scans = find_scans(folder, "_img", "_seg")
    assert [scan.image.name for scan in scans] == [f"{name}_img.png" for name in ("a_1", "a_2", "b_1", "b_2", "c_1")]
    assert scans[1].labels.name == "a_2_seg.png"
    assert all(scan.labels is None for scan in find_scans(folder, "_img"))
    (folder / "b_1_seg.png").unlink()
    assert find_scans(folder, "_img", "_seg")[2].labels is None


def test_every_ordered_pair_is_listed(folder):
    pairs = every_pair(find_scans(folder, "_img"))
    assert len(pairs) == 20 and len(set(pairs)) == 20
    with pytest.raises(DiffuseMorphError, match="two images.*there are 1.*a_1_img.png"):
        every_pair(find_scans(folder, "_img")[:1])


def test_subjects_come_from_names_or_folders(folder, tmp_path):
    groups = group_by_subject(folder, r"^(?P<subject>[a-z])_\d", "_img")
    assert {name: len(scans) for name, scans in groups.items()} == {"a": 2, "b": 2}  # c has one image only
    for person in ("p1", "p2"):
        for time in (1, 2, 3):
            write(tmp_path / "people" / person / f"{time}.png", ramp(time))
    assert {name: len(scans) for name, scans in group_by_subject(tmp_path / "people").items()} == {"p1": 3, "p2": 3}
    with pytest.raises(DiffuseMorphError, match="subject"):
        group_by_subject(folder, "(unclosed")
    with pytest.raises(DiffuseMorphError, match="subject"):
        group_by_subject(folder, "nogroup")
    with pytest.raises(DiffuseMorphError, match="No subject"):
        group_by_subject(folder, r"(?P<subject>.+)")


def test_an_atlas_is_fixed_and_not_paired_with_itself(folder):
    scans = find_scans(folder, "_img")
    pairs = pairs_to_atlas(scans, folder / "b_1_img.png")
    assert len(pairs) == 4 and {fixed.image.name for _, fixed in pairs} == {"b_1_img.png"}
    with pytest.raises(DiffuseMorphError, match="atlas.*nothing.nii"):
        pairs_to_atlas(scans, folder / "nothing.nii")


def test_a_table_lists_pairs_relative_to_itself(folder):
    table = folder / "pairs.csv"
    table.write_text("moving,fixed,moving_labels,fixed_labels\na_1_img.png,a_2_img.png,a_1_seg.png,\n")
    ((moving, fixed),) = read_table(table)
    assert moving == ScanFiles(folder / "a_1_img.png", folder / "a_1_seg.png") and fixed == ScanFiles(
        folder / "a_2_img.png"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("moving\na_1_img.png\n", "no column 'fixed'"),
        ("moving,fixed\na_1_img.png,gone.png\n", "line 2 .*gone.png.*'fixed'"),
        ("moving,fixed\na_1_img.png,\n", "line 2"),
        ("moving,fixed\n", "no line"),
        ("", "no column"),
    ],
)
def test_bad_tables_are_refused_in_one_sentence(folder, text, sentence):
    (folder / "bad.csv").write_text(text)
    with pytest.raises(DiffuseMorphError, match=sentence):
        read_table(folder / "bad.csv")
    with pytest.raises(DiffuseMorphError, match="none.csv"):
        read_table(folder / "none.csv")


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(DiffuseMorphError, match="nowhere"):
        find_scans(tmp_path / "nowhere")
    with pytest.raises(DiffuseMorphError, match="'_t1'"):
        find_scans(tmp_path, "_t1")


def test_volumes_come_to_one_grid_in_lps_order(tmp_path):
    array = np.zeros((20, 24, 28), np.float32)
    array[4:9, 6:12, 5:20] = 100
    write(tmp_path / "lps.nii.gz", array)
    image = sitk.ReadImage(str(tmp_path / "lps.nii.gz"))
    sitk.WriteImage(sitk.DICOMOrient(image, "RSA"), str(tmp_path / "rsa.nii.gz"))
    grid = ImageGrid((20, 24, 28), (1.0, 1.0, 1.0))
    one, other = (prepare_image(tmp_path / name, tmp_path / name, False, grid) for name in ("lps.nii.gz", "rsa.nii.gz"))
    assert torch.allclose(one, torch.from_numpy(array)[None, None] / 50 - 1, atol=1e-4)
    assert torch.allclose(one, other, atol=1e-4)
    coarse = prepare_image(tmp_path / "lps.nii.gz", tmp_path / "lps.nii.gz", False, ImageGrid((10, 12, 14), (2.0,) * 3))
    assert abs(coarse.mean() - one.mean()) < 0.05


def test_images_of_a_subject_keep_their_place_in_space(tmp_path):
    array = np.zeros((16, 16), np.float32)
    array[6:9, 6:9] = 1
    write(tmp_path / "first.nii", array)
    write(tmp_path / "moved.nii", array, origin=(2.0, 0.0))
    scans = find_scans(tmp_path)
    together = ImagePairs([tuple(scans)], [], ImageGrid((16, 16), (1.0, 1.0), physical=True)).draw(0, CPU)
    apart = ImagePairs([tuple(scans)], [], ImageGrid((16, 16), (1.0, 1.0))).draw(0, CPU)
    assert torch.equal(apart.moving, apart.fixed)
    assert torch.equal(together.moving[..., 0:14], together.fixed[..., 2:16])  # the fixed one lies 2 mm further in x


def test_labels_follow_flips_and_affine_maps(folder):
    scans = find_scans(folder, "_img", "_seg")
    for scan in scans:  # labels that are the image itself show whether both took the same way
        values = sitk.GetArrayFromImage(sitk.ReadImage(str(scan.image)))
        write(scan.labels, (values > 120).astype(np.uint8))
    source = ImagePairs(every_pair(scans), [], ImageGrid((24, 20), (1.0, 1.0)), flips=["x", "y"], affine=1.0)
    plain = ImagePairs(every_pair(scans), [], ImageGrid((24, 20), (1.0, 1.0)))
    changed = 0
    for index in range(6):
        pair, original = source.draw(index, CPU), plain.draw(index, CPU)
        changed += not torch.equal(pair.fixed, original.fixed)
        assert set(pair.fixed_labels.unique().tolist()) <= {0.0, 1.0}
        bright, dark = pair.fixed[pair.fixed_labels == 1].mean(), pair.fixed[pair.fixed_labels == 0].mean()
        assert bright > dark + 0.3
    assert changed == 6


def test_an_epoch_shows_every_pair_once_in_a_new_order(folder):
    pairs = every_pair(find_scans(folder, "_img"))
    source = ImagePairs(pairs, [], ImageGrid((24, 20), (1.0, 1.0)), seed=3)
    source._load = lambda moving, fixed: _Named((moving, fixed))
    epochs = [[source.draw(20 * epoch + index, CPU).pair for index in range(20)] for epoch in range(2)]
    assert set(epochs[0]) == set(epochs[1]) == set(pairs) and epochs[0] != epochs[1]


class _Named:
    """Stands for the loaded pair, so that its order can be followed."""

    def __init__(self, pair):
        self.pair = pair

    def to(self, device):
        return self

    def each(self, change):
        return self


def test_colours_become_luminance_and_wrong_dimensions_are_refused(tmp_path):
    colours = np.zeros((16, 16, 3), np.uint8)
    colours[:8, :, 1] = 255
    sitk.WriteImage(sitk.GetImageFromArray(colours, isVector=True), str(tmp_path / "colour.png"))
    values = prepare_image(tmp_path / "colour.png", tmp_path / "colour.png", False, ImageGrid((16, 16), (1.0, 1.0)))
    assert values[0, 0, 3, 3] == 1 and values[0, 0, 12, 3] == -1
    with pytest.raises(DiffuseMorphError, match="colour.png.*2 dimensions"):
        prepare_image(tmp_path / "colour.png", tmp_path / "colour.png", False, ImageGrid((8, 16, 16), (1.0,) * 3))


def test_real_heart_slices_pair_up(shared_data):
    groups = group_by_subject(shared_data / "heart-cine", r"(?P<subject>.+)_(ed|es)\.png", "", "_lv")
    pairs = every_pair(next(iter(groups.values())))
    pair = ImagePairs(pairs, [], ImageGrid((64, 64), (2.0, 2.0), physical=True)).draw(0, CPU)
    assert pair.moving.std() > 0.1 and pair.fixed_labels.max() > 0
    assert pair.fixed_labels.unique().numel() == 2
