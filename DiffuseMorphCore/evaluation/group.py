"""A template of a group of labelled people: how sharp it is, and how well any two people's labels meet in it."""

from __future__ import annotations

import csv
import io
import itertools
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.evaluation.datasets.brain_oasis import BrainOasis
from DiffuseMorphCore.evaluation.machine import machine
from DiffuseMorphCore.evaluation.records import write_text
from DiffuseMorphCore.evaluation.report import facts, markdown_table
from DiffuseMorphCore.images import read_image, resample_labels
from DiffuseMorphCore.progress import Progress


def met(labels: list[np.ndarray], structures: list[int]) -> np.ndarray:
    """(pairs,) mean Dice of the structures that both people have, of any two label maps on one grid."""
    places = np.zeros(max(int(each.max()) for each in labels) + 1, np.int64)
    for number, structure in enumerate(structures, start=1):
        if structure < len(places):
            places[structure] = number
    kinds = len(structures) + 1
    found = []
    for one, other in itertools.combinations([places[each].ravel() for each in labels], 2):
        table = np.bincount(one * kinds + other, minlength=kinds * kinds).reshape(kinds, kinds)
        sizes = table.sum(axis=1)[1:], table.sum(axis=0)[1:]
        both = (sizes[0] > 0) & (sizes[1] > 0)
        found.append(float((2 * np.diag(table)[1:] / np.maximum(sizes[0] + sizes[1], 1))[both].mean()))
    return np.array(found)


def run_group(
    data: str | Path,
    out: str | Path,
    *,
    quality: str = "default",
    rounds: int = 4,
    people: int | None = None,
    threads: int = 2,
    progress: Progress | None = None,
) -> Path:
    """Build the template of the training people of the labelled brains and score it.

    Writes ``template.md``, ``template.csv``, ``template.nii.gz`` and ``affine_mean.nii.gz`` into ``out`` and returns
    the path of the first; a run that was stopped goes on. people : only so many of them.
    """
    from DiffuseMorphCore.images import write_image
    from DiffuseMorphCore.registration.template import build_template
    from DiffuseMorphCore.registration.template.rounds import Round

    out, data_set = Path(out), BrainOasis(data)
    scans = data_set.scans("train")[:people]
    files = {each.subject: data_set.required(f"{each.subject}_t1.nii.gz") for each in scans}
    found = build_template(
        files, folder=out / "kept", quality=quality, rounds=rounds, threads=threads, progress=progress
    )
    last = found.last
    first = Round(last.alignments, last.whole, last.values, {})
    folded, errors, overlap = [], [], {}
    for name, state in (("affine mean", first), ("template", last)):
        maps = []
        for number, person in enumerate(found.people):
            labels = read_image(data_set.required(f"{person.name}_labels.nii.gz"))
            if state is last:
                registration = found.registration(person.name)
                transform = registration.transform()
                folded.append(registration.report["folding"]["share"])
                errors.append(_inverse_error(registration, found.image))
            else:
                transform = state.mapping(number).transform()
            moved = sitk.GetArrayFromImage(resample_labels(labels, found.image, transform))
            maps.append(np.maximum(moved, 0).astype(np.uint16))
        overlap[name] = met(maps, sorted(data_set.structures))
    write_image(found.image, out / "template.nii.gz")
    write_image(found.affine_mean, out / "affine_mean.nii.gz")
    columns = dict.fromkeys(name for row in found.changes for name in row)
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows({name: round(value, 6) for name, value in row.items()} for row in found.changes)
    write_text(out / "template.csv", text.getvalue())
    sharp = found.report["sharpness"]
    rows = [
        [name, f"{sharp[key]:.4f}", f"{each.mean():.3f} ({each.std():.3f})", f"{each.min():.3f}"]
        for (name, each), key in zip(overlap.items(), ("affine_mean", "template"))
    ]
    changes = [["–" if row.get(name) is None else f"{row[name]:.4g}" for name in columns] for row in found.changes]
    page = [
        "# A template of a group of brains",
        markdown_table(["", "sharpness (range per mm)", "Dice of any two people", "worst pair"], rows),
        f"{len(scans)} people, {len(overlap['template'])} pairs, labels by nearest neighbour on the template's grid, "
        "mean over the structures that both have; mean (standard deviation) over the pairs. Sharpness: mean length of "
        "the gradient inside the head. "
        f"Folded voxels of the way to a person: {100 * max(folded):.5f} % at most; inverse after forward "
        f"{np.mean(errors):.3f} voxels.",
        markdown_table([name.replace("_", " ") for name in columns], changes),
        "## Measured on",
        facts(
            {
                "quality": quality,
                "rounds": rounds,
                "threads": threads,
                "seconds": sum(found.report["seconds"].values()),
                **machine(),
            }
        ),
    ]
    write_text(out / "template.md", "\n\n".join(page) + "\n")
    return out / "template.md"


def _inverse_error(registration, reference: sitk.Image) -> float:
    from DiffuseMorphCore.evaluation.metrics import inverse_error

    values = sitk.GetArrayViewFromImage(reference)
    inside = values > values.min() + 0.1 * (values.max() - values.min())
    return inverse_error(registration.transform(), registration.inverse_transform(), reference, inside, 3000)
