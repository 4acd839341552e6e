"""The log of a run: CSV files that continue after an interruption, and TensorBoard on request."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import completed


class Table:
    """A CSV file that grows by rows which start with a step.

    Opened at a step, it forgets the rows after it: they were written by a run that was stopped before it could save
    its state, and will come again. Its columns are `columns`, or those of the first row; missing values stay empty.
    """

    def __init__(self, path: Path, step: int, columns: Sequence[str] = ()) -> None:
        self.path = path
        self.columns = list(columns)
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.reader(file))
            if step > 0 and rows:
                self.columns = rows[0]
                with completed(path) as part, part.open("w", newline="", encoding="utf-8") as file:
                    csv.writer(file).writerows(
                        [rows[0], *(row for row in rows[1:] if len(row) == len(rows[0]) and int(row[0]) <= step)]
                    )
            else:
                path.unlink()

    def add(self, row: dict[str, float]) -> None:
        if not self.path.is_file():
            self.columns = self.columns or list(row)
            with self.path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow(self.columns)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([f"{row[name]:.9g}" if name in row else "" for name in self.columns])


class TensorBoard:
    """Scalars as TensorBoard shows them. Raises DiffuseMorphError when TensorBoard is not installed."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as problem:
            raise DiffuseMorphError(
                "TensorBoard is not installed: run 'pip install tensorboard', or set 'output.tensorboard' to false."
            ) from problem
        self._writer = SummaryWriter(str(folder))

    def add(self, group: str, row: dict[str, float]) -> None:
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(f"{group}/{name}", value, int(row["step"]))

    def close(self) -> None:
        self._writer.close()


def bar_of_steps(total: int, done: int) -> Any:
    """A bar of the steps on the terminal, with the time left; a context manager as tqdm's."""
    from tqdm import tqdm

    return tqdm(total=total, initial=done, unit="step", desc="training", smoothing=0.05, mininterval=2)
