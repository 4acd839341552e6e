"""`diffusemorph cohort`: the pairs of a table, by Dask."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from DiffuseMorphCore.command_line import arguments as grammar
from DiffuseMorphCore.command_line.console import ProgressBar
from DiffuseMorphCore.command_line.console_text import say
from DiffuseMorphCore.errors import DiffuseMorphError, OptionError
from DiffuseMorphCore.files import printable, system_reason

if TYPE_CHECKING:
    from DiffuseMorphCore.cohort.table import Pair

DESCRIPTION = """\
Register many pairs. TABLE is a CSV file: a line of column names, then a row for each pair.
  fixed, moving           the images; names of files are relative to the folder of TABLE
  name                    of the pair's folder (default: its number and both images)
  fixed_mask, moving_mask, fixed_labels, moving_labels, fixed_landmarks, moving_landmarks, fixed_ignore,
  moving_ignore, initial_transform
                          further files, as 'diffusemorph register' takes them
  fixed_2, moving_2 ...   further contrasts, which 'diffusemorph register' calls --also
  any other option of 'diffusemorph register', with _ for -: align, modality, eta, guide_labels (yes or no) ...
An empty cell is as if the option were not given.

DIR then holds a folder for each pair, as 'diffusemorph register' writes it, and
  index.html              all pairs in the browser: sort, filter, mark; the worst come first
  summary.csv             every figure of every report, and which pairs are unlike the others

