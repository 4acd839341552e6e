"""`python -m DiffuseMorphCore.evaluation COMMAND`: benchmarks, the paper's tables and figures, data preparation."""

from __future__ import annotations

import argparse
import sys

from DiffuseMorphCore.command_line.arguments import add_options
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation import commands as jobs
from DiffuseMorphCore.evaluation.datasets import DATA_SETS
from DiffuseMorphCore.evaluation.machine import set_threads
from DiffuseMorphCore.evaluation.peers.calling import PEERS

BENCHMARK_HELP = {
    "brain": "20 ordered pairs of the five validation brains, 138 structures",
    "hippocampus": "60 ordered pairs of the last 30 people, 2 structures",
    "heart": "2-D slices of the last 6 people, end-diastole to end-systole",
    "contrast": "T1 and FLAIR of different people, whole heads, Dice of 145 structures",
    "lung": "one pair of lung CT, landmarks in mm",
}

PAPER_HELP = {
    "table1": "2-D registration: RaFD, or cine heart slices.",
    "table2": "Cardiac registration and continuous deformation: ACDC, or the synthetic phantom with its true motion.",
    "table3": "Brain registration: OASIS-3, neurite-OASIS, or the labelled OASIS brains at half resolution.",
    "table4": "Brain registration with lambda 2, 5 and 10.",
    "fig5": "2-D pairs registered by every method, with their fields.",
    "fig6": "The trajectory of one 2-D pair by every method.",
    "fig7": "Synthetic images by reverse diffusion, 80 and 200 steps.",
    "fig8": "A heart registered and on its trajectory, beside the true frames.",
    "fig9": "A pair of brains registered by every method, with outlines and fields.",
    "fig10": "Dice by brain structure, as boxes.",
    "trajectory": "The trajectory of the synthetic phantom frame by frame: length and error of every method's field.",
    "latent": "What the latent of a trained model holds, by time step and along eta.",
}


def _add_common(parser: argparse.ArgumentParser, data: bool = True) -> None:
    if data:
        parser.add_argument("--data", metavar="FOLDER", help="folder of the data set, as its owner distributes it")
    parser.add_argument(
        "--out",
        metavar="DIR",
        required=True,
        help="folder for the results; a run that was stopped goes on from what is in it",
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of torch, ITK and ANTs (default: 2)")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"], help="default: auto")


def _add_benchmarks(commands) -> None:
    for name, text in BENCHMARK_HELP.items():
        parser = commands.add_parser(name, help=text, description=f"Benchmark: {text}.")
        _add_common(parser)
        parser.add_argument("--pairs", type=int, metavar="N", help="only N pairs, of many people")
        parser.add_argument(
            "--methods",
            help="comma-separated rows: initial, affine, network, voxelmorph, zero, network+refine, syn (default: "
            "these), syn-cc, fast, default, best (the presets of quality), and the programs of --peer-python",
        )
        parser.add_argument(
            "--peer-python",
            metavar="NAME=PATH",
            type=_named_place,
            action="append",
            default=[],
            help=f"the Python environment in which another program is installed; NAME is {', '.join(PEERS)}; may be "
            "given several times",
        )
        add_options(parser, "model", "refine", "quality", "align", "modality", "seed")
        parser.add_argument(
            "--contrast",
            default="same",
            choices=["same", "inverted"],
            help="inverted: every method gets the moving image with inverted, gamma-changed contrast",
        )
        parser.set_defaults(run=jobs.benchmark)


def _add_paper(commands) -> None:
    for name, text in PAPER_HELP.items():
        parser = commands.add_parser(
            name,
            help=text,
            description=text + " Trains what is not trained yet, evaluates, "
            "and writes a CSV of the cases, a Markdown page and a picture.",
        )
        _add_common(parser)
        parser.add_argument(
            "--data-set", metavar="NAME", help="default: the paper's where --data holds it, else the open one"
        )
        parser.add_argument(
            "--size",
            default="full",
            choices=["full", "small", "tiny"],
            help="full: the paper's networks and epochs; small: cut to what two cores train in about "
            "an hour; tiny: to try the command out (default: full)",
        )
        parser.add_argument("--grid", type=_sides, metavar="D,H,W", help="resize everything to this grid")
        parser.add_argument("--steps", type=int, help="training steps of every network")
        parser.add_argument("--batch", type=int, default=1, help="pairs a training step (default: 1)")
        parser.add_argument("--rate", type=float, help="Adam's learning rate")
        parser.add_argument(
            "--smoothness",
            type=float,
            help="weight of the field's smoothness beside the similarity (default: 1, the paper's)",
        )
        parser.add_argument("--seeds", type=_sides, default=(0,), metavar="N,N", help="seeds of training (default: 0)")
        parser.add_argument("--cases", type=int, metavar="N", help="judge at most N pairs, evenly spread")
        parser.add_argument("--methods", help="comma-separated rows (default: the table's)")
        parser.set_defaults(run=jobs.paper)


