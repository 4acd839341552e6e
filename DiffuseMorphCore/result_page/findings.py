"""What is good about a result and what is suspicious, in plain words, from the figures of its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GOOD, NOTE, SUSPICIOUS, BAD = "good", "note", "suspicious", "bad"
"""How grave a finding is, from the least to the most."""
_PEOPLE, _IMPLAUSIBLE = 0.47, 0.7  # SD of log volume change: as between two people; never seen where images fit
_BORDER_VOXELS = 3.0
_MANY_REPAIRED = 0.01  # share of the cells


@dataclass(frozen=True)
class Finding:
    """One thing to know about a result. level : GOOD, NOTE, SUSPICIOUS or BAD. text : one or two sentences."""

    level: str
    title: str
    text: str


def findings(report: Mapping[str, Any]) -> list[Finding]:
    """All findings about a result, the gravest first.

    Parameters
    ----------
    report : as in ``report.json``, or :attr:`Registration.report`.
    """
    found = [
        *_verdict(report),
        *_similarity(report["similarity"]),
        *_volumes(report),
        *_folds(report["folding"], report.get("grids", {})),
        *_border(report["displacement_mm"], report.get("grids", {})),
        *_overlap(report.get("dice")),
        *[Finding(NOTE, "Note", note) for note in report.get("notes", [])],
    ]
    order = (BAD, SUSPICIOUS, GOOD, NOTE)
    return sorted(found, key=lambda finding: order.index(finding.level))


def _verdict(report: Mapping[str, Any]) -> list[Finding]:
    if "verdict" not in report:
        return []
    verdict = report["verdict"]
    level = {"good": GOOD, "doubtful": SUSPICIOUS}.get(verdict["word"], BAD)
    return [Finding(level, f"Verdict: {verdict['word']}", verdict["reason"])]


def _similarity(similarity: Mapping[str, Any]) -> list[Finding]:
    before, after = similarity["aligned"], similarity["registered"]
    if after < before:
        return [
            Finding(
                SUSPICIOUS,
                "Similarity fell",
                f"From {before:.3f} when aligned to {after:.3f} when registered: the deformation made the images less "
                "alike. Look at the difference at eta 0 and at eta 1.",
            )
        ]
    if after == before:
        return [Finding(NOTE, "Similarity stayed", f"It is {after:.3f} with and without the deformation.")]
    return [
        Finding(GOOD, "Similarity rose", f"From {before:.3f} when aligned to {after:.3f} when registered (at most 1).")
    ]


def _volumes(report: Mapping[str, Any]) -> list[Finding]:
    change = report.get("verdict", {}).get("volume_change")
    if change is None:
        return []
    told = f"The standard deviation of the logarithm of the local change of volume is {change:.2f}"
    if change > _IMPLAUSIBLE:
        return [
            Finding(
                SUSPICIOUS,
                "Implausible volumes",
                f"{told}; above {_IMPLAUSIBLE:g} it was seen only where unlike images were forced upon each other. "
                "Look at the view Jacobian.",
            )
        ]
    if change > _PEOPLE:
        return [
            Finding(
                SUSPICIOUS,
                "Large changes of volume",
                f"{told}; between two people it is 0.3 to {_PEOPLE:g}. Look at the view Jacobian for places that are "
                "stretched or compressed more than anatomy can be.",
            )
        ]
    return [Finding(GOOD, "Plausible volumes", f"{told}; between two people it is 0.3 to {_PEOPLE:g}.")]


def _folds(folding: Mapping[str, Any], grids: Mapping[str, Any]) -> list[Finding]:
    if folding["share"] > 0 or not folding.get("repair_converged", True):
        return [
            Finding(
                BAD,
                "Folds are left",
                f"At {100 * folding['share']:.3g} % of the voxels space is turned inside out, and the repair did not "
                "come to an end: do not use the Jacobian or the inverse there.",
            )
        ]
    repaired = folding.get("repaired_cells", 0)
    if not repaired:
        return [Finding(GOOD, "No folds", "Nowhere is space turned inside out, at eta 0, 0.1, … 1.")]
    cells = 1
    for size in grids.get("delivered", []):
        cells *= size
    if cells > 1 and repaired / cells > _MANY_REPAIRED:
        return [
            Finding(
                SUSPICIOUS,
                "Many folds were repaired",
                f"{repaired:,} cells ({100 * repaired / cells:.1f} %) were folded and were smoothed until none was "
                "left. So many come from images that do not fit, or from noise: look at the grid.",
            )
        ]
    return [
        Finding(
            GOOD,
            "No folds",
            f"{repaired:,} cells were folded and were smoothed until none was left; that few is usual.",
        )
    ]


def _border(displacement: Mapping[str, Any], grids: Mapping[str, Any]) -> list[Finding]:
    border, most = displacement.get("border_max"), displacement["max"]
    voxel = min(grids.get("delivered_spacing_mm", [1.0]))
    if border is None or border <= _BORDER_VOXELS * voxel or border <= 0.5 * most:
        return []
    return [
        Finding(
            SUSPICIOUS,
            "Displacement at the border",
            f"Where the object meets the border of the image its points move by up to {border:.3g} mm, "
            f"others by up to {most:.3g} mm. "
            "What lies beyond the border was not seen: the images may show different parts, or be badly aligned.",
        )
    ]


def _overlap(dice: Mapping[str, Any] | None) -> list[Finding]:
    if not dice or None in (dice["aligned"]["mean"], dice["moved"]["mean"]):
        return []
    before, after = dice["aligned"]["mean"], dice["moved"]["mean"]
    if after < before:
        return [
            Finding(
                SUSPICIOUS,
                "Overlap of the labels fell",
                f"Mean Dice from {before:.3f} when aligned to {after:.3f} when moved: check the labels and the images.",
            )
        ]
    return [Finding(GOOD, "Overlap of the labels", f"Mean Dice {before:.3f} when aligned, {after:.3f} when moved.")]
