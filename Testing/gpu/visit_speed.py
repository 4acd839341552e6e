"""First visit: does it compute what the CPU does, how fast, and in how much memory.

python -m Testing.gpu.visit_speed [--device cuda] [--small] [--minutes 4] [--out speed.json]
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from DiffuseMorphCore import register_tensors
from DiffuseMorphCore.devices import choose_device, free_memory
from DiffuseMorphCore.evaluation.lower_bounds import (
    measure_rates,
    network_operations,
    refinement_volumes,
    timed,
    visited_volumes,
)
from DiffuseMorphCore.networks import load_model
from DiffuseMorphCore.registration.predict import pass_shapes
from DiffuseMorphCore.registration.presets import PRESETS
from DiffuseMorphCore.registration.refine import plan
from DiffuseMorphCore.samplers import Trajectory
from Testing.gpu.checks import CHECKS, made_pair
from Testing.gpu.visit import Visit

SHAPE, SMALL = (160, 192, 224), (24, 28, 32)


def compared(visit: Visit, name: str) -> dict[str, Any]:
    """One check of :mod:`Testing.gpu.checks`."""
    found = CHECKS[name](visit.device)
    wrong = [each for each in found if not each.holds]
    visit.row(f"check: {name}", "FAILED" if wrong else "holds", "; ".join(f"{w.what} {w.largest:.3g}" for w in wrong))
    return {"differences": [vars(each) | {"holds": each.holds} for each in found]}


def registration(visit: Visit, pair: list[torch.Tensor], rates: Any, refine: str | int) -> dict[str, Any]:
    """The whole registration of tensors on the device and each stage, with what it has to move or to compute."""
    shape, device = tuple(pair[0].shape[2:]), visit.device
    steps: list[float] = []

    def once() -> dict[str, float]:
        seconds: dict[str, float] = {}
        steps.clear()

        def told(stage: str, done: float) -> None:
            if stage == "refine":
                steps.append(done)

        start = time.perf_counter()
        register_tensors(*pair, device=str(device), modality="same", refine=refine, progress=told, seconds=seconds)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return seconds | {"all": time.perf_counter() - start}

    first = once()
    runs = [once() for _ in range(1 if device.type == "cpu" else 5)]
    best = min(runs, key=lambda run: run["all"])
    model = load_model("default", device, 3)
    operations = network_operations(model, pass_shapes(model, shape)[0], 5)
    bounds = {"predict": operations / rates.operations}
    if refine:
        visits = plan(shape, *PRESETS["default"].settings("auto", shape)).visits
        grids, counts = [visit.shape for visit in visits], [visit.steps for visit in visits]
        volumes = visited_volumes(steps[:-1], grids, counts, [refinement_volumes(3)] * len(grids))
        bounds["refine"] = 4 * volumes / rates.bytes
    title = "registration" if refine else "registration, network alone"
    visit.row(title, f"{best['all']:.3f} s", f"the first one {first['all']:.2f} s")
    for stage, bound in bounds.items():
        visit.row(f"  {stage}", f"{best[stage]:.3f} s", f"{best[stage] / bound:.1f} times its lower bound")
    return {"first": first, "runs": runs, "bounds": bounds, "shape": shape}


def exact_frame(visit: Visit, pair: list[torch.Tensor], rates: Any) -> dict[str, Any]:
    """M at an eta that is no keyframe."""
    model = load_model("default", visit.device, 3)
    shape = pass_shapes(model, tuple(pair[0].shape[2:]))[0]
    images = [2 * torch.rand((1, 1, *shape), device=visit.device) - 1 for _ in range(2)]
    trajectory = Trajectory(model, *images)
    trajectory.exact(0.5)
    seconds = timed(lambda: trajectory.exact(0.37), visit.device, 2 if visit.device.type == "cpu" else 20)
    bound = (network_operations(model, shape, 1) - network_operations(model, shape, 0)) / rates.operations
    visit.row("one exact frame", f"{1e3 * seconds:.1f} ms", f"{seconds / bound:.1f} times its lower bound")
    return {"seconds": seconds, "bound": bound, "grid": shape}


def readings(visit: Visit, pair: list[torch.Tensor]) -> dict[str, Any]:
    """How often the refinement waits for the device, by line of the program."""
    if visit.device.type != "cuda":
        return {"readings": "counted on CUDA only"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            register_tensors(*pair, device="cuda", modality="same", model=None)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    places = Counter(
        f"{Path(each.filename).name}:{each.lineno}" for each in caught if "synchroniz" in str(each.message)
    )
    visit.row("readings in a registration", str(sum(places.values())), str(places.most_common(3)))
    return {"readings": dict(places.most_common())}


def operations_of_a_step(visit: Visit, pair: list[torch.Tensor]) -> dict[str, Any]:
    """Where the time of the refinement goes, operation by operation."""
    from torch.profiler import ProfilerActivity, profile

    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (visit.device.type == "cuda")
    with profile(activities=kinds) as profiled:
        register_tensors(*pair, device=str(visit.device), modality="same", model=None, refine=3)
    order = "self_cuda_time_total" if visit.device.type == "cuda" else "self_cpu_time_total"
    return {"operations": profiled.key_averages().table(sort_by=order, row_limit=25).splitlines()}


def memory(visit: Visit, times: int, shape: tuple[int, ...]) -> dict[str, Any]:
    """Peak memory at so many times the voxels."""
    larger = (shape[0] * times, *shape[1:])
    pair = [image.to(visit.device) for image in made_pair(larger)[:2]]
    if visit.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    register_tensors(*pair, device=str(visit.device), modality="same")
    if visit.device.type == "cuda":
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    visit.row(f"peak memory, {'×'.join(map(str, larger))}", f"{peak / 2**30:.2f} GiB")
    return {"bytes": peak, "shape": larger}


def without_memory(visit: Visit, pair: list[torch.Tensor]) -> dict[str, Any]:
    """A card that is full but for 600 MiB: the registration says so and ends well all the same."""
    if visit.device.type != "cuda":
        return {"notes": "tried on CUDA only"}
    taken = torch.empty(max(free_memory(visit.device) - 600 * 2**20, 0), dtype=torch.uint8, device=visit.device)
    try:
        found = register_tensors(*(image.cpu() for image in pair), device="cuda", modality="same")
    finally:
        del taken
        torch.cuda.empty_cache()
    visit.row("with a full card", "ends well", "; ".join(found.notes)[:90])
    return {"notes": found.notes, "grid": found.path.grid.shape}


def main(arguments: list[str] | None = None) -> int:
    """Run the visit; see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="a seventh of a side: to try the script on a CPU")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--out", type=Path, default=Path("speed.json"))
    options = parser.parse_args(arguments)
    visit = Visit("speed", choose_device(options.device), options.minutes, options.out)
    shape = SMALL if options.small else SHAPE
    for name in CHECKS:
        visit.part(f"check: {name}", lambda name=name: compared(visit, name))
    rates = measure_rates(visit.device, megabytes=32 if options.small else 512, side=1024 if options.small else 4096)
    visit.row("copying", f"{rates.bytes / 1e9:.0f} GB/s", "read and written")
    visit.row("matrix products", f"{rates.operations / 1e12:.2f} TFLOP/s", "32 bits")
    visit.content["rates"] = vars(rates)
    pair = [image.to(visit.device) for image in made_pair(shape)[:2]]
    visit.part("registration", lambda: registration(visit, pair, rates, "auto"), 10)
    visit.part("network alone", lambda: registration(visit, pair, rates, 0), 5)
    visit.part("exact frame", lambda: exact_frame(visit, pair, rates), 5)
    visit.part("readings", lambda: readings(visit, pair), 5)
    visit.part("operations", lambda: operations_of_a_step(visit, pair), 10)
    for times in (1, 4) if options.small else (1, 2, 4):
        visit.part(f"memory, {times} times", lambda times=times: memory(visit, times, shape), 10)
    visit.part("full card", lambda: without_memory(visit, pair), 20)
    return visit.finish()


if __name__ == "__main__":
    sys.exit(main())
