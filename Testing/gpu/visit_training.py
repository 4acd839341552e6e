"""Second visit: as much training as the time allows, of the model for any contrast.

    python -m Testing.gpu.visit_training --labels heads.npz [--start canonical3d] [--minutes 9] [--out training]

The label maps were packed before by `diffusemorph train --pack FOLDER heads.npz`. Throughput is measured first, then so
many steps are planned as fit, so that the learning rate ends where it should. The folder gets `training.json` and
`model.pt`, which `diffusemorph register --model` takes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import torch

from DiffuseMorphCore.devices import choose_device
from DiffuseMorphCore.evaluation.lower_bounds import measure_rates
from DiffuseMorphCore.training import export_model, settings_from
from DiffuseMorphCore.training.settings import TrainingRun
from DiffuseMorphCore.training.trainer import Trainer
from Testing.gpu.visit import Visit

RECIPE = Path(__file__).resolve().parents[2] / "DiffuseMorphCore/training/configurations/canonical3d.toml"
SHAPE, SMALL = 96, 32
SPARE = 40.0  # seconds kept for the validation, the export, and what nobody thought of


def run_of(options: argparse.Namespace, folder: Path, steps: int) -> TrainingRun:
    """The recipe of the released model with this visit's data, grid and number of steps."""
    values: dict[str, Any] = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    side = SMALL if options.small else SHAPE
    values["model"]["start"] = options.start
    values["data"]["folder"] = str(options.labels)
    values["geometry"] |= {"shape": [side] * 3, "spacing": 1.9 * 96 / side if options.small else 1.9}
    values["optimisation"] |= {"steps": steps, "batch": options.batch, "seed": options.seed}
    values["validation"] |= {"every": max(steps // 4, 1), "pairs": 2 if options.small else 6}
    values["output"] |= {"folder": str(folder), "checkpoint_minutes": 1.0, "log_every": max(steps // 50, 1)}
    values["device"] = options.device
    return settings_from(values, RECIPE.name)


def throughput(visit: Visit, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Pairs a second of the recipe, and the share of the speed of 16-bit matrix products that its sums reach."""
    from torch.utils.flop_counter import FlopCounterMode

    folder = options.out / "throughput"
    trainer = Trainer(run_of(options, folder, 1_000_000))
    try:
        for _ in range(2):
            trainer._one_step()
            trainer.step += 1
        with FlopCounterMode(display=False) as counter:
            trainer._one_step()
        begin, count = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            trainer.step += 1
            trainer._one_step()
            count += 1
        if visit.device.type == "cuda":
            torch.cuda.synchronize()
        rate = count / (time.perf_counter() - begin)
        draw = _seconds_of_a_pair(trainer)
    finally:
        trainer.close()
        shutil.rmtree(folder, ignore_errors=True)
    precision = torch.bfloat16 if visit.device.type == "cuda" else torch.float32
    peak = measure_rates(visit.device, precision, side=1024 if options.small else 8192).operations
    share = counter.get_total_flops() * rate / peak
    visit.row("training", f"{rate * options.batch:.1f} pairs/s", f"{100 * share:.0f} % of the speed of matrix products")
    visit.row("making a pair", f"{1e3 * draw:.1f} ms", "of the device's and the CPU's time, were it alone")
    return {
        "steps_per_second": rate,
        "pairs_per_second": rate * options.batch,
        "operations_of_a_step": counter.get_total_flops(),
        "share_of_matrix_products": share,
        "seconds_of_a_pair": draw,
    }


def _seconds_of_a_pair(trainer: Trainer) -> float:
    begin = time.perf_counter()
    for number in range(3):
        trainer._pair(trainer.step, 10_000 + number)
    if trainer.device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - begin) / (3 * trainer.batch)


def training(visit: Visit, options: argparse.Namespace, rate: float) -> dict[str, Any]:
    """The run itself, and its model."""
    minutes = (visit.left - SPARE) / 60
    steps = max(int(0.95 * rate * 60 * minutes), 4)
    if options.small:
        steps = min(steps, 6)
    folder = options.out / "run"
    trainer = Trainer(run_of(options, folder, steps))
    try:
        result = trainer.train(minutes, None, lambda *_: None)
    finally:
        trainer.close()
    model = options.out / "model.pt"
    export_model(folder / ("best.pt" if (folder / "best.pt").is_file() else "last.pt"), model)
    figures = {name: round(value, 4) for name, value in result.validation.items()}
    visit.row("steps", f"{result.step} of {result.steps}")
    for name in ("similarity", "dice_before", "dice", "canonical_error", "folding"):
        if name in figures:
            visit.row(f"validation: {name}", f"{figures[name]:.4f}")
    visit.row("model", f"{model.stat().st_size / 2**20:.1f} MiB", str(model))
    return {"steps": result.step, "planned": result.steps, "validation": figures, "model": str(model)}


def main(arguments: list[str] | None = None) -> int:
    """Run the visit; see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--labels", type=Path, required=True, help="the packed file, or the folder, of label maps")
    parser.add_argument("--start", default="canonical3d", help="the model to go on from; '' for random weights")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="a third of a side and six steps: to try it on a CPU")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--out", type=Path, default=Path("training"))
    options = parser.parse_args(arguments)
    visit = Visit("training", choose_device(options.device), options.minutes, options.out / "training.json")
    measured = visit.part("throughput", lambda: throughput(visit, options, 2 if options.small else 15))
    if measured is not None:
        visit.part("training", lambda: training(visit, options, measured["steps_per_second"]), SPARE)
    return visit.finish()


if __name__ == "__main__":
    sys.exit(main())
