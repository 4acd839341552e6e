"""Results on disk: one JSON file for each case and method, so that a killed run goes on where it stopped."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import completed


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with completed(path, make_folder=True) as part:
        part.write_text(text, encoding="utf-8")


class Records:
    """The rows of one run in `folder`: rows are flat dictionaries, kept by a key of several names.

    Raises DiffuseMorphError where the folder holds rows that were made with other settings, because a table must not
    mix them.
    """

    def __init__(self, folder: str | Path, settings: dict):
        self.folder = Path(folder)
        self.settings = json.loads(json.dumps(settings))
        kept = self.folder / "settings.json"
        if kept.exists():
            earlier = json.loads(kept.read_text(encoding="utf-8"))
            different = sorted(
                name for name in {*earlier, *self.settings} if earlier.get(name) != self.settings.get(name)
            )
            if different:
                raise DiffuseMorphError(
                    f"The folder '{self.folder}' holds results made with another {' and '.join(different)}: "
                    f"give another folder with --out, or delete this one."
                )
        else:
            write_text(kept, json.dumps(self.settings, indent=1))

    def _path(self, key: Iterable[str]) -> Path:
        names = [re.sub(r"[^\w.+-]", "_", name) for name in key]
        return self.folder.joinpath("cases", *names[:-1], f"{names[-1]}.json")

    def row(self, key: Iterable[str], make: Callable[[], dict]) -> dict:
        """The row kept under `key`, or the one that `make` gives, which is then kept."""
        path = self._path(tuple(key))
        if path.exists():
            return json.loads(path.read_text(encoding="utf-8"))
        row = make()
        write_text(path, json.dumps(row))
        return row

    def write_csv(self, name: str, rows: list[dict]) -> Path:
        """All rows as one CSV file; the columns are the keys, in the order in which they first appear."""
        path = self.folder / name
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with completed(path, make_folder=True) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
        return path

    def write_text(self, name: str, text: str) -> Path:
        path = self.folder / name
        write_text(path, text)
        return path
