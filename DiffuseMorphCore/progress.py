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


_SHARES = {"prepare": (0.0, 0.05), "align": (0.05, 0.15), "predict": (0.15, 0.25), "refine": (0.25, 0.9)}
"""Where a registration is, of the whole, when a stage begins and ends; what is missing is its end."""


def part_of(progress: Progress | None, stage: str, start: float, stop: float) -> Progress:
    """A callback for one registration of many: all its stages together are the part from ``start`` to ``stop`` of
    ``stage``.
    """

    def inner(own: str, fraction: float) -> bool | None:
        low, high = _SHARES.get(own, (0.9, 1.0))
        return None if progress is None else progress(stage, start + (stop - start) * (low + (high - low) * fraction))

    return inner
