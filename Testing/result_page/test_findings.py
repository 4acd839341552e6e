"""The plain words about a result and the paragraph for a paper, from reports of every kind."""

from __future__ import annotations

import copy
import re

import pytest

from DiffuseMorphCore.result_page import findings, methods

REPORT = {
    "verdict": {
        "word": "good",
        "reason": "It fits.",
        "explained": 0.8,
        "explained_when_aligned": 0.5,
        "volume_change": 0.3,
    },
    "similarity": {"measure": "squared local correlation", "initial": 0.1, "aligned": 0.2, "registered": 0.4},
    "folding": {"share": 0.0, "repaired_cells": 0, "repair_converged": True},
    "displacement_mm": {"mean": 2.0, "max": 10.0, "border_max": 0.5},
    "grids": {"working": [100, 120, 100], "delivered": [80, 100, 80], "delivered_spacing_mm": [2.0, 2.0, 2.0]},
    "settings": {"align": "affine", "refine": "auto", "modality": "auto", "quality": "best", "masks": []},
    "modality": {"name": "same", "reason": "told"},
    "versions": {"DiffuseMorph": "1.2", "SimpleITK": "2.5"},
    "model": {"name": "default3d"},
    "notes": [],
}


def changed(path: str, value) -> dict:
    report = copy.deepcopy(REPORT)
    *way, last = path.split(".")
    at = report
    for name in way:
        at = at[name]
    at[last] = value
    return report


def test_a_good_result_has_nothing_suspicious():
    assert {each.level for each in findings(REPORT)} == {"good"}


@pytest.mark.parametrize(
    ("path", "value", "title", "level"),
    [
        ("similarity.registered", 0.1, "Similarity fell", "suspicious"),
        ("displacement_mm.border_max", 9.0, "Displacement at the border", "suspicious"),
        ("folding.repaired_cells", 20_000, "Many folds were repaired", "suspicious"),
        ("folding.share", 0.01, "Folds are left", "bad"),
        ("folding.repair_converged", False, "Folds are left", "bad"),
        ("verdict.volume_change", 0.9, "Implausible volumes", "suspicious"),
        ("verdict.volume_change", 0.55, "Large changes of volume", "suspicious"),
        ("verdict.word", "failed", "Verdict: failed", "bad"),
        ("verdict.word", "doubtful", "Verdict: doubtful", "suspicious"),
        ("dice", {"aligned": {"mean": 0.7}, "moved": {"mean": 0.6}}, "Overlap of the labels fell", "suspicious"),
    ],
)
def test_what_is_suspicious_comes_first_and_says_why(path, value, title, level):
    first = findings(changed(path, value))[0]
    assert (first.title, first.level) == (title, level) and first.text.endswith(".")


def test_few_repaired_folds_and_small_displacements_at_the_border_are_no_cause_for_concern():
    report = changed("folding.repaired_cells", 100)
    report["displacement_mm"] = {"mean": 0.1, "max": 3.0, "border_max": 2.9}
    assert {each.level for each in findings(report)} == {"good"}


def test_notes_come_last():
    assert findings(changed("notes", ["The header is odd."]))[-1].text == "The header is odd."


@pytest.mark.parametrize("model", ["none", {"name": "default3d"}])
@pytest.mark.parametrize("modality", ["same", "different"])
@pytest.mark.parametrize("align", ["none", "center", "rigid", "affine"])
def test_every_citation_is_used_and_every_number_is_a_citation(model, modality, align):
    report = changed("model", model)
    report["modality"]["name"], report["settings"]["align"] = modality, align
    paragraph, citations = methods(report, eta=0.5)
    numbers = {int(number) for number in re.findall(r"\[(\d+)\]", paragraph)}
    assert numbers == set(range(1, len(citations) + 1))
    assert all("doi:10." in each for each in citations) and "eta = 0.5" in paragraph
    assert ("self-similarity" in paragraph) == (modality == "different")
    assert "'best', finest grid 100 × 120 × 100 voxels" in paragraph


def test_the_paragraph_follows_the_model_the_guides_and_what_was_kept():
    plain = methods(changed("modality.name", "different"))[0]
    canonical = copy.deepcopy(REPORT)
    canonical["model"]["canonical"], canonical["modality"]["name"] = True, "different"
    assert "one contrast" in methods(canonical)[0] and "one contrast" not in plain
    assert "No deformation was kept" in methods(changed("displacement_mm", {"mean": 0.0, "max": 0.0}))[0]
    guided = copy.deepcopy(REPORT)
    guided["settings"] |= {"landmarks": 6, "guide_labels": True, "ignored": ["moving"], "further_contrasts": 1}
    paragraph = methods(guided)[0]
    assert all(
        word in paragraph for word in ("6 pairs of landmarks", "Labels drawn", "of the moving image", "contrasts")
    )
    assert not any(word in plain for word in ("landmarks", "Labels drawn", "regions"))