def _named_place(text: str) -> tuple[str, str]:
    name, sign, place = text.partition("=")
    if not sign or not place or name not in PEERS:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=PATH with NAME one of {', '.join(PEERS)}")
    return name, place


def _named_run(text: str) -> tuple[str, str]:
    name, sign, place = text.partition("=")
    if not sign or not place or name not in BENCHMARK_HELP:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not BENCHMARK=FILE with BENCHMARK one of {', '.join(BENCHMARK_HELP)}"
        )
    return name, place


def _sides(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    top = argparse.ArgumentParser(prog="python -m DiffuseMorphCore.evaluation", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_benchmarks(commands)
    _add_paper(commands)
    prepare = commands.add_parser("prepare", help="write the prepared images of a data set and lists of its pairs")
    prepare.add_argument("name", choices=sorted(DATA_SETS), help="which data set")
    _add_common(prepare)
    prepare.add_argument("--frames", action="store_true", help="write the images between the two ends of a motion too")
    prepare.set_defaults(run=jobs.prepare)
    curve = commands.add_parser("curve", help="accuracy against time, from zero and from the network")
    curve.add_argument("benchmark", choices=sorted(BENCHMARK_HELP), help="on which images")
    _add_common(curve)
    curve.add_argument("--steps", type=_sides, default=(0, 5, 10, 20, 40, 80), metavar="N,N", help="refinement steps")
    curve.add_argument("--pairs", type=int, metavar="N", help="only N pairs, of many people")
    curve.add_argument("--methods", default="zero,network+refine,syn", help="lines to draw (default: %(default)s)")
    curve.add_argument("--model", default="default", metavar="NAME|FILE")
    curve.set_defaults(run=jobs.curve)
    versus = commands.add_parser(
        "versus",
        help="one page and one picture of several runs: accuracy against time, every method beside one of them",
    )
    versus.add_argument(
        "runs",
        nargs="+",
        type=_named_run,
        metavar="BENCHMARK=CASES.csv",
        help="the cases.csv of a benchmark; several of one benchmark are put together",
    )
    versus.add_argument("--out", metavar="DIR", required=True, help="folder for versus.md and versus.png")
    versus.add_argument(
        "--reference", default="default", metavar="ROW", help="the row beside which the others stand (default: default)"
    )
    versus.set_defaults(run=jobs.versus, threads=1)
    outlines = commands.add_parser("outlines", help="a picture of the moved structures over the fixed ones of one pair")
    outlines.add_argument("benchmark", choices=sorted(BENCHMARK_HELP), help="on which images")
    _add_common(outlines)
    outlines.add_argument(
        "--pair",
        required=True,
        metavar="MOVING_to_FIXED",
        help="names of two scans, as cases.csv of the benchmark has them",
    )
    outlines.add_argument("--labels", type=_sides, default=(), metavar="N,N", help="structures to draw (default: all)")
    outlines.add_argument("--methods", default="affine,default", help="columns (default: %(default)s)")
    add_options(outlines, "modality")
    outlines.set_defaults(run=jobs.outlines)
    robustness = commands.add_parser("robustness", help="success rates under known disturbances of the moving image")
    robustness.add_argument("benchmark", choices=["brain", "hippocampus", "heart"], help="on which images")
    _add_common(robustness)
    robustness.add_argument("--pairs", type=int, default=5, metavar="N", help="number of pairs (default: 5)")
    robustness.add_argument(
        "--spacing",
        type=float,
        metavar="MM",
        help="images on voxels of so many mm, for a quicker run (default: as scanned)",
    )
    robustness.add_argument("--methods", default="network+refine,zero,syn", help="rows (default: %(default)s)")
    robustness.add_argument("--model", default="default", metavar="NAME|FILE")
    robustness.set_defaults(run=jobs.robustness)
    uncertainty = commands.add_parser("uncertainty", help="does the uncertainty agree with the errors of labels?")
    uncertainty.add_argument("benchmark", choices=["brain", "hippocampus"], help="on which images")
    _add_common(uncertainty)
    uncertainty.add_argument("--pairs", type=int, metavar="N", help="only N pairs, of many people")
    uncertainty.add_argument(
        "--spacing",
        type=float,
        metavar="MM",
        help="images on voxels of so many mm, for a quicker run (default: as scanned)",
    )
    uncertainty.add_argument("--model", default="default", metavar="NAME|FILE")
    uncertainty.set_defaults(run=jobs.uncertainty)
    speed = commands.add_parser("speed", help="seconds of every stage, and the least they could be")
    _add_common(speed)
    speed.add_argument("--fixed", metavar="FILE", help="an image of your own (default: the demo's, or from --data)")
    speed.add_argument("--moving", metavar="FILE", help="the image to register to it")
    speed.add_argument("--repeats", type=int, default=3, metavar="N", help="the fastest of N runs (default: 3)")
    speed.add_argument("--model", default="default", metavar="NAME|FILE")
    speed.add_argument("--syn", action="store_true", help="time a program that does the same with antspyx too")
    speed.set_defaults(run=jobs.speed)
    ablation = commands.add_parser("ablation", help="what each term of the training objective adds")
    _add_common(ablation)
    ablation.add_argument("settings", metavar="CONFIG.toml", help="settings of a training; its stages are left out")
    ablation.add_argument("--grid", type=_sides, metavar="D,H,W", help="of the pairs (default: as in the settings)")
    ablation.add_argument("--spacing", type=float, metavar="MM", help="of the pairs (default: as in the settings)")
    ablation.add_argument("--steps", type=int, default=500, metavar="N", help="of each training (default: 500)")
    ablation.add_argument("--pairs", type=int, default=20, metavar="N", help="validation pairs (default: 20)")
    ablation.add_argument("--seeds", type=_sides, default=(0,), metavar="N,N", help="seeds of training (default: 0)")
    ablation.set_defaults(run=jobs.ablation)
    group = commands.add_parser(
        "group", help="a template of the labelled brains: its sharpness, Dice of any two people"
    )
    _add_common(group)
    add_options(group, "quality")
    group.add_argument("--rounds", type=int, default=4, help="of the template (default: 4)")
    group.add_argument("--people", type=int, metavar="N", help="only N people")
    group.set_defaults(run=jobs.group)
    sequence = commands.add_parser(
        "sequence", help="made heartbeats with known motion, as sequences and pair by pair: error and time"
    )
    _add_common(sequence, data=False)
    add_options(sequence, "quality")
    sequence.add_argument("--dimension", type=int, choices=(2, 3), default=2, help="of the hearts (default: 2)")
    sequence.add_argument("--frames", type=int, default=16, metavar="N", help="of a beat (default: 16)")
    sequence.add_argument("--people", type=int, default=2, metavar="N", help="how many (default: 2)")
    sequence.set_defaults(run=jobs.sequence)
    lesion = commands.add_parser("lesion", help="lesions made in one of the demo's two brains, ignored and not")
    _add_common(lesion, data=False)
    add_options(lesion, "model", "quality")
    lesion.set_defaults(run=jobs.lesion)
    latents = commands.add_parser("latents", help="what the latents of the bundled 3-D models hold, on T1 and FLAIR")
    _add_common(latents)
    latents.add_argument("--pairs", type=int, metavar="N", help="only N pairs (default: every person is fixed once)")
    latents.add_argument("--models", default="default3d,canonical3d", help="comma-separated (default: %(default)s)")
    latents.set_defaults(run=jobs.latents)
    cohort = commands.add_parser(
        "cohort", help="how cohorts scale: real pairs, workers that only wait, tables of many rows"
    )
    _add_common(cohort, data=False)
    cohort.add_argument("--pairs", type=int, default=4, metavar="N", help="of the demo's brains (default: 4)")
    cohort.add_argument("--tiny", type=int, default=200, metavar="N", help="pairs of tiny pictures (default: 200)")
    cohort.add_argument(
        "--workers",
        type=_sides,
        default=(1, 10, 100, 1000),
        metavar="N,N",
        help="that only wait (default: 1,10,100,1000)",
    )
    cohort.add_argument("--each", type=int, default=5, metavar="N", help="pairs for each of these (default: 5)")
    cohort.add_argument("--seconds", type=float, default=10.0, metavar="S", help="that they wait (default: 10)")
    cohort.add_argument("--rows", type=int, default=100_000, metavar="N", help="of a long table (default: 100000)")
    cohort.set_defaults(run=jobs.cohort)
    memory = commands.add_parser("memory", help="time and peak memory by preset, of images as large as users have")
    _add_common(memory, data=False)
    memory.add_argument("--images", default="brain,head,ct,slide", metavar="KIND,KIND", help="default: %(default)s")
    memory.add_argument("--quality", default="fast,default,best", metavar="NAME,NAME", help="default: %(default)s")
    memory.add_argument("--model", default="default", metavar="NAME|FILE")
    memory.set_defaults(run=jobs.memory)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 for success, 1 for a failed job with one sentence on stderr, 2 for bad arguments."""
    options = parser().parse_args(arguments)
    if options.threads < 1:
        print("error: --threads has to be at least 1.", file=sys.stderr)
        return 2
    set_threads(options.threads)
    try:
        print(options.run(options))
    except DiffuseMorphError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
