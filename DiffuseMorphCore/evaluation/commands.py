"""What every command of the evaluation does: from its options to the text that is printed."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.options import RegistrationOptions


def benchmark(options: argparse.Namespace) -> str:
    """A benchmark: every method on every pair."""
    from DiffuseMorphCore.evaluation.benchmark import run_benchmark

    settings = RegistrationOptions(
        **{
            name: getattr(options, name)
            for name in ("model", "refine", "quality", "align", "modality", "device", "seed")
        }
    )
    table = run_benchmark(
        options.command,
        options.data,
        options.out,
        methods=options.methods,
        pairs=options.pairs,
        settings=settings,
        contrast=options.contrast,
        threads=options.threads,
        peers=dict(options.peer_python),
    )
    return table.read_text(encoding="utf-8")


def curve(options: argparse.Namespace) -> str:
    """Accuracy against time."""
    from DiffuseMorphCore.evaluation.curve import run_curve
    from DiffuseMorphCore.evaluation.methods import chosen_methods

    settings = RegistrationOptions(model=options.model, device=options.device)
    page = run_curve(
        options.benchmark,
        options.data,
        options.out,
        options.steps,
        pairs=options.pairs,
        methods=tuple(chosen_methods(options.methods)),
        settings=settings,
        threads=options.threads,
    )
    return page.read_text(encoding="utf-8")


def outlines(options: argparse.Namespace) -> str:
    """A picture of structures."""
    from DiffuseMorphCore.evaluation.methods import chosen_methods
    from DiffuseMorphCore.evaluation.outlines import run_outlines

    settings = RegistrationOptions(modality=options.modality, device=options.device)
    picture = run_outlines(
        options.benchmark,
        options.data,
        options.out,
        options.pair,
        options.labels,
        chosen_methods(options.methods),
        settings,
        options.threads,
    )
    return f"The picture is '{picture}'."


def versus(options: argparse.Namespace) -> str:
    """Several runs on one page."""
    from DiffuseMorphCore.evaluation.versus import run_versus

    return run_versus(options.runs, options.out, options.reference).read_text(encoding="utf-8")


def robustness(options: argparse.Namespace) -> str:
    """What each disturbance does to each method."""
    from DiffuseMorphCore.evaluation.robustness import run_robustness

    page = run_robustness(
        options.benchmark,
        options.data,
        options.out,
        methods=options.methods,
        pairs=options.pairs,
        spacing=options.spacing,
        threads=options.threads,
        settings=RegistrationOptions(model=options.model, device=options.device),
    )
    return page.read_text(encoding="utf-8")


def uncertainty(options: argparse.Namespace) -> str:
    """What the uncertainty is worth."""
    from DiffuseMorphCore.evaluation.uncertainty import run_uncertainty

    page = run_uncertainty(
        options.benchmark,
        options.data,
        options.out,
        pairs=options.pairs,
        spacing=options.spacing,
        settings=RegistrationOptions(model=options.model, device=options.device),
        threads=options.threads,
    )
    return page.read_text(encoding="utf-8")


def memory(options: argparse.Namespace) -> str:
    """Memory and time by the size of the images."""
    from DiffuseMorphCore.evaluation.memory import KINDS, run_memory
    from DiffuseMorphCore.options import QUALITIES

    page = run_memory(
        options.out,
        kinds=[KINDS[name] for name in _chosen(options.images, KINDS, "--images")],
        qualities=_chosen(options.quality, QUALITIES, "--quality"),
        model=options.model,
        device=options.device,
        threads=options.threads,
    )
    return page.read_text(encoding="utf-8")


def speed(options: argparse.Namespace) -> str:
    """Seconds of every stage."""
    from DiffuseMorphCore.evaluation.speed import run_speed

    page = run_speed(
        options.out,
        fixed=options.fixed,
        moving=options.moving,
        data=options.data,
        model=options.model,
        device=options.device,
        threads=options.threads,
        repeats=options.repeats,
        syn=options.syn,
    )
    return page.read_text(encoding="utf-8")


def ablation(options: argparse.Namespace) -> str:
    """What each term of the training adds."""
    from DiffuseMorphCore.evaluation.ablation import run_ablation

    if options.data is None:
        raise DiffuseMorphError("The folder of the training data is missing: give it with --data.")
    page = run_ablation(
        options.settings,
        options.data,
        options.out,
        grid=options.grid,
        spacing=options.spacing,
        steps=options.steps,
        pairs=options.pairs,
        seeds=options.seeds,
        device=options.device,
        threads=options.threads,
    )
    return page.read_text(encoding="utf-8")


def group(options: argparse.Namespace) -> str:
    """A template, and how labels meet in it."""
    from DiffuseMorphCore.evaluation.group import run_group

    page = run_group(
        options.data,
        options.out,
        quality=options.quality,
        rounds=options.rounds,
        people=options.people,
        threads=options.threads,
    )
    return page.read_text(encoding="utf-8")


def cohort(options: argparse.Namespace) -> str:
    """How cohorts scale."""
    from DiffuseMorphCore.evaluation.cohort import run_cohort

    page = run_cohort(
        options.out,
        pairs=options.pairs,
        tiny=options.tiny,
        workers=options.workers,
        each=options.each,
        seconds=options.seconds,
        rows=options.rows,
    )
    return page.read_text(encoding="utf-8")


def sequence(options: argparse.Namespace) -> str:
    """Heartbeats, as sequences and pair by pair."""
    from DiffuseMorphCore.evaluation.sequence import run_sequence

    page = run_sequence(
        options.out,
        dimension=options.dimension,
        people=options.people,
        frames=options.frames,
        quality=options.quality,
        threads=options.threads,
    )
    return page.read_text(encoding="utf-8")


def lesion(options: argparse.Namespace) -> str:
    """Lesions, ignored and not."""
    from DiffuseMorphCore.evaluation.lesion import run_lesion

    page = run_lesion(options.out, model=options.model, quality=options.quality, threads=options.threads)
    return page.read_text(encoding="utf-8")


def latents(options: argparse.Namespace) -> str:
    """The latents of bundled models."""
    from DiffuseMorphCore.devices import choose_device
    from DiffuseMorphCore.evaluation.released_latents import run_released_latents

    page = run_released_latents(
        options.data,
        options.out,
        pairs=options.pairs,
        models=tuple(part.strip() for part in options.models.split(",")),
        device=str(choose_device(options.device)),
    )
    return page.read_text(encoding="utf-8")


def paper(options: argparse.Namespace) -> str:
    """A table or figure of the paper."""
    from DiffuseMorphCore.evaluation.paper import continuous, figures, registrations, tables
    from DiffuseMorphCore.evaluation.paper.arrangement import ComparisonRequest
    from DiffuseMorphCore.evaluation.paper.latent import latent_page
    from DiffuseMorphCore.evaluation.paper.trajectory_page import trajectory_page

    places = {
        "latent": latent_page,
        "trajectory": trajectory_page,
        "fig5": registrations.fig5,
        "fig6": continuous.fig6,
        "fig9": registrations.fig9,
    }
    make = places.get(options.command) or getattr(
        tables if options.command.startswith("table") else figures, options.command
    )
    methods = None if options.methods is None else tuple(part.strip() for part in options.methods.split(","))
    page = make(
        ComparisonRequest(
            Path(options.out),
            options.data and Path(options.data),
            options.data_set,
            options.size,
            options.grid,
            options.steps,
            options.batch,
            options.rate,
            options.smoothness,
            options.seeds,
            options.cases,
            methods,
            options.device,
        )
    )
    return page.read_text(encoding="utf-8")


def prepare(options: argparse.Namespace) -> str:
    """A data set as a folder to train on."""
    from DiffuseMorphCore.evaluation.datasets import open_data_set
    from DiffuseMorphCore.evaluation.prepare import write_prepared

    lists = write_prepared(open_data_set(options.name, options.data), options.out, options.frames)
    return "\n".join(f"wrote {path}" for path in lists)


def _chosen(listed: str, known: Collection[str], option: str) -> list[str]:
    """Names separated by commas. Raises DiffuseMorphError for one that is not known."""
    names = listed.split(",")
    for name in names:
        if name not in known:
            raise DiffuseMorphError(f"{option} does not know '{name}': choose of {', '.join(known)}.")
    return names