Give the command again, and pairs that are complete with the same inputs and settings are kept: after an interruption,
or with more rows. A pair that fails is a row that says why, the others go on, and the exit code is 1. Needs Dask:
pip install distributed."""

EXAMPLES = """\
examples:
  on this computer, a process for every two cores:
    diffusemorph cohort pairs.csv --output results
  on a cluster that runs already (dask scheduler; OMP_NUM_THREADS=2 dask worker ADDRESS --nthreads 1):
    diffusemorph cohort pairs.csv --output results --scheduler tcp://node1:8786
  on workers that SLURM starts:
    diffusemorph cohort pairs.csv --output results --workers 50 --slurm "--partition=long --time=8:00:00"
  by SLURM without Dask:
    diffusemorph cohort pairs.csv --output results --print-slurm > job.sh"""


def add_verb(verbs) -> None:
    """Add this verb to the command."""
    from DiffuseMorphCore.cohort.table import declarations

    parser = verbs.add_parser(
        "cohort", help="register the many pairs of a table", description=DESCRIPTION, epilog=EXAMPLES
    )
    parser.add_argument("table", metavar="TABLE", help="the pairs (.csv)")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="the folder of all results")
    where = parser.add_argument_group("where")
    where.add_argument(
        "--workers",
        type=grammar.positive,
        metavar="N",
        help="pairs at a time (default: one for every two cores, as far as the memory reaches; of SLURM 10)",
    )
    one = where.add_mutually_exclusive_group()
    one.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that runs already")
    one.add_argument("--slurm", metavar="OPTIONS", help="start workers as SLURM jobs with these options of sbatch")
    one.add_argument(
        "--print-slurm", action="store_true", help="print a SLURM array script that needs no Dask, and end"
    )
    one.add_argument("--row", type=grammar.positive, metavar="N", help="register only this row, without Dask")
    one.add_argument(
        "--summary-only", action="store_true", help="register nothing; write index.html and summary.csv anew"
    )
    where.add_argument(
        "--gpu",
        action="store_true",
        help="only workers that name the resource GPU take pairs (dask worker --resources GPU=1)",
    )
    method = parser.add_argument_group("for all pairs; what a column of TABLE says goes first")
    for each in declarations().values():
        if each.action.metavar != "FILE":
            method.add_argument(*each.flags, **each.settings)
    parser.set_defaults(run=run, stopped="Stopped: what is complete is kept when the command is given again.")


def run(arguments: argparse.Namespace) -> None:
    """Register what is not there yet, and write the summary and the page."""
    from DiffuseMorphCore.cohort.table import check_rows, read_table

    _check(arguments)
    given = _given(arguments)
    pairs = read_table(arguments.table, given)
    if arguments.row is not None and arguments.row > len(pairs):
        raise OptionError(f"The table has {len(pairs)} rows, there is no row {arguments.row}.")
    # Of the thousands of tasks of an array each looks at its own row.
    check_rows(pairs if arguments.row is None else [pairs[arguments.row - 1]], arguments.table)
    if arguments.print_slurm:
        _print_script(arguments, given, pairs)
        return
    folder = _folder(arguments.output)
    if arguments.row is not None:
        _register_one(pairs[arguments.row - 1], folder)
        return
    from DiffuseMorphCore.command_line.result_folder import locked_folder

    with locked_folder(folder, printable(arguments.output)):
        _check_own(folder)
        rows = _found(pairs, folder) if arguments.summary_only else _register(arguments, pairs, folder)
    _tell(rows, arguments.output)


def _check(arguments: argparse.Namespace) -> None:
    elsewhere = {"--scheduler": arguments.scheduler is not None, "--row": arguments.row is not None}
    elsewhere |= {"--print-slurm": arguments.print_slurm, "--summary-only": arguments.summary_only}
    for option, is_given in elsewhere.items():
        if is_given and arguments.workers is not None:
            raise OptionError(f"The option --workers says how many are started; with {option} none are: leave it out.")


def _given(arguments: argparse.Namespace) -> list[str]:
    """The options of a registration that were given for all pairs, as arguments of `diffusemorph register`."""
    from DiffuseMorphCore.cohort.table import is_file, is_switch, options

    given = []
    for action in options().values():
        value = getattr(arguments, action.dest, action.default)
        if value == action.default:
            continue
        flag = action.option_strings[-1]
        if is_switch(action):
            given.append(flag)
        elif action.nargs:
            given += [flag, *map(str, value)]
        else:
            given.append(f"{flag}={Path(value).absolute() if is_file(action, str(value)) else value}")
    return given


def _print_script(arguments: argparse.Namespace, given: list[str], pairs: list[Pair]) -> None:
    from DiffuseMorphCore.cohort.array_script import array_script
    from DiffuseMorphCore.cohort.room import memory_of

    command = [str(Path(arguments.table).absolute()), "--output", str(Path(arguments.output).absolute()), *given]
    print(array_script(command, len(pairs), memory_of(pairs)), end="")


def _folder(output: str) -> Path:
    folder = Path(output).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiffuseMorphError(
            f"The output folder '{printable(output)}' cannot be made ({system_reason(error)}): name one where you may "
            "write."
        ) from error
    return folder


def _check_own(folder: Path) -> None:
    """Raises DiffuseMorphError where a file that no cohort wrote has the name of one that this would write."""
    from DiffuseMorphCore.cohort.index import TITLE
    from DiffuseMorphCore.cohort.summary import FIRST

    for name, mark in (("summary.csv", ",".join(FIRST)), ("index.html", TITLE)):
        file = folder / name
        if file.exists() and mark not in file.read_text(encoding="utf-8", errors="replace")[:2000]:
            raise DiffuseMorphError(
                f"The file '{printable(file)}' is not of a cohort, and would be replaced: name another output folder."
            )


def _register_one(pair: Pair, folder: Path) -> None:
    from DiffuseMorphCore.cohort.pair import FAILED, register_pair

    outcome = register_pair(pair, str(folder))
    if outcome.state == FAILED:
        raise DiffuseMorphError(f"The pair '{pair.name}' failed: {outcome.reason}")
    say(f"The pair '{pair.name}' is {outcome.state}.")


def _register(arguments: argparse.Namespace, pairs: list[Pair], folder: Path) -> list[dict[str, Any]]:
    """Register the pairs, and write the summary also where that is interrupted; its rows."""
    from DiffuseMorphCore.cohort.clusters import Place
    from DiffuseMorphCore.cohort.engine import run_pairs
    from DiffuseMorphCore.cohort.pair import NOT_YET, Outcome
    from DiffuseMorphCore.cohort.room import memory_of
    from DiffuseMorphCore.cohort.summary import row_of

    place = Place(arguments.workers, arguments.scheduler, arguments.slurm, arguments.gpu, memory_of(pairs))
    done: dict[int, dict[str, Any]] = {}
    with ProgressBar() as progress:

        def keep(outcome: Outcome) -> None:
            done[outcome.row] = row_of(outcome)
            progress("pairs", len(done) / len(pairs))

        progress("pairs", 0.0)
        try:
            run_pairs(pairs, str(folder), place, keep)
        finally:
            rows = [done.get(pair.row) or row_of(Outcome(pair.name, pair.row, NOT_YET)) for pair in pairs]
            rows = _write(rows, folder) if done else rows
    return rows


def _found(pairs: list[Pair], folder: Path) -> list[dict[str, Any]]:
    """Write the summary of what is there; its rows."""
    from DiffuseMorphCore.cohort.pair import FAILED, KEPT, Outcome, complete_report
    from DiffuseMorphCore.cohort.summary import row_of

    rows = []
    for pair in pairs:
        report = complete_report(folder / pair.name)
        if report is None:
            outcome = Outcome(pair.name, pair.row, FAILED, "There is no complete result of this pair.")
        else:
            outcome = Outcome(pair.name, pair.row, KEPT, report=report)
        rows.append(row_of(outcome))
    return _write(rows, folder)


def _write(rows: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    from DiffuseMorphCore.cohort.index import write_index
    from DiffuseMorphCore.cohort.summary import ranked, write_summary

    rows = ranked(rows)
    write_summary(rows, folder / "summary.csv")
    write_index(rows, folder)
    return rows


def _tell(rows: list[dict[str, Any]], output: str) -> None:
    """Say what became of the pairs. Raises DiffuseMorphError where some failed."""
    from DiffuseMorphCore.cohort.pair import DONE, FAILED, KEPT

    done, kept, failed = (sum(row["state"] == state for row in rows) for state in (DONE, KEPT, FAILED))
    say(f"{len(rows)} pairs: {done} registered, {kept} kept as they were, {failed} failed.")
    for row in [row for row in rows if row["state"] == FAILED][:5]:
        say(f"Failed: {row['name']}: {row['reason']}")
    outliers = [row for row in rows if row["outlier_in"]]
    if outliers:
        named = ", ".join(row["name"] for row in outliers[:5])
        say(f"Unlike the others: {len(outliers)} pairs, first of all {named}.")
    say(f"Open {printable(Path(output) / 'index.html')} to see them.")
    if failed:
        raise DiffuseMorphError(f"{failed} of {len(rows)} pairs failed: summary.csv says why.")
