"""Training the networks of a comparison: the same pairs, steps and rates for all of them, in pieces of any length."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.machine import machine
from DiffuseMorphCore.evaluation.paper.baselines import NETWORKS, build_objective
from DiffuseMorphCore.evaluation.paper.preparation import TrainingPairs
from DiffuseMorphCore.networks.configuration import ModelConfiguration
from DiffuseMorphCore.seeds import generator
from DiffuseMorphCore.training.checkpoint import read_checkpoint, write_checkpoint
from DiffuseMorphCore.training.log import Table
from DiffuseMorphCore.training.objective import JointObjective, LossWeights, draw

CHECKPOINT_SECONDS = 60.0
OBJECTIVE_STREAM = 1 << 28


@dataclass(frozen=True)
class Budget:
    """What every network of a comparison gets: steps of `batch` pairs each, Adam's rate and betas."""

    steps: int
    learning_rate: float
    betas: tuple[float, float]
    batch: int = 1


def fit(
    network: str,
    configuration: ModelConfiguration,
    weights: LossWeights,
    budget: Budget,
    pairs: TrainingPairs,
    seed: int,
    device: torch.device,
    folder: Path,
    quiet: bool = False,
) -> nn.Module:
    """Train one network, or go on with it, or load it when it is finished; it comes back in evaluation mode.

    `folder` gets `network_seedN.pt` (a checkpoint, also of an unfinished training) and the log `network_seedN.csv`.
    Steps, noise and pairs depend on the seed and the step alone, so an interrupted training ends as an unbroken one.
    Raises DiffuseMorphError where the folder holds a training with other settings, or the loss is no longer finite.
    """
    torch.manual_seed(seed)
    objective = build_objective(network, configuration, weights).to(device)
    optimiser = torch.optim.Adam(objective.parameters(), lr=budget.learning_rate, betas=budget.betas)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{network}_seed{seed}.pt"
    settings = repr(
        (configuration.to_dict(), asdict(weights), asdict(budget), pairs.data.data_set.name, pairs.data.grid)
    )
    step, seconds = 0, 0.0
    if path.exists():
        kept = read_checkpoint(path)
        if kept["settings"] != settings:
            raise DiffuseMorphError(
                f"The training '{path}' was made with other settings: give another folder with --out."
            )
        objective.load_state_dict(kept["objective"])
        optimiser.load_state_dict(kept["optimiser"])
        step, seconds = kept["step"], kept["seconds"]
    log = Table(path.with_suffix(".csv"), step) if step < budget.steps else None
    schedule = objective.model.schedule if isinstance(objective, JointObjective) else None
    started = saved = time.monotonic()

    def save(now: float) -> None:
        write_checkpoint(
            path,
            {
                "settings": settings,
                "step": step,
                "seconds": seconds + now - started,
                "objective": objective.state_dict(),
                "optimiser": optimiser.state_dict(),
                "machine": machine(),
            },
        )

    sums: dict[str, list[float]] = {}
    every = max(1, budget.steps // 50)
    with tqdm(total=budget.steps, initial=step, desc=f"{network}, seed {seed}", unit="step", disable=quiet) as bar:
        while step < budget.steps:
            pair = pairs.batch(step, budget.batch, device, NETWORKS[network].frames)
            drawn = draw(
                pair, weights, len(schedule) if schedule is not None else 1, generator(seed, OBJECTIVE_STREAM + step)
            )
            terms = objective(pair, drawn)
            if not torch.isfinite(terms["loss"]):
                raise DiffuseMorphError(
                    f"The loss of {network} is no longer finite at step {step + 1}: give a smaller "
                    f"--rate and another folder with --out."
                )
            optimiser.zero_grad()
            terms["loss"].backward()
            optimiser.step()
            step += 1
            bar.update()
            for name, value in terms.items():
                sums.setdefault(name, []).append(float(value.detach()))
            now = time.monotonic()
            if step % every == 0 or step == budget.steps:
                log.add(
                    {
                        "step": step,
                        "seconds": seconds + now - started,
                        **{name: sum(found) / len(found) for name, found in sums.items()},
                    }
                )
                sums = {}
            if now - saved > CHECKPOINT_SECONDS or step == budget.steps:
                save(now)
                saved = now
    return objective.eval()


def training_seconds(network: str, seed: int, folder: Path) -> float:
    """How long a finished training took."""
    return float(read_checkpoint(folder / f"{network}_seed{seed}.pt")["seconds"])
