"""`diffusemorph demo`: the whole job on two real brains that come with the package."""

from __future__ import annotations

import argparse
from pathlib import Path

from DiffuseMorphCore.command_line import arguments as grammar
from DiffuseMorphCore.command_line import register
from DiffuseMorphCore.command_line.console_text import say
from DiffuseMorphCore.sample_pair import sample_pair

DEFAULT_OUTPUT = "diffusemorph-demo"

DESCRIPTION = f"""\
Register two real brains that come with the package, the one of "Colin 27" to the ICBM 152 average brain, and write the
result into a folder (default: {DEFAULT_OUTPUT}). Open report.html in a browser, and trajectory.gif."""


def add_verb(verbs) -> None:
    """Add this verb to the command."""
    parser = verbs.add_parser(
        "demo", help="register two real brains that come with the package", description=DESCRIPTION
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        help=f"the folder to write (default {DEFAULT_OUTPUT}; a former demo there is replaced)",
    )
    grammar.add_overwrite(parser, "a result")
    grammar.add_options(parser, "model", "device", "threads", "seed")
    parser.add_argument(
        "--frames", type=grammar.frames, default=8, metavar="N", help="number of steps in the animation (default 8)"
    )
    parser.set_defaults(run=run, stopped="Stopped: nothing was written.")


def run(arguments: argparse.Namespace) -> None:
    """Do what `diffusemorph register` does, and show the command for it."""
    fixed, moving = sample_pair()
    output = arguments.output or DEFAULT_OUTPUT
    command = [
        str(fixed),
        str(moving),
        "--output",
        output,
        "--frames",
        str(arguments.frames),
        "--model",
        arguments.model,
        "--device",
        arguments.device,
        "--seed",
        str(arguments.seed),
        "--threads",
        str(arguments.threads),
    ]
    if arguments.overwrite or arguments.output is None:
        command.append("--overwrite")
    say("Registering the Colin 27 brain to the ICBM 152 average brain, both at 2 mm. The same by hand:")
    say(f"  diffusemorph register {_short(fixed)} {_short(moving)} --output {output} --frames {arguments.frames}")
    parser = grammar.Parser()
    register.add_arguments(parser)
    register.run(parser.parse_args(command))
    say(f"Open {Path(output) / 'trajectory.gif'} to see it unfold.")


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
