"""Label maps packed into one file: the same people, and the same pairs, as from the folder."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore.command_line import main
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.training.label_files import LabelFile, coarsened, find_label_maps, pack_label_maps
from DiffuseMorphCore.training.settings import settings_from
from DiffuseMorphCore.training.sources import build_sources
from DiffuseMorphCore.training.tissue_maps import load_tissue_maps

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two heads of 2 mm in air, one stored as R-A-S, with ids beyond 255."""
    folder = tmp_path_factory.mktemp("packed")
    axes = np.meshgrid(*[np.arange(44) - 21.5] * 3, indexing="ij")
    for person, stretch in enumerate((1.0, 1.12)):
        distance = np.sqrt(sum((axis / (stretch if number == 1 else 1)) ** 2 for number, axis in enumerate(axes)))
        labels = np.zeros(distance.shape, np.int16)
        for radius, label in ((17, 511), (15, 515), (13, 24), (12, 3), (9, 2), (4, 4)):
            labels[distance < radius] = label
        image = sitk.GetImageFromArray(labels)
        image.SetSpacing((2.0, 2.0, 2.0))
        sitk.WriteImage(sitk.DICOMOrient(image, ("LPS", "RAS")[person]), str(folder / f"head{person}.nii.gz"))
    return folder


def test_a_file_packed_at_the_maps_own_spacing_gives_the_same_pairs(folder, tmp_path, capsys):
    target = tmp_path / "heads.npz"
    assert main(["train", "--pack", str(folder), str(target), "--spacing", "2"]) == 0
    assert "2 label maps at about 2 mm" in capsys.readouterr().out
    packed = find_label_maps(target)
    assert [file.name for file in packed] == ["head0", "head1"] == [file.name for file in find_label_maps(folder)]
    for one, other in zip(load_tissue_maps(packed), load_tissue_maps(find_label_maps(folder))):
        assert torch.equal(one.tissues, other.tissues) and torch.equal(one.spacing, other.spacing)
        assert torch.allclose(one.centre, other.centre)
    for source in ("tissues", "labelmaps"):
        pairs = []
        for place in (folder, target):
            values = {
                "model": {"preset": "canonical3d" if source == "tissues" else "default3d"},
                "data": {"source": source, "folder": str(place), "held_out": 1},
                "geometry": {"shape": [16, 16, 16], "spacing": 4.0},
            }
            pairs.append(build_sources(settings_from(values))[0][1].draw(3, CPU))
        assert torch.equal(pairs[0].moving, pairs[1].moving)
        assert torch.equal(pairs[0].fixed_labels, pairs[1].fixed_labels)


def test_a_coarser_file_keeps_volumes_and_is_smaller(folder, tmp_path):
    fine, coarse = (pack_label_maps(find_label_maps(folder), tmp_path / f"{mm}.npz", mm) for mm in (2.0, 3.0))
    assert coarse.stat().st_size < fine.stat().st_size
    for one, other in zip(find_label_maps(fine), find_label_maps(coarse)):
        (labels, spacing), (coarser, wider) = one.read(), other.read()
        assert np.allclose(np.array(labels.shape) * spacing, np.array(coarser.shape) * wider)
        assert wider.mean() == pytest.approx(3.0, rel=0.1)
        for told in (lambda array: array > 0, lambda array: array == 2):
            volumes = [told(array).sum() * step.prod() for array, step in ((labels, spacing), (coarser, wider))]
            assert volumes[1] == pytest.approx(volumes[0], rel=0.1)


def test_labels_are_never_made_finer_than_they_are():
    labels = np.arange(60).reshape(3, 4, 5)
    same, sizes = coarsened(labels, np.array([3.0, 1.0, 1.0]), 1.0)
    assert np.array_equal(same, labels) and sizes.tolist() == [3.0, 1.0, 1.0]
    thick, sizes = coarsened(labels, np.array([3.0, 1.0, 1.0]), 2.0)
    assert thick.shape == (3, 2, 2) and sizes.tolist() == [3.0, 2.0, 2.5]


def test_a_run_trains_from_the_file_that_data_names(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pack_label_maps(find_label_maps(folder), "heads.npz", 3.0)
    (tmp_path / "trial.toml").write_text(
        '[model]\npreset = "default3d"\n[data]\nheld_out = 1\n[geometry]\nshape = [16, 16, 16]\n'
        "[optimisation]\nsteps = 1\nbatch = 1\n[validation]\npairs = 0\n"
    )
    assert main(["train", "trial.toml", "--device", "cpu", "--data", "heads.npz", "-o", "run"]) == 0
    assert "1 of 1 steps" in capsys.readouterr().out


def test_what_cannot_be_packed_or_read_is_refused_in_one_sentence(folder, tmp_path, capsys):
    files = find_label_maps(folder)
    for given, target, words in (
        (files, tmp_path / "heads.zip", "must end in .npz"),
        (files[:1] * 2, tmp_path / "heads.npz", "Two label maps are called 'head0'"),
    ):
        with pytest.raises(DiffuseMorphError, match=words):
            pack_label_maps(given, target, 3.0)
    sitk.WriteImage(sitk.Image((8, 8, 8), sitk.sitkUInt8), str(tmp_path / "air.nii.gz"))
    with pytest.raises(DiffuseMorphError, match="air.nii.gz' has no label left"):
        pack_label_maps([LabelFile(tmp_path / "air.nii.gz")], tmp_path / "heads.npz", 3.0)
    assert not (tmp_path / "heads.npz").exists()
    good = pack_label_maps(files, tmp_path / "good.npz", 3.0).read_bytes()
    np.savez(tmp_path / "other.npz", format=np.array("something else"))
    (tmp_path / "cut.npz").write_bytes(good[: len(good) // 2])
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("other.npz", "cut.npz", "text.npz"):
        with pytest.raises(DiffuseMorphError, match=f"{name}' holds no packed label maps, or is damaged"):
            find_label_maps(tmp_path / name)
    with pytest.raises(DiffuseMorphError, match="does not exist"):
        find_label_maps(tmp_path / "nothing.npz")
    assert main(["train", "--pack", str(tmp_path / "nothing"), str(tmp_path / "heads.npz")]) == 1
    assert main(["train", "trial.toml", "--spacing", "2"]) == 2
    assert main(["train", "--pack", str(folder), str(tmp_path / "heads.npz"), "--spacing", "0"]) == 2
