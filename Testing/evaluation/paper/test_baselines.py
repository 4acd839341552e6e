"""The compared networks: their trajectories, their losses, and training that can be interrupted."""

import csv
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets import DataSet, Scan, ScanPair
from DiffuseMorphCore.evaluation.paper import fitting
from DiffuseMorphCore.evaluation.paper.arrangement import tiny_networks
from DiffuseMorphCore.evaluation.paper.baselines import COMPARED, build_objective, trajectory
from DiffuseMorphCore.evaluation.paper.fitting import Budget, fit, training_seconds
from DiffuseMorphCore.evaluation.paper.preparation import PreparedData, TrainingPairs
from DiffuseMorphCore.evaluation.paper.trajectory_objectives import STRAIGHTNESS
from DiffuseMorphCore.similarity import local_correlation
from DiffuseMorphCore.training.objective import LossWeights, draw
from DiffuseMorphCore.training.pair import TrainingPair
from DiffuseMorphCore.warp.sampling import compose, resize, warp

NETWORKS = sorted({method.network for method in COMPARED.values()})
BUDGET = Budget(steps=4, learning_rate=2e-3, betas=(0.5, 0.999))


class Discs(DataSet):
    """Two people whose disc gets smaller: a data set that costs nothing to make."""

    name, title, ndim = "discs", "discs", 2
    structures = {1: "disc"}
    mirrored_axes = (0, 1)

    def __init__(self):
        pass

    def pairs(self, split):
        pairs = []
        for person, x in (("one", 11), ("two", 13)):
            frames = tuple(
                Scan(f"{person}{radius}", person, partial(disc, x, radius), time=(9 - radius) / 3)
                for radius in (9, 7, 6)
            )
            pairs.append(ScanPair(frames[0], frames[-1], frames))
        return pairs


def disc(x, radius):
    grid = np.indices((24, 26))
    texture = 0.2 * np.sin(grid[0] / 3 + x) * np.cos(grid[1] / 2)
    inside = (grid[0] - 12) ** 2 + (grid[1] - x) ** 2 < radius**2
    return sitk.GetImageFromArray((inside + texture).astype(np.float32))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return PreparedData(Discs(), tmp_path_factory.mktemp("prepared"))


def strong(network):
    """A network of that kind whose field is large enough to matter."""
    torch.manual_seed(1)
    objective = build_objective(network, tiny_networks(2), LossWeights())
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return objective.eval()


def smooth_image():
    return resize(torch.rand(1, 1, 5, 5), (24, 20)) * 2 - 1


@pytest.mark.parametrize("network", NETWORKS)
def test_every_way_begins_at_the_moving_image_and_is_continuous(network):
    objective = strong(network)
    moving, fixed = smooth_image(), smooth_image()
    at = trajectory(objective, moving, fixed)
    assert at(1.0).shape == (1, 2, 24, 20)
    assert float(at(0.0).abs().max()) == 0
    final = float(at(1.0).norm(dim=1).mean())
    assert final > 0.02
    assert float((at(0.51) - at(0.5)).norm(dim=1).mean()) < 0.2 * final


def test_a_displacement_is_scaled_and_a_velocity_is_integrated():
    moving, fixed = smooth_image(), smooth_image()
    at = trajectory(strong("voxelmorph"), moving, fixed)
    assert torch.allclose(at(0.3), 0.3 * at(1.0), atol=1e-6)
    at = trajectory(strong("voxelmorph-diff"), moving, fixed)
    # The flow is a group: half the time twice is the whole time, which no scaled displacement does.
    twice, whole = compose(at(0.5), at(0.5)), at(1.0)
    inner = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    assert float((twice - whole)[inner].norm(dim=1).mean()) < 0.03 * float(whole[inner].norm(dim=1).mean())


def test_symmetric_training_gives_opposite_ways_for_swapped_images():
    moving, fixed = smooth_image(), smooth_image()
    objective = strong("symnet")
    there, back = trajectory(objective, moving, fixed)(1.0), trajectory(objective, fixed, moving)(1.0)
    round_trip = compose(back, there)[:, :, 5:-5, 5:-5].norm(dim=1).mean()
    assert float(round_trip) < 0.15 * float(there.norm(dim=1).mean())


