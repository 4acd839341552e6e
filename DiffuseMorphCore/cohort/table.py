"""The table of a cohort: a row a pair, a column an argument of `diffusemorph register`."""

from __future__ import annotations

import argparse
import csv
import difflib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

from DiffuseMorphCore.command_line import register
from DiffuseMorphCore.command_line.arguments import Declared, Listed, Parser
from DiffuseMorphCore.errors import DiffuseMorphError, OptionError
from DiffuseMorphCore.files import printable, system_reason

IMAGES = ("fixed", "moving")
"""Columns that must be there."""
FURTHER = tuple((f"fixed_{number}", f"moving_{number}") for number in range(2, 10))
"""Columns of further contrasts, which `diffusemorph register` calls --also; named as in a report's files."""
OF_THE_COHORT = ("index.html", "summary.csv")
"""Files beside the folders of the pairs."""
_NOT_OF_A_ROW = ("output", "overwrite", "also")
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")


@dataclass(frozen=True)
class Pair:
    """One row. name : of its folder. row : its number in the table, from 1. arguments : of `diffusemorph register`,
    without the output.
    """

    name: str
    row: int
    arguments: tuple[str, ...]


def options() -> dict[str, argparse.Action]:
    """Options of `diffusemorph register` that a pair may have, by the names of their columns."""
    return {name: declared.action for name, declared in declarations().items()}


@cache
def declarations() -> dict[str, Declared]:
    """How these options are declared, by the names of their columns."""
    return {
        each.flags[-1].lstrip("-").replace("-", "_"): each
        for each in _grammar()[1]
        if each.flags[-1].startswith("-") and each.action.dest not in _NOT_OF_A_ROW
    }


def is_switch(action: argparse.Action) -> bool:
    """Whether an option takes no value."""
    return action.nargs == 0


def is_file(action: argparse.Action, value: str) -> bool:
    """Whether a value of an option is the name of a file."""
    return action.metavar == "FILE" or (action.metavar == "NAME|FILE" and value.endswith(".pt"))


def columns() -> tuple[str, ...]:
    """Every column that a table may have."""
    return ("name", *IMAGES, *(name for pair in FURTHER for name in pair), *options())


