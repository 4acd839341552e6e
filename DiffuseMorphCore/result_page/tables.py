"""The tables of the page: figures with what they say, settings and versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from DiffuseMorphCore.files import printable


def figures(report: Mapping[str, Any]) -> str:
    """Rows of a table: name, value, what it says."""
    similarity, folding, displacement = report["similarity"], report["folding"], report["displacement_mm"]
    rows: list[tuple[str, str, str]] = []
    words = {"initial": "as loaded", "aligned": "aligned", "network": "by the network", "registered": "registered"}
    steps = [f"{similarity[key]:.3f} {word}" for key, word in words.items() if similarity.get(key) is not None]
    rows.append(
        ("Similarity", " → ".join(steps), "Local correlation of the two images: 0 nothing in common, 1 the same.")
    )
    rows.append(
        (
            "Displacement",
            f"{displacement['mean']:.3g} mm mean, {displacement['max']:.3g} mm at most",
            "How far points inside the object moved beyond the alignment.",
        )
    )
    rows.append(
        (
            "Folded voxels",
            f"{100 * folding['share']:.3g} %; {folding.get('repaired_cells', 0):,} cells repaired",
            "Where the deformation would turn space inside out; there should be none.",
        )
    )
    if "verdict" in report:
        verdict = report["verdict"]
        rows.append(
            (
                "Explained",
                f"{verdict['explained_when_aligned']:.2f} → {verdict['explained']:.2f}",
                "Share of the structure in one image that the other one predicts, which is not what is maximised: "
                "below .2 as by chance, below .4 little.",
            )
        )
        rows.append(
            (
                "Change of volume",
                f"{verdict['volume_change']:.2f}",
                "Standard deviation of the logarithm of the Jacobian determinant inside the object: .3 to .47 between "
                "two people.",
            )
        )
    if "uncertainty_mm" in report:
        doubt = report["uncertainty_mm"]
        rows.append(
            (
                "Uncertainty",
                f"{doubt['mean']:.2g} mm mean, {doubt['percentile_95']:.2g} mm at the 95th percentile",
                "Within how many millimetres the images do not say where a point belongs.",
            )
        )
    dice = report.get("dice")
    if dice and None not in (dice["aligned"]["mean"], dice["moved"]["mean"]):
        rows.append(
            (
                "Dice",
                f"{dice['aligned']['mean']:.3f} → {dice['moved']['mean']:.3f}",
                "Overlap of the labels, aligned and moved: 0 none, 1 whole.",
            )
        )
    seconds = report["seconds"]
    rows.append(
        (
            "Time",
            f"{sum(seconds.values()):.1f} s on {report['device']}",
            ", ".join(f"{stage} {value:.1f} s" for stage, value in seconds.items()),
        )
    )
    return "".join(
        f"<tr><th scope=row>{escape(name)}<td><b>{escape(value)}</b><td>{escape(text)}" for name, value, text in rows
    )


def settings(report: Mapping[str, Any]) -> str:
    """Rows of a table: name, value; inputs, settings, the model and versions."""
    model = report["model"]
    named = {"model": model.get("name", "given") if isinstance(model, Mapping) else model}
    named |= {"terms": model["terms"]} if isinstance(model, Mapping) and model.get("terms") else {}
    rows: list[tuple[str, Any]] = [
        *((f"{role.replace('_', ' ')} file", printable(file)) for role, file in report.get("files", {}).items()),
        ("contrasts", "{name}, {reason}".format(**report["modality"]) if "modality" in report else None),
        *named.items(),
        *((name, value) for name, value in report["settings"].items() if name != "model"),
        *report["versions"].items(),
    ]
    return "".join(
        f"<tr><th scope=row>{escape(name.replace('_', ' '))}<td>{escape(_told(value))}"
        for name, value in rows
        if value is not None
    )


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ", ".join(map(str, value)) or "none"
    return str(value)
