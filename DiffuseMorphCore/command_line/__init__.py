"""The command `diffusemorph`: one file for each of its verbs."""

from __future__ import annotations

import os
import sys
import warnings
from argparse import SUPPRESS
from collections.abc import Sequence
from typing import Any

from DiffuseMorphCore import __version__
from DiffuseMorphCore.command_line import apply, cohort, demo, models, register, sequence, synthesize, template, train
from DiffuseMorphCore.command_line.arguments import Parser
from DiffuseMorphCore.command_line.console import library_messages_hidden, stopped_by_signals
from DiffuseMorphCore.command_line.console_text import any_characters, flush_stdout, occupy_standard_streams, say_fault
from DiffuseMorphCore.errors import Cancelled, DiffuseMorphError, OptionError, is_out_of_memory

# The verbs as the overview groups them.
VERBS = {
    "Register": (register, apply, cohort, sequence, template),
    "Models": (models, synthesize, train),
    "Look at an example": (demo,),
}

OVERVIEW = """\
Deform one image into another, and see it happen.

Start here:
  diffusemorph demo                                 two brains that come with it
  diffusemorph register FIXED MOVING --output DIR   your own two images
Then open report.html, in the folder that it names, in a browser.

{verbs}
All options of a verb, with examples: diffusemorph VERB --help"""

EPILOG = """\
documentation: https://github.com/DiffuseMorph/SlicerDiffuseMorph
exit codes: 0 done, 1 the job failed or was stopped, 2 the arguments make no sense
Set DIFFUSEMORPH_TRACEBACK=1 in the environment to see where in the program an error comes from."""

DONE, FAILED, MISUSED = 0, 1, 2


def build_parser() -> Parser:
    """The parser of the whole command. Nothing heavy is imported, so that help and refusals come at once."""
    return _grammar()[0]


def verb_parsers() -> dict[str, Parser]:
    """The parser of each verb."""
    return _grammar()[1].parsers


class _Verbs:
    """Takes verbs as argparse's own list does, and remembers them: that list cannot be grouped."""

    def __init__(self, to: Any):
        self.to = to
        self.parsers: dict[str, Parser] = {}
        self.lines: list[str] = []

    def add_parser(self, name: str, help: str, **settings: Any) -> Parser:
        self.parsers[name] = self.to.add_parser(name, help=help, **settings)
        self.lines.append(f"  {name:<12}{help}")
        return self.parsers[name]


def _grammar() -> tuple[Parser, _Verbs]:
    parser = Parser(prog="diffusemorph", usage="%(prog)s VERB ...", epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"DiffuseMorph {__version__}")
    verbs = _Verbs(parser.add_subparsers(dest="verb", metavar="VERB", prog="diffusemorph", help=SUPPRESS))
    for title, modules in VERBS.items():
        verbs.lines.append(f"{title}:")
        for module in modules:
            module.add_verb(verbs)
        verbs.lines.append("")
    parser.description = OVERVIEW.format(verbs="\n".join(verbs.lines))
    return parser, verbs


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the given arguments (those of the process by default).

    Returns the exit code: 0 when all went well, 1 when the job failed or was stopped, 2 when the arguments make no
    sense. Whatever goes wrong is told in one sentence on stderr; with DIFFUSEMORPH_TRACEBACK=1 in the environment the
    Python traceback of an error comes instead.
    """
    if argv is None:
        occupy_standard_streams()
    with any_characters():
        code = _run(argv)
        fault = flush_stdout()
        if fault is not None and code == DONE and not isinstance(fault, BrokenPipeError):
            return _fail("diffusemorph", f"The text could not be printed: {fault.strerror or fault}.", FAILED)
    return code


def _run(argv: Sequence[str] | None) -> int:
    traceback_wanted = os.environ.get("DIFFUSEMORPH_TRACEBACK", "") not in ("", "0")
    parser = build_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as exit_:
        return int(exit_.code or DONE)
    if arguments.verb is None:
        print(parser.description, file=sys.stderr)
        return MISUSED
    name = f"{parser.prog} {arguments.verb}"
    try:
        with stopped_by_signals(), warnings.catch_warnings(), library_messages_hidden(not traceback_wanted):
            if not traceback_wanted:
                warnings.simplefilter("ignore")
            arguments.run(arguments)
        return DONE
    except OptionError as error:
        return _fail(name, f"{error} See '{name} --help'.", MISUSED)
    except BrokenPipeError:  # whoever read the text has seen enough
        return DONE
    except (KeyboardInterrupt, Cancelled):
        return _fail(name, arguments.stopped, FAILED)
    except Exception as error:
        if traceback_wanted:
            raise
        return _fail(name, _sentence(error), FAILED)


def _fail(name: str, sentence: str, code: int) -> int:
    say_fault(f"{name}: {sentence}")
    return code


def _sentence(error: Exception) -> str:
    if isinstance(error, DiffuseMorphError):
        return str(error)
    if is_out_of_memory(error):
        return "There is not enough memory for this job: close other programs, or give smaller images."
    if isinstance(error, OSError):
        where = f" '{error.filename}'" if error.filename else ""
        return f"A file{where} could not be read or written: {error.strerror or error}."
    first = (str(error).splitlines() or [""])[0]
    return (
        f"This should not have happened ({type(error).__name__}: {first}): "
        "please report it with what DIFFUSEMORPH_TRACEBACK=1 shows."
    )