def read_table(path: str | Path, given: Sequence[str] = ()) -> list[Pair]:
    """The pairs of a table (.csv, with a line of column names); names of files are relative to its folder.

    Parameters
    ----------
    path : the table. given : options of `diffusemorph register` for all rows; what a column says comes after them.

    Raises
    ------
    DiffuseMorphError : a table that cannot be read or has no rows, an unknown or missing column, an empty cell where a
        file must stand, a name that is there twice; the row is named.
    """
    path, shown = Path(path), printable(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
        reader.fieldnames = names = [name.strip() for name in reader.fieldnames or ()]
        rows = [row for row in reader if any(isinstance(cell, list) or (cell or "").strip() for cell in row.values())]
    except OSError as error:
        raise DiffuseMorphError(f"The table '{shown}' cannot be read: {system_reason(error)}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DiffuseMorphError(f"The table '{shown}' is no table in UTF-8: save it as CSV (UTF-8).") from error
    if not rows:
        raise DiffuseMorphError(f"The table '{shown}' has no rows: give it a line of column names and a row a pair.")
    for number, name in enumerate(names):
        if not name:
            raise DiffuseMorphError(f"The column {number + 1} of the table '{shown}' has no name: give it one.")
        if name in names[:number]:
            raise DiffuseMorphError(f"The table '{shown}' has the column '{printable(name)}' twice: remove one.")
        if name not in columns():
            near = difflib.get_close_matches(name, columns(), 1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(columns())}."
            raise DiffuseMorphError(f"The table '{shown}' has an unknown column '{printable(name)}': {meant}")
    for name in IMAGES:
        if name not in names:
            raise DiffuseMorphError(f"The table '{shown}' has no column '{name}': every row needs both images.")
    pairs = [_pair(row, number, path.absolute().parent, shown, given) for number, row in enumerate(rows, start=1)]
    seen: dict[str, int] = {}
    for pair in pairs:
        if pair.name.lower() in seen:
            raise DiffuseMorphError(
                f"The rows {seen[pair.name.lower()]} and {pair.row} of the table '{shown}' have the name '{pair.name}'"
                ": every name must be another."
            )
        seen[pair.name.lower()] = pair.row
    return pairs


def _delimiter(text: str) -> str:
    """What stands between cells: a semicolon or a tab as spreadsheets of some countries write, else a comma."""
    head = text.lstrip("\r\n").partition("\n")[0]
    return max(",;\t", key=head.count)


def _pair(row: dict[str, str], number: int, folder: Path, shown: str, given: Sequence[str]) -> Pair:
    where = f"The row {number} of the table '{shown}'"
    if None in row or None in row.values():
        raise DiffuseMorphError(f"{where} has more or fewer cells than there are columns: check what separates them.")
    cells = {name: value.strip() for name, value in row.items()}
    for name in IMAGES:
        if not cells[name]:
            raise DiffuseMorphError(f"{where} has no {name} image: fill the cell.")
    arguments = [*given]
    for pair in FURTHER:
        files = [cells.get(name, "") for name in pair]
        if bool(files[0]) != bool(files[1]):
            raise DiffuseMorphError(f"{where} has only one of {pair[0]} and {pair[1]}: fill both cells or none.")
        if files[0]:
            arguments += ["--also", *(str(folder / file) for file in files)]
    for name, action in options().items():
        value = cells.get(name, "")
        if not value:
            continue
        flag = action.option_strings[-1]
        if is_switch(action):
            if value.lower() not in _YES + _NO:
                raise DiffuseMorphError(
                    f"{where} has '{printable(value)}' in the column {name}, but must have yes or no."
                )
            arguments = [each for each in arguments if each != flag] + ([flag] if value.lower() in _YES else [])
        elif is_file(action, value):
            arguments += [flag, str(folder / value)]
        else:
            # One word, so that a value that begins with a hyphen is no option; several numbers stand apart.
            arguments += [flag, *value.split()] if action.nargs else [f"{flag}={value}"]
    name = cells.get("name") or f"{number:05d}-{_stem(cells['moving'])}-on-{_stem(cells['fixed'])}"
    if re.search(r'[\\/:*?"<>|\x00-\x1f]', name) or name.startswith(".") or len(name) > 150:
        raise DiffuseMorphError(
            f"{where} has the name '{printable(name)}', which cannot be that of a folder: change it."
        )
    if name.lower() in OF_THE_COHORT:
        raise DiffuseMorphError(f"{where} has the name '{name}', which is that of a file of the cohort: change it.")
    return Pair(name, number, (*arguments, "--", str(folder / cells["fixed"]), str(folder / cells["moving"])))


def _stem(file: str) -> str:
    """A short name of a file for that of a folder."""
    name = re.sub(r"(\.nii)?\.\w+$", "", Path(file.rstrip("/\\")).name)
    return re.sub(r"[^\w.-]+", "_", name).strip("._")[:60] or "image"


class _Parser(Parser):
    """Raises in place of leaving the program."""

    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{message[0].upper()}{message[1:]}.")


@cache
def _grammar() -> tuple[_Parser, list[Declared]]:
    """The parser of `diffusemorph register`, and its arguments."""
    listed = Listed(_Parser(prog="diffusemorph register"))
    register.add_arguments(listed)
    return listed.to, listed.declared


def check_rows(pairs: Sequence[Pair], table: str | Path) -> None:
    """Raises OptionError naming the first row that `diffusemorph register` would not understand."""
    for pair in pairs:
        try:
            parsed(pair, "unused")
        except OptionError as error:
            raise OptionError(f"The row {pair.row} of the table '{printable(table)}': {error}") from error


def parsed(pair: Pair, output: str | Path):
    """The arguments of a pair as `diffusemorph register` has them. Raises OptionError for what it refuses."""
    arguments = _grammar()[0].parse_args(["--output", str(output), *pair.arguments])
    register.check(arguments)
    return arguments
