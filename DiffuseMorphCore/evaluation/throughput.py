"""What only a GPU is asked for: a registration in a second, a frame of the trajectory in milliseconds, training."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from DiffuseMorphCore.evaluation.lower_bounds import Rates, Row, measure_rates, network_operations, timed

TRAINING_SHAPE = (128, 128, 128)


def throughput_rows(
    device: torch.device,
    pair: tuple[Path, Path],
    model: str | None,
    rates: Rates,
    repeats: int,
    shape: tuple[int, ...] = TRAINING_SHAPE,
) -> tuple[list[Row], list[str]]:
    """Rows of the table of :func:`DiffuseMorphCore.evaluation.speed.run_speed` for a GPU, and sentences below it.

    A registration with and without refinement, images in memory; one exact frame, that is the deformation network and
    the exponential at an eta without keyframe; a training step of one synthetic pair of random shapes on a grid of
    `shape`, in bf16, with its share of the device's speed in matrix products. Elsewhere there is nothing but a note.
    """
    if device.type != "cuda":
        return [], ["Registration, exact frames and training on a GPU were not measured, because there is none."]
    return [
        *_registration_rows(device, pair, model, repeats),
        *_frame_rows(device, pair, model, rates, repeats),
        _training_row(device, shape, repeats),
    ], []


def _registration_rows(device: torch.device, pair: tuple[Path, Path], model: str | None, repeats: int) -> list[Row]:
    from DiffuseMorphCore.images import read_image
    from DiffuseMorphCore.networks import load_model
    from DiffuseMorphCore.registration import register

    images = [read_image(path) for path in pair]
    network = load_model(model, device, images[0].GetDimension()) if model else None

    def whole(refine: str | int) -> float:
        return timed(
            lambda: register(*images, model=network, device=str(device.type), refine=refine).warp(), device, repeats + 1
        )

    return [
        Row("images in memory to moved image", whole("auto"), None, "with refinement"),
        Row("images in memory to moved image", whole(0), None, "without refinement"),
    ]


def _frame_rows(
    device: torch.device, pair: tuple[Path, Path], model: str | None, rates: Rates, repeats: int
) -> list[Row]:
    from DiffuseMorphCore.images import read_image
    from DiffuseMorphCore.networks import load_model
    from DiffuseMorphCore.registration.predict import pass_shapes
    from DiffuseMorphCore.samplers import Trajectory

    if model is None:
        return []
    size = tuple(reversed(read_image(pair[0]).GetSize()))
    network = load_model(model, device, len(size))
    shape = pass_shapes(network, size)[0]
    images = [torch.rand((1, 1, *shape), device=device) * 2 - 1 for _ in range(2)]
    trajectory = Trajectory(network, *images)
    trajectory.exact(0.5)
    operations = network_operations(network, shape, 1) - network_operations(network, shape, 0)
    return [
        Row(
            "one exact frame",
            timed(lambda: trajectory.exact(0.37), device, 10 * repeats),
            operations / rates.operations,
            f"{operations / 1e9:.0f} GFLOP of the deformation network",
        )
    ]


def _training_row(device: torch.device, shape: tuple[int, ...], repeats: int) -> Row:
    from torch.utils.flop_counter import FlopCounterMode

    from DiffuseMorphCore.training.settings import Data, Output, TrainingRun, Validation
    from DiffuseMorphCore.training.trainer import Trainer

    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(
            data=Data(source="shapes"), output=Output(folder=folder), validation=Validation(pairs=0), device=device.type
        )
        trainer = Trainer(replace(run, geometry=replace(run.geometry, shape=shape)))
        try:
            trainer._one_step()
            with FlopCounterMode(display=False) as counter:
                trainer._one_step()
            operations = counter.get_total_flops()
            seconds = timed(trainer._one_step, device, 5 * repeats)
        finally:
            trainer.close()
    bound = operations / measure_rates(device, torch.bfloat16 if device.type == "cuda" else torch.float32).operations
    return Row(
        "one training step",
        seconds,
        bound,
        f"{operations / 1e9:.0f} GFLOP of one pair of {'×'.join(map(str, shape))} voxels; "
        f"{1 / seconds:.2f} steps/s, {100 * bound / seconds:.1f} % of the speed of matrix products in the same "
        "precision",
    )
