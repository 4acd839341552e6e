"""How long work tells its caller where it stands, and how the caller stops it."""

from __future__ import annotations

from collections.abc import Callable

from DiffuseMorphCore.errors import Cancelled

Progress = Callable[[str, float], "bool | None"]
"""Called with the stage's name and the fraction of it that is done, 0 to 1; returning False cancels the work."""


def advance(progress: Progress | None, stage: str, fraction: float) -> None:
    """Report that `fraction` (0 to 1) of `stage` is done.

    Raises Cancelled when the callback returns False. Any other answer, None included, means: go on.
    """
    if progress is not None and progress(stage, min(max(float(fraction), 0.0), 1.0)) is False:
        raise Cancelled(f"The work was cancelled during the stage '{stage}'.")
