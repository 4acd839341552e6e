"""`diffusemorph train`: a model of one's own, from a file of settings."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from DiffuseMorphCore.command_line import arguments as grammar
from DiffuseMorphCore.command_line.console import ProgressBar, signals_noted
from DiffuseMorphCore.command_line.console_text import say
from DiffuseMorphCore.errors import OptionError

PACKED_SPACING = 1.5  # mm: synthetic images of heads are seen on voxels of 1.5 mm and more
CONFIGURATIONS = Path(__file__).resolve().parents[1] / "training" / "configurations"

DESCRIPTION = """\
Train a model with the settings in a TOML file. The run's folder gets checkpoints and logs while it works, and in the
end model.pt, which 'diffusemorph register --model' takes. A run that was stopped goes on where it was when the same
command is given again. Label maps can be packed into one small file first, which is read in seconds and can be taken
to a computer that has little more than PyTorch."""

EXAMPLES = """\
examples:
  diffusemorph train --example                       the names of the commented example files
  diffusemorph train --example own_images > my.toml  a copy of one of them to change
  diffusemorph train my.toml                         train, or go on
  diffusemorph train my.toml --max-minutes 60        train for an hour, and go on another time
  diffusemorph train --pack labels/ heads.npz        pack a folder of label maps into one file, ...
  diffusemorph train my.toml --data heads.npz        ... and train from it
  torchrun --nproc-per-node 4 -m DiffuseMorphCore train my.toml      on four GPUs"""


def add_verb(verbs) -> None:
    """Add this verb to the command."""
    parser = verbs.add_parser("train", help="train a model of your own", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("configuration", nargs="?", metavar="CONFIG.toml", help="the settings of the run")
    parser.add_argument(
        "--example",
        nargs="?",
        const="",
        metavar="NAME",
        help="only print a commented example of CONFIG.toml, or without NAME their list",
    )
    parser.add_argument(
        "--pack",
        nargs=2,
        metavar=("DIR", "FILE.npz"),
        help="only pack the label maps of a folder into one file, which 'data.folder' may name in place of the folder",
    )
    parser.add_argument(
        "--spacing",
        type=grammar.millimetres,
        metavar="MM",
        help=f"with --pack: voxels of the packed label maps, never finer than they are (default {PACKED_SPACING:g})",
    )
    parser.add_argument("-o", "--output", metavar="DIR", help="the run's folder, instead of the one in CONFIG.toml")
    parser.add_argument(
        "--data", metavar="DIR", help="the folder of images, or the packed file, instead of the one in CONFIG.toml"
    )
    parser.add_argument("--device", metavar="auto|cpu|cuda|mps", help="instead of the one in CONFIG.toml")
    parser.add_argument(
        "--resume",
        choices=("auto", "never"),
        default="auto",
        help="auto (default): go on with the run in the folder; never: refuse a folder that has one",
    )
    parser.add_argument("--max-minutes", type=grammar.minutes, metavar="M", help="stop, resumably, after M minutes")
    parser.add_argument("--max-steps", type=grammar.positive, metavar="N", help="stop, resumably, after N more steps")
    parser.set_defaults(run=run, stopped="Stopped; the same command goes on from the last checkpoint.")


def run(arguments: argparse.Namespace) -> None:
    """Train, make the model file, and say where it is."""
    if arguments.example is not None:
        _print_example(arguments.example)
        return
    if arguments.pack is not None:
        _pack(*arguments.pack, PACKED_SPACING if arguments.spacing is None else arguments.spacing)
        return
    if arguments.spacing is not None:
        raise OptionError("The option --spacing is for --pack.")
    if arguments.configuration is None:
        raise OptionError("A file of settings is missing.")
    from DiffuseMorphCore.training.checkpoint import export_model
    from DiffuseMorphCore.training.run import train
    from DiffuseMorphCore.training.settings import read_settings

    settings = read_settings(arguments.configuration)
    if arguments.output is not None:
        settings = replace(settings, output=replace(settings.output, folder=str(Path(arguments.output).absolute())))
    if arguments.device is not None:
        settings = replace(settings, device=arguments.device)
    # A stop is noted and obeyed after the step, so that the last checkpoint holds it.
    with ProgressBar() as bar, signals_noted() as stopped:
        result = train(
            settings,
            resume=arguments.resume,
            max_minutes=arguments.max_minutes,
            max_steps=arguments.max_steps,
            data=arguments.data,
            progress=lambda stage, fraction: bar(stage, fraction) or not stopped,
        )
    if int(os.environ.get("RANK", 0)) != 0:
        return
    say(f"{result.step} of {result.steps} steps are done in {result.folder}.")
    for name, value in result.validation.items():
        say(f"  {name.replace('_', ' ')}: {value:.4g}")
    model = export_model(result.folder, result.folder / "model.pt")
    say(f"Wrote {model}: try it with 'diffusemorph register FIXED MOVING --output DIR --model {model}'.")
    if settings.model.control == "beside":
        say(f"Wrote {export_model(result.folder, result.folder / 'control.pt', control=True)}, the VoxelMorph control.")
    if not result.finished:
        say("The same command goes on with the run.")


def _pack(folder: str, target: str, spacing: float) -> None:
    from DiffuseMorphCore.training.label_files import find_label_maps, pack_label_maps

    files = find_label_maps(folder)
    with ProgressBar() as bar:
        path = pack_label_maps(files, target, spacing, lambda fraction: bar("pack", fraction))
    say(
        f"Wrote {path}: {len(files)} label maps at about {spacing:g} mm, {path.stat().st_size / 1e6:.1f} MB. "
        f"Train from it with '--data {path}'."
    )


def _print_example(name: str) -> None:
    from DiffuseMorphCore.errors import DiffuseMorphError

    files = {path.stem: path for path in sorted(CONFIGURATIONS.glob("*.toml"))}
    if not name:
        for stem, path in files.items():
            print(f"{stem:<16} {path.read_text(encoding='utf-8').splitlines()[0].lstrip('# ')}")
    elif name in files:
        print(files[name].read_text(encoding="utf-8"), end="")
    else:
        raise DiffuseMorphError(f"There is no example '{name}': choose one of {', '.join(files)}.")
