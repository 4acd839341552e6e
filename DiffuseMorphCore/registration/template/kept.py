"""What of a long job is done already: arrays in a folder, found again by what they were made from."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import completed, system_reason
from DiffuseMorphCore.images import printable


@dataclass(frozen=True)
class Kept:
    """Parts of a job in a folder. Their names hold a hash of all that they depend on, so what was made from other
    images or with other settings is never taken for them.
    """

    folder: Path

    def path(self, what: str, *depends_on: Any) -> Path:
        """Where a part lies: what it is, and everything that it depends on (plain types)."""
        text = json.dumps(depends_on, sort_keys=True, default=str)
        return self.folder / f"{what}-{hashlib.sha256(text.encode()).hexdigest()[:24]}.npz"

    def get(self, path: Path, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The arrays of a part by name: read where they are there, else made and written, whole or not at all."""
        found = self.read(path)
        if found is not None:
            return found
        made = make()
        try:
            with completed(path, make_folder=True) as part, open(part, "wb") as file:
                np.savez(file, **made)
        except OSError as error:
            raise DiffuseMorphError(
                f"The file '{printable(path)}' cannot be written: {system_reason(error)}."
            ) from error
        return {name: np.asarray(value) for name, value in made.items()}

    def read(self, path: Path) -> dict[str, np.ndarray] | None:
        """The arrays of a part; None where it is not there, or was damaged."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return None
