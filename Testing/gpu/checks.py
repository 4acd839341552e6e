"""What a GPU must compute as the CPU does: each check says how far the two are apart, and how far they may be.

Nothing here needs SimpleITK or pytest, so that the checks run where there is torch and numpy alone.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from DiffuseMorphCore import register_tensors
from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.networks import load_model
from DiffuseMorphCore.registration.refine import refine
from DiffuseMorphCore.registration.repair import unfold
from DiffuseMorphCore.samplers import EtaPath, Trajectory
from DiffuseMorphCore.similarity import TERMS, ImagePair, local_correlation
from DiffuseMorphCore.warp import compose, exponential, folding, invert, smooth, warp

SHAPE = (44, 40, 48)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Difference:
    """Of one result: how far the device is from the CPU (or one run from another), and how far it may be."""

    what: str
    largest: float
    allowed: float
    unit: str

    @property
    def holds(self) -> bool:
        return self.largest <= self.allowed


CHECKS: dict[str, Callable[[torch.device], list[Difference]]] = {}


def check(work: Callable[[torch.device], list[Difference]]) -> Callable[[torch.device], list[Difference]]:
    """Register a check by the name of its function."""
    CHECKS[work.__name__] = work
    return work


def made_pair(shape: tuple[int, ...] = SHAPE, length: float = 2.0) -> tuple[Tensor, Tensor, Tensor]:
    """(fixed, moving, displacement) on the CPU: smooth texture in [0, 1], and a smooth field of so many voxels."""
    random = torch.Generator().manual_seed(0)
    moving = smooth(torch.rand((1, 1, *shape), generator=random), 1.5)
    moving = (moving - moving.amin()) / (moving.amax() - moving.amin())
    field = smooth(torch.randn((1, len(shape), *shape), generator=random), 3.0)
    field = field * (length / field.norm(dim=1).amax())
    return warp(moving, field), moving, field


def apart(there: Tensor, here: Tensor) -> float:
    """The largest difference of two tensors on any devices."""
    return float((there.detach().cpu().double() - here.detach().cpu().double()).abs().amax())


@check
def warps(device: torch.device) -> list[Difference]:
    """Sampling, composition, exponential, inverse, folding."""
    _, moving, field = made_pair()
    image, there = moving.to(device), field.to(device)
    labels = (moving * 9).round()
    unlike = warp(labels.to(device), there, "nearest").cpu() != warp(labels, field, "nearest")
    return [
        Difference("warp", apart(warp(image, there), warp(moving, field)), 1e-4, "of the range"),
        Difference("nearest neighbour", float(unlike.float().mean()), 1e-3, "share of the voxels"),
        Difference("composition", apart(compose(there, there), compose(field, field)), 1e-3, "voxels"),
        Difference("exponential", apart(exponential(there), exponential(field)), 1e-3, "voxels"),
        Difference("inverse", apart(invert(there), invert(field)), 2e-2, "voxels"),
        Difference("smallest determinant", abs(folding(there).minimum - folding(field).minimum), 1e-3, ""),
    ]


@check
def similarities(device: torch.device) -> list[Difference]:
    """Local correlation with its gradient; value and force of every term."""
    fixed, moving, field = made_pair()
    gradients = []
    for place in (device, CPU):
        image = moving.to(place).requires_grad_()
        local_correlation(fixed.to(place), image).backward()
        gradients.append(image.grad)
    size = float(gradients[1].abs().amax())
    found = [Difference("gradient of local correlation", apart(*gradients) / size, 1e-2, "of the largest")]
    pair = ImagePair(
        fixed,
        moving,
        fixed_tissue=(fixed > 0.2).float(),
        moving_tissue=(moving > 0.2).float(),
        fixed_canonical=fixed,
        moving_canonical=moving,
    )
    half = field / 2
    for name, term in TERMS.items():
        there = pair.to(device)
        with torch.no_grad():
            value, force = term.prepare(pair, half, pair.shape).force(half)
            own_value, own_force = term.prepare(there, half.to(device), pair.shape).force(half.to(device))
        found += [
            Difference(f"{name}: value", apart(own_value, value), 1e-3, ""),
            Difference(f"{name}: force", apart(own_force, force) / float(force.abs().amax()), 2e-2, "of the largest"),
        ]
    return found


@check
def networks(device: torch.device) -> list[Difference]:
    """The latent and the field of the bundled model; 16 bits beside 32; the same bytes twice."""
    fixed, moving, _ = (2 * image - 1 for image in made_pair((32, 32, 32)))
    found = []
    for name in ("default3d", "canonical3d"):
        here, there = load_model(name, CPU), load_model(name, device)
        with torch.no_grad():
            latent = here.latent(moving, fixed)
            own = there.latent(moving.to(device), fixed.to(device))
            field = here.field(here.moving_input(moving, fixed), latent)
            own_field = there.field(there.moving_input(moving.to(device), fixed.to(device)), latent.to(device))
            again = there.latent(moving.to(device), fixed.to(device))
            with torch.autocast(device.type, dtype=torch.bfloat16):
                short = there.latent(moving.to(device), fixed.to(device))
        found += [
            Difference(f"{name}: latent", apart(own, latent), 2e-2, ""),
            Difference(f"{name}: field", apart(own_field, field), 5e-2, "voxels"),
            Difference(f"{name}: the same twice", apart(own, again), 0.0, ""),
            Difference(f"{name}: mean of 16 from 32 bits", float((short.float() - own).abs().mean()), 2e-2, ""),
        ]
    return found


@check
def trajectories(device: torch.device) -> list[Difference]:
    """Exact frames along eta, and the repair of a path that folds."""
    fixed, moving, field = (image for image in made_pair((32, 32, 32)))
    here = Trajectory(load_model("default3d", CPU), 2 * moving - 1, 2 * fixed - 1)
    there = Trajectory(load_model("default3d", device), (2 * moving - 1).to(device), (2 * fixed - 1).to(device))
    found = [
        Difference(f"frame at {eta:g}", apart(there.exact(eta), here.exact(eta)), 5e-2, "voxels") for eta in (0, 0.4, 1)
    ]
    grid = Grid((32, 32, 32), (1.0,) * 3, (0.0,) * 3, tuple(float(i % 4 == 0) for i in range(9)))
    path = EtaPath.straight(Displacement(field * 6, grid))
    own = unfold(replace(path, keyframes=path.keyframes.to(device)), grid.shape)
    repaired = unfold(path, grid.shape)
    return [
        *found,
        Difference("folds left by the repair", float(len(own.folded_after)), 0.0, "etas"),
        Difference("repaired path", apart(own.path.keyframes, repaired.path.keyframes), 0.1, "voxels"),
    ]


@check
def refinement(device: torch.device) -> list[Difference]:
    """Both modalities end as similar as on the CPU, near it, and at the same bytes when repeated."""
    fixed, moving, field = made_pair()
    found = []
    for name in ("same", "different"):
        ends = [
            register_tensors(fixed.to(place), moving.to(place), model=None, device=str(place), modality=name, threads=1)
            .displacement(1.0, SHAPE)
            .cpu()
            for place in (device, device, CPU)
        ]
        errors = [float((end - field)[..., 6:-6, 6:-6, 6:-6].norm(dim=1).mean()) for end in ends]
        found += [
            Difference(f"{name}: error beyond the CPU's", errors[0] - errors[2], 0.03, "voxels"),
            Difference(f"{name}: mean distance", float((ends[0] - ends[2]).norm(dim=1).mean()), 0.1, "voxels"),
            Difference(f"{name}: the same twice", apart(ends[0], ends[1]), 0.0, "voxels"),
        ]
    pair = ImagePair(fixed, moving).to(device)
    start = torch.zeros_like(field, device=device)
    end = refine(pair, start, steps=10)
    better = float(local_correlation(warp(pair.moving, end), pair.fixed) - local_correlation(pair.moving, pair.fixed))
    return [*found, Difference("similarity lost", -better, -0.05, "")]


@check
def training_step(device: torch.device) -> list[Difference]:
    """Loss and gradients of one step of the joint objective."""
    from DiffuseMorphCore.training.settings import Data, Output, TrainingRun, Validation
    from DiffuseMorphCore.training.trainer import Trainer

    losses, lengths = [], []
    for place in (device, CPU):
        with tempfile.TemporaryDirectory() as folder:
            run = TrainingRun(
                data=Data(source="shapes"),
                output=Output(folder=folder),
                validation=Validation(pairs=0),
                device=place.type,
            )
            run = replace(
                run,
                geometry=replace(run.geometry, shape=(32, 32, 32)),
                optimisation=replace(run.optimisation, precision="float32"),
            )
            trainer = Trainer(run)
            try:
                before = copy.deepcopy(trainer.model.state_dict())
                losses.append(trainer._one_step()["loss"])
                after = trainer.model.state_dict()
                lengths.append(sum(float((after[key] - before[key]).double().square().sum()) for key in before) ** 0.5)
            finally:
                trainer.close()
    return [
        Difference("loss", abs(losses[0] - losses[1]) / abs(losses[1]), 2e-2, "of it"),
        Difference("length of the step", abs(lengths[0] - lengths[1]) / lengths[1], 5e-2, "of it"),
    ]
