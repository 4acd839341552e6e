"""The command `diffusemorph`: one file for each of its verbs."""
from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

from DiffuseMorphCore.command_line.arguments import UsageError, build_parser
from DiffuseMorphCore.command_line.console import library_messages_hidden, stopped_by_signals
from DiffuseMorphCore.errors import Cancelled, DiffuseMorphError, is_out_of_memory

DONE, FAILED, MISUSED = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the given arguments (those of the process by default).

    Returns the exit code: 0 when all went well, 1 when the job failed or was stopped, 2 when the arguments make no
    sense. Whatever goes wrong is told in one sentence on stderr; with DIFFUSEMORPH_TRACEBACK=1 in the environment the
    Python traceback of an error comes instead.
    """
    traceback_wanted = os.environ.get("DIFFUSEMORPH_TRACEBACK", "") not in ("", "0")
    parser = build_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as exit_:
        return int(exit_.code or DONE)
    if arguments.verb is None:
        parser.print_help(sys.stderr)
        return MISUSED
    name = f"{parser.prog} {arguments.verb}"
    try:
        with stopped_by_signals(), warnings.catch_warnings(), library_messages_hidden(not traceback_wanted):
            if not traceback_wanted:
                warnings.simplefilter("ignore")
            arguments.run(arguments)
        return DONE
    except UsageError as error:
        return _fail(name, f"{error} See '{name} --help'.", MISUSED)
    except (KeyboardInterrupt, Cancelled):
        return _fail(name, arguments.stopped, FAILED)
    except Exception as error:
        if traceback_wanted:
            raise
        return _fail(name, _sentence(error), FAILED)


def _fail(name: str, sentence: str, code: int) -> int:
    print(f"{name}: {sentence}", file=sys.stderr)
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
    return (f"This should not have happened ({type(error).__name__}: {first}): "
            "please report it with what DIFFUSEMORPH_TRACEBACK=1 shows.")
