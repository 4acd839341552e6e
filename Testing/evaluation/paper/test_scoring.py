"""Scores of a comparison where the answer is known, and data on one grid."""
import numpy as np
import pytest
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.phantom import CardiacPhantom
from DiffuseMorphCore.evaluation.paper.preparation import PreparedData
from DiffuseMorphCore.evaluation.paper.scoring import score_case, syn_trajectory

SHAPE = (16, 48, 48)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    phantom = CardiacPhantom(SHAPE, {"train": 1, "validation": 0, "test": 1}, frame_count=5)
    data = PreparedData(phantom, tmp_path_factory.mktemp("prepared"))
    return data, data.case(data.pairs("test")[0])


def test_the_true_motion_gets_the_best_scores_and_no_motion_the_initial_ones(prepared):
    data, case = prepared
    truths = {scan.time: torch.from_numpy(data.data_set.true_displacement(scan))[None]
              for scan in (*case.frames, case.pair.fixed)}
    true = score_case(case, truths.__getitem__, data)
    none = score_case(case, lambda eta: torch.zeros(1, 3, *SHAPE), data)
    assert true["path_error"] == 0 and none["path_error"] > 0.5
    assert true["path_psnr"] > none["path_psnr"] + 3 and true["path_nmse"] < 0.5 * none["path_nmse"]
    assert true["dice"] > 0.9 > none["dice"] and true["dice_paper"] > 0.9
    assert none["nmse"] > 2 * true["nmse"] and true["ssim"] > none["ssim"]
    assert true["folded"] == true["folded_central"] == true["path_folded"] == 0
    assert none["sd_log_jacobian"] == 0 and true["sd_log_jacobian"] > 0.1
    # Scaling the final field is not the true way: the made heart twists and has a tempo of its own.
    scaled = score_case(case, lambda eta: eta * truths[1.0], data)
    assert 0.05 < scaled["path_error"] < none["path_error"]


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
    assert -1 <= float(cases[1].moving.min()) and float(cases[1].moving.max()) <= 1
    # Half a coarse voxel is 4 mm; the same place is found to better than that.
    middles = []
    for case in cases:
        where = np.argwhere(case.fixed_labels == 3).mean(0)
        middles.append((where + 0.5) * case.spacing)
    assert middles[0] == pytest.approx(middles[1], abs=3.0)
    with pytest.raises(DiffuseMorphError, match="2 sides"):
        PreparedData(phantom, tmp_path, (8, 24))
    with pytest.raises(DiffuseMorphError, match="no pairs"):
        fine.pairs("validation")


def test_evenly_spread_cases(tmp_path):
    phantom = CardiacPhantom(SHAPE, {"train": 10, "validation": 0, "test": 1}, frame_count=3)
    pairs = PreparedData(phantom, tmp_path).pairs("train", 4)
    assert [int(pair.moving.subject[5:]) for pair in pairs] == [0, 2, 5, 7]
