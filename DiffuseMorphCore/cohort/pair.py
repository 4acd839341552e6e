"""One pair of a cohort, as a worker does it: kept where it is complete, else registered; never an exception."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from DiffuseMorphCore import __version__
from DiffuseMorphCore.cohort.table import Pair, parsed
from DiffuseMorphCore.command_line.result_folder import LAST
from DiffuseMorphCore.errors import DiffuseMorphError, is_out_of_memory
from DiffuseMorphCore.files import first_line, printable, system_reason

KEPT, DONE, FAILED, NOT_YET = "kept", "done", "failed", "not yet"
"""What may have become of a pair; NOT_YET: the cohort was stopped before."""
INPUTS = "inputs_sha256"
"""Entry of the report of a pair: what it was made from, so that it is not made twice."""
_NOT_OF_THE_RESULT = ("output", "overwrite", "threads", "run", "stopped", "verb")


@dataclass(frozen=True)
class Outcome:
    """What became of a pair. state : KEPT, DONE, FAILED or NOT_YET. reason : one sentence where it failed."""

    name: str
    row: int
    state: str
    reason: str = ""
    report: dict[str, Any] = field(default_factory=dict)


def register_pair(pair: Pair, folder: str, threads: int | None = None) -> Outcome:
    """Make the result of a pair in its folder inside ``folder``, unless it is there, made from the same inputs."""
    from DiffuseMorphCore.command_line.register import carry_out

    output = Path(folder) / pair.name
    try:
        arguments = parsed(pair, output)
        key = inputs_key(arguments)
        found = complete_report(output, key)
        if found is not None:
            return Outcome(pair.name, pair.row, KEPT, report=found)
        if (output / LAST).exists() and complete_report(output) is None:
            raise DiffuseMorphError(
                f"The folder '{printable(output)}' holds a result that no cohort made: name another folder for the "
                "cohort."
            )
        arguments.overwrite = True  # a result of other inputs or settings makes room when the new one is complete
        if threads is not None and arguments.threads == "auto":
            arguments.threads = threads
        carry_out(arguments, None, {INPUTS: key})
        return Outcome(pair.name, pair.row, DONE, report=complete_report(output, key) or {})
    except DiffuseMorphError as error:
        return Outcome(pair.name, pair.row, FAILED, str(error))
    except Exception as error:
        if is_out_of_memory(error):
            return Outcome(pair.name, pair.row, FAILED, "There was not enough memory for this pair.")
        return Outcome(pair.name, pair.row, FAILED, f"{type(error).__name__}: {first_line(error)}")


def complete_report(output: Path, key: str | None = None) -> dict[str, Any] | None:
    """The report of a complete result of a cohort, made from inputs with this key (any key: None); else None."""
    try:
        report = json.loads((output / LAST).read_text(encoding="utf-8"))
        made_from = report[INPUTS]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return report if key in (None, made_from) else None


def inputs_key(arguments) -> str:
    """Hash (SHA-256) of the contents of all inputs, the settings, the model where it is a file, and the version.

    Raises DiffuseMorphError naming a file that cannot be read.
    """
    # Dask's scheduler reads this file, too, and has no need of torch.
    from DiffuseMorphCore.command_line.request import input_files

    parts = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in sorted(vars(arguments).items())
        if name not in _NOT_OF_THE_RESULT
    }
    files = input_files(arguments)
    del parts["also"]  # its files have roles of their own
    # Names count without their folders: images that were moved to another place are still the same.
    parts |= {role: [Path(file).name, contents_hash(Path(file))] for role, file in files.items()}
    if str(arguments.model).endswith(".pt"):
        parts["model"] = contents_hash(Path(arguments.model))
    text = json.dumps([__version__, parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def contents_hash(path: Path) -> str:
    """Hash of a file, or of all files in a folder with their names."""
    if path.is_dir():
        whole = hashlib.sha256()
        for each in sorted(file for file in path.rglob("*") if file.is_file()):
            whole.update(f"{each.relative_to(path).as_posix()}\0{contents_hash(each)}\n".encode("utf-8", "replace"))
        return whole.hexdigest()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DiffuseMorphError(f"The file '{printable(path)}' cannot be read: {system_reason(error)}.") from error
