"""Synthetic heads of any contrast: tissues from labels, what is shown at which point, contrasts, and training on
them."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.networks import PRESETS, load_model
from DiffuseMorphCore.networks.blocks import to_blocks
from DiffuseMorphCore.seeds import generator
from DiffuseMorphCore.training import export_model, train
from DiffuseMorphCore.training.appearance import Appearance
from DiffuseMorphCore.training.augmentation import AffineRange
from DiffuseMorphCore.training.canonical_objective import tissue_terms
from DiffuseMorphCore.training.contrasts import FAMILIES, draw_contrast
from DiffuseMorphCore.training.label_files import LabelFile, find_label_maps
from DiffuseMorphCore.training.settings import settings_from
from DiffuseMorphCore.training.synthetic import Geometry
from DiffuseMorphCore.training.tissue_maps import load_tissue_maps
from DiffuseMorphCore.training.tissue_pairs import TissuePairs
from DiffuseMorphCore.training.tissues import CANONICAL, TISSUES, tissue_indices

STILL = AffineRange(0.0, 0.0, 0.0, 0.0)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """A folder of three round heads: skin, bone, fluid, cortex, white matter and a ventricle, 3 mm, stored as R-A-S."""
    folder = tmp_path_factory.mktemp("heads")
    axes = np.meshgrid(*[np.arange(40) - 19.5] * 3, indexing="ij")
    for person, stretch in enumerate((1.0, 1.1, 0.92)):
        distance = np.sqrt(sum((axis / (stretch if number == 0 else 1)) ** 2 for number, axis in enumerate(axes)))
        labels = np.zeros(distance.shape, np.int16)
        for radius, label in ((18, 511), (16, 515), (14, 24), (13, 3), (10, 2), (4, 4)):
            labels[distance < radius] = label
        image = sitk.GetImageFromArray(labels)
        image.SetSpacing((3.0,) * 3)
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
        sitk.WriteImage(image, str(folder / f"head{person}.nii.gz"))
    return folder


@pytest.fixture(scope="module")
def maps(heads):
    return load_tissue_maps(find_label_maps(heads))


def name_at(tissues, *voxel):
    return TISSUES[int(tissues[voxel])].name


def test_every_label_has_one_tissue_and_the_preset_has_their_intensities():
    labels = [label for tissue in TISSUES for label in tissue.labels]
    assert len(labels) == len(set(labels))
    assert PRESETS["canonical3d"].model.diffusion.tissues == CANONICAL
    found = tissue_indices(np.array([[0, 41, 507], [24, 9999, 99]]))
    names = [[TISSUES[index].name for index in row] for row in found]
    assert names == [
        ["background", "white matter", "muscle and fat"],
        ["cerebrospinal fluid", "other parts of the head", "other parts of the brain"],
    ]


def test_a_map_is_looked_up_in_millimetres_about_the_middle_of_the_brain(maps):
    shape, still = (11, 11, 11), (torch.eye(3), torch.zeros(3))
    seen = maps[0].at(shape, 3.0, *still)
    assert name_at(seen, 5, 5, 5) == "lateral ventricle"
    assert name_at(maps[0].at(shape, 6.0, *still), 5, 5, 8) == "white matter"  # 18 mm: 6 of its voxels from the middle
    assert name_at(maps[0].at(shape, 3.0, torch.eye(3), torch.tensor([0.0, 0.0, 34.0])), 5, 5, 5) == "cortex"
    assert name_at(maps[0].at(shape, 3.0, *still, torch.full((1, 3, 2, 2, 2), 26.0)), 5, 5, 5) == "bone"
    assert name_at(maps[0].at(shape, 40.0, *still), 0, 0, 0) == "background"


def test_the_order_of_axes_in_the_file_does_not_matter(maps, heads, tmp_path):
    image = sitk.DICOMOrient(sitk.ReadImage(str(heads / "head1.nii.gz")), "PIR")
    sitk.WriteImage(image, str(tmp_path / "turned.nii.gz"))
    turned = load_tissue_maps([LabelFile(tmp_path / "turned.nii.gz")])[0]
    assert torch.equal(turned.tissues, maps[1].tissues)
    torch.testing.assert_close(turned.centre, maps[1].centre)


@pytest.mark.parametrize("breadth", [0.0, 1.0])
def test_contrasts_keep_the_order_of_tissues_of_their_families(breadth):
    white, grey, fluid = (
        next(i for i, tissue in enumerate(TISSUES) if tissue.name == name)
        for name in ("white matter", "cortex", "lateral ventricle")
    )
    drawn = torch.stack([draw_contrast(breadth, generator(3, index))[0] for index in range(300)])
    t1 = ((drawn[:, white] > drawn[:, grey]) & (drawn[:, grey] > drawn[:, fluid])).float().mean()
    flair = ((drawn[:, grey] > drawn[:, white]) & (drawn[:, white] > drawn[:, fluid])).float().mean()
    bright_fluid = (drawn[:, fluid] > drawn[:, grey]).float().mean()
    assert 0.25 < t1 < 0.75 and 0.2 < flair < 0.75
    assert bright_fluid < 0.02 if breadth == 0 else bright_fluid > 0.1
    assert sum(first for first, _, _ in FAMILIES.values()) > 0


def test_a_pair_shows_one_view_in_two_contrasts_with_the_tissue_of_every_voxel(maps):
    geometry = Geometry(
        shape=(24, 24, 24), spacing=4.0, zoom=0.0, common=STILL, own=STILL, strength=0.0, same_person=1.0
    )
    source = TissuePairs(maps, [], geometry, Appearance(texture=0.0, bias=0.0, gamma=0.0, noise=0.0, blur=(0.0, 0.0)))
    pair = source.draw(0, CPU)
    assert torch.equal(pair.moving_tissue, pair.fixed_tissue) and torch.equal(pair.moving_anatomy, pair.fixed_anatomy)
    assert not torch.allclose(pair.moving, pair.fixed, atol=0.1)
    exact = torch.tensor(CANONICAL)[pair.fixed_tissue.long()] * 2 - 1
    same = (pair.fixed_anatomy - exact).abs() < 1e-6
    assert 0.5 < float(same.float().mean()) < 1  # all but the voxels that a border runs through
    for image in (pair.moving, pair.fixed, pair.fixed_anatomy):
        assert image.shape == (1, 1, 24, 24, 24) and -1 <= float(image.min()) and float(image.max()) <= 1


def test_pairs_depend_on_seed_and_number_alone_and_widen_with_them(maps):
    geometry = Geometry(shape=(16, 16, 16), spacing=5.0)
    first, again = (TissuePairs(maps, maps, geometry, seed=2, validation_pairs=2) for _ in range(2))
    again.draw(0, CPU)
    assert all(
        torch.equal(a, b) for a, b in zip(first.draw(7, CPU).parts(), again.draw(7, CPU).parts()) if a is not None
    )
    assert not torch.equal(first.draw(7, CPU).fixed, first.draw(8, CPU).fixed)
    assert len(first.validation(CPU)) == 2
    slow = TissuePairs(maps, [], geometry, seed=2, curriculum=(10, 20))
    assert not torch.equal(slow.draw(7, CPU).fixed, first.draw(7, CPU).fixed)
    assert torch.equal(slow.draw(25, CPU).fixed, first.draw(25, CPU).fixed)


def test_perfect_shares_have_no_loss_and_the_order_of_blocks_is_the_networks():
    torch.manual_seed(0)
    tissue = torch.randint(0, 3, (2, 1, 8, 8, 8)).float()
    wanted = to_blocks(tissue, 2).movedim(1, -1).long()
    perfect = torch.nn.functional.one_hot(wanted, 3).float().clamp(1e-6, 1).log()
    terms = tissue_terms(perfect, tissue, 2)
    assert float(terms["tissue"]) < 1e-5 and float(terms["tissue_dice"]) > 0.999
    even = tissue_terms(torch.full_like(perfect, 1 / 3).log(), tissue, 2)
    assert float(even["tissue"]) == pytest.approx(np.log(3), rel=1e-5)


@pytest.mark.parametrize("registration", [0.0, 10.0])
def test_a_canonical_model_learns_is_exported_and_used(heads, tmp_path, registration, pair_3d):
    settings = settings_from(
        {
            "model": {"preset": "canonical3d"},
            "data": {"source": "tissues", "folder": str(heads), "held_out": 1},
            "geometry": {"shape": [16, 16, 16], "spacing": 6.0, "zoom": 0.1, "common": {"shift": 4.0}},
            "loss": {"registration": registration, "zero_share": 0.5, "labels": 1.0},
            "optimisation": {"steps": 3, "batch": 1},
            "validation": {"every": 3, "pairs": 1, "choose": "dice"},
            "output": {"folder": str(tmp_path / "run"), "terms": "none"},
            "device": "cpu",
        }
    )
    result = train(settings, progress=lambda stage, fraction: True)
    assert result.finished and 0 < result.validation["canonical_error"] < 2
    model = load_model(export_model(tmp_path / "run", tmp_path / "model.pt"))
    assert model.is_canonical and torch.isfinite(model.latent(*torch.rand(2, 1, 1, 16, 16, 16))).all()


def test_label_maps_without_a_brain_are_refused(tmp_path):
    empty = sitk.Image((8, 8, 8), sitk.sitkInt16) + 511
    sitk.WriteImage(empty, str(tmp_path / "skin.nii.gz"))
    with pytest.raises(DiffuseMorphError, match="skin.nii.gz.*no brain"):
        load_tissue_maps([LabelFile(tmp_path / "skin.nii.gz")])
    with pytest.raises(DiffuseMorphError, match="no label maps"):
        TissuePairs([], [], Geometry())
