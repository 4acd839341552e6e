"""What came out of a registration, in a few lines for the terminal."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from DiffuseMorphCore.command_line.console_text import say
from DiffuseMorphCore.files import printable

_UNITS = ((1e6, "km"), (1e4, "m"), (0.1, "mm"), (1e-4, "µm"), (0.0, "nm"))
_MILLIMETRES = {"km": 1e6, "m": 1e3, "mm": 1.0, "µm": 1e-3, "nm": 1e-6}


def length(value: float, largest: float | None = None) -> str:
    """A length in mm with the unit that suits it (or `largest`, where several are shown together) and that unit."""
    size = abs(value if largest is None else largest)
    unit = "mm" if size == 0 or not math.isfinite(size) else next(name for least, name in _UNITS if size >= least)
    return f"{value / _MILLIMETRES[unit]:.1f} {unit}"


def summarize(output: str, report: dict[str, Any], page: bool = False) -> None:
    """Print what came out in a few lines; ``page``: whether there is one to open."""
    similarity, folding, displacement = report["similarity"], report["folding"], report["displacement_mm"]
    words = {"initial": "before", "aligned": "aligned", "network": "by the network", "registered": "registered"}
    steps = [f"{similarity[key]:.3f} {word}" for key, word in words.items() if similarity.get(key) is not None]
    say(f"Registered in {sum(report['seconds'].values()):.1f} s on {report['device']}.")
    if "verdict" in report:
        say(f"Verdict: {report['verdict']['word']}. {report['verdict']['reason']}")
    if "modality" in report:
        say(f"Contrasts: {report['modality']['name']}, {report['modality']['reason']}.")
    say(f"Similarity (0 to 1): {', '.join(steps)}.")
    say(
        f"Displacement: {length(displacement['mean'], displacement['max'])} on average, "
        f"{length(displacement['max'])} at most; folded voxels: {100 * folding['share']:.3g} %."
    )
    if "uncertainty_mm" in report:
        say(f"Uncertainty: {length(report['uncertainty_mm']['mean'])} on average inside the object.")
    if "landmarks_mm" in report:
        found = report["landmarks_mm"]
        words = {"initial": "before", "aligned": "aligned", "registered": "registered", "left_out": "when left out"}
        means = [f"{length(found[key]['mean'])} {word}" for key, word in words.items() if key in found]
        say(f"Landmarks ({found['number']}), mean distance: {', '.join(means)}.")
    if "dice" in report:
        means = [report["dice"][when]["mean"] for when in ("aligned", "moved")]
        say(
            "Dice of the labels: there is no label."
            if None in means
            else f"Dice of the labels: {means[0]:.3f} aligned, {means[1]:.3f} moved."
        )
    for note in report.get("notes", []):
        say(f"Note: {note}")
    say(f"Open {printable(Path(output) / ('report.html' if page else 'preview.png'))} to see it.")
