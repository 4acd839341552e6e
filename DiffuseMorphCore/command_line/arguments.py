"""The command's grammar: the verbs, the kinds of values, and the options that several verbs share."""
from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from DiffuseMorphCore import __version__
from DiffuseMorphCore.errors import DiffuseMorphError

DESCRIPTION = """\
Deform one image into another, and see it happen.

DiffuseMorph registers a moving image to a fixed one: a diffusion model predicts the deformation, an optimisation on
the two images refines it, and every state between "untouched" (eta 0) and "registered" (eta 1) is there too."""

EXAMPLES = """\
examples:
  diffusemorph demo                                       register two real brains that come with the package
  diffusemorph register fixed.nii.gz moving.nii.gz -o out register your own pair
  diffusemorph register --help                            all options, with examples

exit codes: 0 done, 1 the job failed or was stopped, 2 the arguments make no sense
Set DIFFUSEMORPH_TRACEBACK=1 in the environment to see where in the program an error comes from."""


class UsageError(DiffuseMorphError):
    """The arguments contradict one another."""


class Parser(argparse.ArgumentParser):
    """An argument parser that refuses in one sentence, and takes no shortened option names (they would change meaning
    when options are added)."""

    def __init__(self, **settings) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Print the message as one sentence and leave with exit code 2."""
        print(f"{self.prog}: {message[0].upper()}{message[1:]}: see '{self.prog} --help'.", file=sys.stderr)
        raise SystemExit(2)


def build_parser() -> Parser:
    """The parser of the whole command. Nothing heavy is imported, so that help and refusals come at once."""
    from DiffuseMorphCore.command_line import demo, models, register, synthesize, train

    parser = Parser(prog="diffusemorph", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("--version", action="version", version=f"DiffuseMorph {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for module in (register, synthesize, train, models, demo):
        module.add_verb(verbs)
    return parser


def eta(text: str) -> float:
    """A number from 0 to 1."""
    value = _number(text, float, "a number")
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"'{text}' does not lie between 0 (untouched) and 1 (registered)")
    return value


def refinement(text: str) -> int | str:
    """"auto", or how many steps the refinement takes at most on the finest grid (0 turns it off)."""
    return text if text == "auto" else _count(text, 0)


def positive(text: str) -> int:
    """A whole number from 1."""
    return _count(text, 1)


def frames(text: str) -> int:
    """A whole number from 2: the first frame is at eta 0, the last at eta 1."""
    return _count(text, 2)


def thread_count(text: str) -> int | str:
    """"auto", or a whole number from 1."""
    return text if text == "auto" else _count(text, 1)


def not_negative(text: str) -> int:
    """A whole number from 0."""
    return _count(text, 0)


def minutes(text: str) -> float:
    """A positive number."""
    value = _number(text, float, "a number")
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return value


def _count(text: str, lowest: int) -> int:
    value = _number(text, int, "a whole number")
    if value < lowest:
        raise argparse.ArgumentTypeError(f"'{text}' is below {lowest}")
    return value


def _number(text: str, kind: type, name: str):
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not {name}") from None


def add_pair(parser: argparse.ArgumentParser) -> None:
    """The two images."""
    parser.add_argument("fixed", metavar="FIXED",
                        help="image that stays: NIfTI, NRRD, MetaImage, PNG, TIFF … or the folder of a DICOM series")
    parser.add_argument("moving", metavar="MOVING", help="the image that is deformed onto it")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Which model, where and with how many threads it runs, and the seed."""
    parser.add_argument("--model", default="default", metavar="NAME|FILE",
                        help="a model that comes with the package (see 'diffusemorph models') or a model file (.pt); "
                        "default: the bundled one for the images' dimension")
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda|mps",
                        help="where to compute; auto (default) takes a GPU where there is one")
    parser.add_argument("--threads", type=thread_count, default="auto", metavar="N|auto",
                        help="threads of the processor; auto (default) takes one for every core that other programs "
                        "leave free, or as many as OMP_NUM_THREADS says")
    parser.add_argument("--seed", type=not_negative, default=0, metavar="N",
                        help="the same seed, input and device give the same result (default 0)")


def add_alignment(parser: argparse.ArgumentParser) -> None:
    """The linear alignment."""
    parser.add_argument("--align", choices=("none", "center", "rigid", "affine"), default="affine",
                        help="linear alignment before the deformation (default affine)")


def add_resample_slices(parser: argparse.ArgumentParser) -> None:
    """What to do with DICOM slices that are no even, upright stack."""
    parser.add_argument("--resample-slices", action="store_true",
                        help="bring DICOM slices that are tilted (a CT's gantry) or unevenly spaced onto an even, upright "
                        "grid, in place of refusing them")


def add_overwrite(parser: argparse.ArgumentParser, what: str) -> None:
    """Whether an existing result may be replaced."""
    parser.add_argument("--overwrite", action="store_true",
                        help=f"replace {what} that exists, once the new one is complete")
