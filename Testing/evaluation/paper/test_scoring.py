"""Scores of a comparison where the answer is known, and data on one grid."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.phantom import CardiacPhantom, frame
from DiffuseMorphCore.evaluation.paper.preparation import PreparedData
from DiffuseMorphCore.evaluation.paper.refinement import refined
from DiffuseMorphCore.evaluation.paper.scoring import moved_labels, score_case, syn_trajectory, to_grid

SHAPE = (16, 48, 48)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    phantom = CardiacPhantom(SHAPE, {"train": 1, "validation": 0, "test": 1}, frame_count=5)
    data = PreparedData(phantom, tmp_path_factory.mktemp("prepared"))
    return data, data.case(data.pairs("test")[0])


def test_the_true_motion_gets_the_best_scores_and_no_motion_the_initial_ones(prepared):
    data, case = prepared
    truths = {
        scan.time: torch.from_numpy(data.data_set.true_displacement(scan))[None]
        for scan in (*case.frames, case.pair.fixed)
    }
    true = score_case(case, truths.__getitem__, data)
    none = score_case(case, lambda eta: torch.zeros(1, 3, *SHAPE), data)
    assert true["path_error"] == 0 and none["path_error"] > 0.5
    assert true["path_psnr"] > none["path_psnr"] + 3 and true["path_nmse"] < 0.5 * none["path_nmse"]
    assert true["dice"] > 0.9 > none["dice"] and true["dice_paper"] > 0.9
    assert none["nmse"] > 2 * true["nmse"] and true["ssim"] > none["ssim"]
    assert true["folded"] == true["folded_central"] == true["path_folded"] == 0
    assert none["sd_log_jacobian"] == 0 and true["sd_log_jacobian"] > 0.1
    # Scaling the final field is not the true way: the synthetic phantom twists and has a tempo of its own.
    scaled = score_case(case, lambda eta: eta * truths[1.0], data)
    assert 0.05 < scaled["path_error"] < none["path_error"]


def test_larger_voxels_are_less_noisy():
    still = [
        np.asarray([sitk.GetArrayFromImage(frame(3, shape, time)) for time in (0.0, 1e-5)])
        for shape in ((64, 64), (128, 128))
    ]
    noise = [float((one - two)[np.minimum(one, two) > 0.3].std()) for one, two in still]
    assert noise[0] == pytest.approx(0.5 * noise[1], rel=0.1) and noise[1] == pytest.approx(0.02 * 2**0.5, rel=0.1)


def test_a_folded_field_is_counted_both_ways(prepared):
    data, case = prepared
    field = torch.zeros(1, 3, *SHAPE)
    field[0, 2] = -2.0 * torch.arange(SHAPE[2], dtype=torch.float32)
    row = score_case(case, lambda eta: field, data)
    assert row["folded_central"] == 1.0 and row["folded"] == pytest.approx(1.0) and row["folded_volume"] > 0.5


def test_syn_improves_the_prepared_images(prepared):
    pytest.importorskip("ants", reason="needs antspyx")
    data, case = prepared
    at, seconds = syn_trajectory(case, 0)
    assert seconds > 0
    assert score_case(case, at, data)["dice"] > score_case(case, lambda eta: torch.zeros(1, 3, *SHAPE), data)["dice"]


def test_another_grid_keeps_what_is_where(tmp_path):
    phantom = CardiacPhantom(SHAPE, {"train": 1, "validation": 0, "test": 1}, frame_count=3)
    fine, coarse = PreparedData(phantom, tmp_path), PreparedData(phantom, tmp_path, (8, 24, 24))
    cases = [data.case(data.pairs("test")[0]) for data in (fine, coarse)]
    assert cases[1].moving.shape == (1, 1, 8, 24, 24) and cases[1].spacing == pytest.approx((12.6, 8, 8))
    # Labels stay on the grid of the data, so that a coarse grid for the networks does not blur what they are judged by.
    assert np.array_equal(cases[0].fixed_labels, cases[1].fixed_labels)
    assert cases[1].label_spacing == cases[0].label_spacing == cases[0].spacing
    assert -1 <= float(cases[1].moving.min()) and float(cases[1].moving.max()) <= 1
    # Half a coarse voxel is 4 mm; the middle of the brightness is found to better than that.
    middles = []
    for case in cases:
        image = case.fixed[0, 0].numpy() + 1
        mass = np.array([(axis * image).sum() / image.sum() for axis in np.indices(image.shape)])
        middles.append((mass + 0.5) * case.spacing)
    assert middles[0] == pytest.approx(middles[1], abs=1.0)
    with pytest.raises(DiffuseMorphError, match="2 sides"):
        PreparedData(phantom, tmp_path, (8, 24))
    with pytest.raises(DiffuseMorphError, match="no pairs"):
        fine.pairs("validation")


def test_a_field_of_a_coarse_grid_moves_labels_of_a_fine_one_as_far_in_millimetres(prepared):
    data, case = prepared
    coarse = torch.zeros(1, 3, 8, 24, 12)
    coarse[0, 0], coarse[0, 2] = 1.0, -1.5
    moved = moved_labels(case, coarse)
    # One voxel of 8 planes is two of 16; one and a half of 12 columns are six of 48.
    assert np.array_equal(moved[:-2, :, 6:], case.moving_labels[2:, :, :-6])
    ramp = torch.zeros(1, 3, 8, 24, 24)
    ramp[0, 1] = ((torch.arange(24) + 0.5) / 24)[:, None]
    fine = to_grid(ramp, SHAPE)[0, 1, 0, :, 0]
    assert fine[2:-2] == pytest.approx(2 * (torch.arange(48) + 0.5)[2:-2] / 48)


def test_refinement_starts_from_a_methods_field_and_keeps_the_beginning_of_its_way(prepared):
    data, case = prepared
    truth = torch.from_numpy(data.data_set.true_displacement(case.pair.fixed))[None]
    for at in (lambda eta: eta * 0.5 * truth, lambda eta: 0 * truth):
        better = refined(case, at, torch.device("cpu"))
        assert float(better(0.0).abs().max()) == 0
        assert torch.allclose(better(0.5) - at(0.5), 0.5 * (better(1.0) - at(1.0)), atol=1e-6)
        error = [float((way(1.0) - truth).norm(dim=1)[0][case.fixed_labels > 0].mean()) for way in (at, better)]
        assert error[1] < 0.8 * error[0]


def test_evenly_spread_cases(tmp_path):
    phantom = CardiacPhantom(SHAPE, {"train": 10, "validation": 0, "test": 1}, frame_count=3)
    pairs = PreparedData(phantom, tmp_path).pairs("train", 4)
    assert [int(pair.moving.subject[5:]) for pair in pairs] == [0, 2, 5, 7]