@pytest.mark.parametrize("network", NETWORKS)
def test_training_makes_images_more_similar(network, data, tmp_path):
    budget = Budget(steps=25, learning_rate=5e-3, betas=(0.9, 0.999))
    arguments = (network, tiny_networks(2), LossWeights(registration=20.0, smoothness=0.1))
    trained = fit(*arguments, budget, TrainingPairs(data, 0), 0, torch.device("cpu"), tmp_path, quiet=True)
    torch.manual_seed(0)
    untrained = build_objective(*arguments)
    case = data.case(data.pairs("train")[0])
    moved = [
        warp(case.moving, trajectory(objective, case.moving, case.fixed)(1.0)) for objective in (untrained, trained)
    ]
    similarity = [float(local_correlation(image, case.fixed)) for image in moved]
    assert similarity[1] > similarity[0] + 0.02
    with open(tmp_path / f"{network}_seed0.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 26)) and float(rows[0]["loss"]) > 0


def test_the_straight_way_costs_what_strays_from_it():
    objective = strong("diffusemorph-path")
    pair = TrainingPair(smooth_image(), smooth_image())
    latent = torch.randn(1, 1, 24, 20)
    field = objective.model.field(pair.moving, latent)
    drawn = draw(pair, LossWeights(), 2000, torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert float(objective.on_trajectory(pair, replace(drawn, eta=1.0), latent, field)) == pytest.approx(
            0, abs=1e-10
        )
        stray = (objective.model.field(pair.moving, 0 * latent)).square().mean()
        cost = objective.on_trajectory(pair, replace(drawn, eta=0.0), latent, field)
    assert float(cost) == pytest.approx(STRAIGHTNESS * float(stray), rel=1e-5) and float(cost) > 0


def test_true_frames_belong_to_their_pair_and_time(data):
    pairs = TrainingPairs(data, 2)
    batch = pairs.batch(3, 4, torch.device("cpu"), with_frames=True)
    assert batch.frame.shape == batch.moving.shape == (4, 1, 24, 26) and batch.time.shape == (4,)
    plain = pairs.batch(3, 4, torch.device("cpu"))
    assert torch.equal(plain.moving, batch.moving) and torch.equal(plain.fixed, batch.fixed)
    seen = set()
    for index in range(30):
        drawn = pairs.batch(index, 1, torch.device("cpu"), with_frames=True)
        seen.add(round(float(drawn.time), 3))
        if float(drawn.time) in (0.0, 1.0):
            assert torch.equal(drawn.frame, drawn.fixed if float(drawn.time) else drawn.moving)
    assert seen == {0.0, 0.667, 1.0}
    stills = PreparedData(Discs(), Path("unused"))
    stills.data_set.pairs = lambda split: [ScanPair(pair.moving, pair.fixed) for pair in Discs().pairs(split)]
    with pytest.raises(DiffuseMorphError, match="no frames"):
        TrainingPairs(stills, 0).batch(0, 1, torch.device("cpu"), with_frames=True)


def test_an_interrupted_training_ends_as_an_unbroken_one(data, tmp_path, monkeypatch):
    arguments = ("diffusemorph", tiny_networks(2), LossWeights(registration=20.0), BUDGET)
    unbroken = fit(*arguments, TrainingPairs(data, 3), 3, torch.device("cpu"), tmp_path / "one", quiet=True)

    class Interrupted(TrainingPairs):
        def draw(self, index, device, with_frame=False):
            if index == 2:
                raise KeyboardInterrupt
            return super().draw(index, device, with_frame)

    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", -1.0)
    with pytest.raises(KeyboardInterrupt):
        fit(*arguments, Interrupted(data, 3), 3, torch.device("cpu"), tmp_path / "two", quiet=True)
    resumed = fit(*arguments, TrainingPairs(data, 3), 3, torch.device("cpu"), tmp_path / "two", quiet=True)
    for one, two in zip(unbroken.state_dict().values(), resumed.state_dict().values()):
        assert torch.equal(one, two)
    assert training_seconds("diffusemorph", 3, tmp_path / "two") > 0
    with pytest.raises(DiffuseMorphError, match="other settings"):
        fit(
            "diffusemorph",
            tiny_networks(2),
            LossWeights(registration=2.0),
            BUDGET,
            TrainingPairs(data, 3),
            3,
            torch.device("cpu"),
            tmp_path / "two",
            quiet=True,
        )


def test_pairs_are_mirrored_together_and_depend_on_their_number_alone(data):
    pairs = TrainingPairs(data, 5)
    first, again = (pairs.draw(7, torch.device("cpu")) for _ in range(2))
    assert torch.equal(first.moving, again.moving) and torch.equal(first.fixed, again.fixed)
    known = [(data.tensor(pair.moving), data.tensor(pair.fixed)) for pair in pairs.pairs]
    seen = set()
    for index in range(40):
        drawn = pairs.draw(index, torch.device("cpu"))
        matches = [
            (number, flips)
            for number, (moving, fixed) in enumerate(known)
            for flips in ((), (2,), (3,), (2, 3))
            if torch.equal(moving.flip(flips), drawn.moving) and torch.equal(fixed.flip(flips), drawn.fixed)
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) == 8
    assert Path(data.folder).is_dir()
