"""Where a training run stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainingResult:
    """Where a run stands: steps done of `steps`, its folder, and the last validation (empty if there was none)."""

    step: int
    steps: int
    folder: Path
    validation: dict[str, float]

    @property
    def finished(self) -> bool:
        return self.step >= self.steps
