"""The command's grammar: the kinds of values, and the options that several verbs share."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NamedTuple, NoReturn

from DiffuseMorphCore.options import Option, declared, default_of

_MOST_FRAMES = 1000  # more would fill the disk, and their etas look the same in the frames' names


class Parser(argparse.ArgumentParser):
    """An argument parser that refuses in one sentence, and takes no shortened option names (they would change meaning
    when options are added).
    """

    def __init__(self, **settings) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Print the message as one sentence and leave with exit code 2."""
        print(f"{self.prog}: {message[0].upper()}{message[1:]}: see '{self.prog} --help'.", file=sys.stderr)
        raise SystemExit(2)


class Declared(NamedTuple):
    """An argument as `add_argument` was told of it, and what came of that."""

    flags: tuple[str, ...]
    settings: dict[str, Any]
    action: argparse.Action


class Listed:
    """A parser, or a group of its arguments, that remembers what is added to it.

    to : the parser or group. declared : its arguments, those of its groups among them.
    """

    def __init__(self, to: Any, declared: list[Declared] | None = None):
        self.to = to
        self.declared: list[Declared] = [] if declared is None else declared

    def add_argument(self, *flags: str, **settings: Any) -> argparse.Action:
        """As a parser has it."""
        action = self.to.add_argument(*flags, **settings)
        self.declared.append(Declared(flags, settings, action))
        return action

    def add_argument_group(self, title: str) -> Listed:
        """As a parser has it."""
        return Listed(self.to.add_argument_group(title), self.declared)

    def set_defaults(self, **defaults: Any) -> None:
        """As a parser has it."""
        self.to.set_defaults(**defaults)


def eta(text: str) -> float:
    """A number from 0 to 1."""
    value = number(text, float, "a number")
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"'{text}' does not lie between 0 (untouched) and 1 (registered)")
    return value


def positive(text: str) -> int:
    """A whole number from 1."""
    return _count(text, 1)


def frames(text: str) -> int:
    """A whole number from 2 to 1000: the first frame is at eta 0, the last at eta 1."""
    value = _count(text, 2)
    if value > _MOST_FRAMES:
        raise argparse.ArgumentTypeError(f"'{text}' is above {_MOST_FRAMES}")
    return value


def frame_number(text: str) -> int:
    """A whole number from 0."""
    return _count(text, 0)


def minutes(text: str) -> float:
    """A positive number."""
    value = number(text, float, "a number")
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return value


def millimetres(text: str) -> float:
    """A length from 0.1 to 100."""
    value = number(text, float, "a number")
    if not 0.1 <= value <= 100.0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a length from 0.1 to 100")
    return value


def _count(text: str, lowest: int) -> int:
    value = number(text, int, "a whole number")
    if value < lowest:
        raise argparse.ArgumentTypeError(f"'{text}' is below {lowest}")
    return value


def number(text: str, kind: type, name: str):
    """The number of a kind that a text means; ``name`` is what the refusal of another text calls it."""
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not {name}") from None


def add_pair(parser: argparse.ArgumentParser) -> None:
    """The two images."""
    parser.add_argument(
        "fixed",
        metavar="FIXED",
        help="image that stays: NIfTI, NRRD, MetaImage, PNG, TIFF … or the folder of a DICOM series",
    )
    parser.add_argument("moving", metavar="MOVING", help="the image that is deformed onto it")


def add_options(parser: argparse.ArgumentParser, *names: str, job: type | None = None) -> None:
    """Options of a registration, or of another job, as :mod:`DiffuseMorphCore.options` declares them."""
    for name in names:
        option, default = declared(job)[name], default_of(name, job)
        flag = f"--{name.replace('_', '-')}"
        if isinstance(default, bool):
            parser.add_argument(flag, action="store_true", help=option.help)
            continue
        if option.numbers:
            names = tuple(option.value.split())
            parser.add_argument(
                flag,
                type=lambda text: number(text, float, "a number"),
                default=default,
                help=option.help + ("" if default is None else f" (default {default:g})"),
                **({"nargs": len(names), "metavar": names} if len(names) > 1 else {"metavar": names[0]}),
            )
            continue
        kind = {"choices": option.choices} if option.choices else {"type": _parser_of(option), "metavar": option.value}
        parser.add_argument(flag, default=default, help=f"{option.help} (default {default})", **kind)


def _parser_of(option: Option):
    def parse(text: str) -> str | int:
        try:
            return option.parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def add_resample_slices(parser: argparse.ArgumentParser) -> None:
    """What to do with DICOM slices that are no even, upright stack."""
    parser.add_argument(
        "--resample-slices",
        action="store_true",
        help="bring DICOM slices that are tilted (a CT's gantry) or unevenly spaced onto an even, upright "
        "grid, in place of refusing them",
    )


def add_overwrite(parser: argparse.ArgumentParser, what: str) -> None:
    """Whether an existing result may be replaced."""
    parser.add_argument(
        "--overwrite", action="store_true", help=f"replace {what} that exists, once the new one is complete"
    )


def add_format(parser: argparse.ArgumentParser, default: str | None) -> None:
    """The programs that transforms are written for."""
    what = (
        "the program that the transforms are for" if default else "write the transforms, too, or alone, for a program"
    )
    parser.add_argument(
        "--format",
        choices=("itk", "ants", "fsl", "freesurfer"),
        default=default,
        help=f"{what}: itk (3D Slicer, SimpleITK), ants (an affine and warps as images), fsl (warps for applywarp), "
        "freesurfer (a .lta and warps as .mgz)" + (f" (default {default})" if default else ""),
    )
