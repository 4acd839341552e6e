"""Figure 6 of the paper: the deformation of 2-D pairs along eta, with the distance to the target at each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from DiffuseMorphCore.evaluation import metrics
from DiffuseMorphCore.evaluation.datasets.face_landmarks import REGIONS
from DiffuseMorphCore.evaluation.paper.arrangement import FACES, ComparisonRequest, arrange
from DiffuseMorphCore.evaluation.paper.comparison import Comparison
from DiffuseMorphCore.evaluation.paper.figures import picture_page
from DiffuseMorphCore.evaluation.paper.landmark_path import landmark_row, paths
from DiffuseMorphCore.evaluation.paper.pictures import canvas, grid_lines, link, save, show
from DiffuseMorphCore.evaluation.paper.preparation import Case
from DiffuseMorphCore.evaluation.paper.scoring import moved_labels, unit
from DiffuseMorphCore.evaluation.paper.tables import NAMES
from DiffuseMorphCore.evaluation.records import Records
from DiffuseMorphCore.evaluation.report import Column, comparison, markdown_table, number, values
from DiffuseMorphCore.warp.sampling import warp

ETAS = (0.0, 0.25, 0.5, 0.75, 1.0)
METHODS = ("voxelmorph", "voxelmorph-diff", "diffusemorph", "diffusemorph-anchored")
LANDMARKS = {
    "detected": "Mean squared distance in pixels between the landmarks that dlib finds in moved and fixed image",
    "carried": "The same for the moving face's landmarks as the field carries them",
}


def fig6(request: ComparisonRequest) -> Path:
    """The trajectory of 2-D pairs: scaled field, integrated velocity, eta; image, grid, distance to the fixed outline
    or landmarks.
    """
    work = arrange(FACES, replace(request, methods=request.methods or METHODS))
    cases = work.judged()
    records = Records(request.out, work.settings())
    rows = [
        records.row(("fig6", method, f"seed{seed}", case.name), lambda: _along(work, method, seed, case))
        for method in work.methods
        for seed in work.seeds_of(method)
        for case in cases
    ]
    records.write_csv("fig6.csv", rows)
    groups = {method: [row for row in rows if row["method"] == method] for method in work.methods}
    case = max(cases, key=_movement) if _has_landmarks(cases[0]) else cases[len(cases) // 2]
    _draw(work, case, request.out / "fig6.png")
    measured = f"mean (standard deviation) over {len(cases)} pairs and the seeds, on the trajectory."
    if _has_landmarks(case):
        parts = _landmark_parts(groups, measured)
        _draw_landmarks(work, case, request.out / "fig6-fields.png")
        parts.append("![fields and landmarks on the trajectory](fig6-fields.png)")
        parts.append("Grey: the landmarks of the moving face, black: of the fixed one, red: carried by the field.")
    else:
        parts = [f"{rows[0]['measure']}, {measured}", _table(groups, "eta", 2)]
    parts.append(link(work.data.data_set, "the trajectory", "fig6.png"))
    title = f"Figure 6: continuous deformation of {work.data.data_set.title}"
    return picture_page(request.out / "fig6.md", title, parts, work)


def _has_landmarks(case: Case) -> bool:
    return case.pair.moving.read_landmarks is not None and case.pair.fixed.read_landmarks is not None


def _movement(case: Case) -> float:
    """Mean squared distance between the landmarks of both ends."""
    return float(((case.pair.moving.landmarks() - case.pair.fixed.landmarks()) ** 2).sum(1).mean())


def _along(work: Comparison, method: str, seed: int, case: Case) -> dict:
    """Distance to the target at each eta: landmarks, or outlines of the structure where there are labels, else NMSE."""
    at, _ = work.path(method, seed, case)
    row: dict = {"case": f"{case.name}/seed{seed}", "method": method, "seed": seed}
    if _has_landmarks(case):
        return row | landmark_row(case.pair, at, ETAS)
    for eta in ETAS:
        displacement = at(eta).cpu()
        if case.fixed_labels is None:
            row["measure"] = "NMSE to the fixed image"
            row[f"eta {eta:g}"] = metrics.nmse(unit(warp(case.moving, displacement)), unit(case.fixed))
        else:
            row["measure"] = "Mean squared distance in pixels between the outlines of the moved and the fixed structure"
            row[f"eta {eta:g}"] = metrics.outline_mse(moved_labels(case, displacement) > 0, case.fixed_labels > 0)
    return row


def _table(groups: dict[str, list[dict]], key: str, digits: int) -> str:
    columns = [Column(f"{key} {eta:g}", f"eta = {eta:g}", digits, higher_is_better=False) for eta in ETAS]
    return comparison(groups, columns, name_of=lambda method: NAMES.get(method, method))


def _mean_table(heading: str, groups: dict[str, list[dict]], keys: Sequence[tuple[str, str]]) -> str:
    """One line a method, one column for each (heading, key)."""
    lines = []
    for method, rows in groups.items():
        found = [values(rows, key) for _, key in keys]
        lines.append([NAMES.get(method, method), *(number(part.mean(), 3) if len(part) else "–" for part in found)])
    return markdown_table([heading, *(name for name, _ in keys)], lines)


def _landmark_parts(groups: dict[str, list[dict]], measured: str) -> list[str]:
    parts = []
    for key, text in LANDMARKS.items():
        parts += [f"{text}, {measured}", _table(groups, key, 2)]
    count = sum(len(rows) for rows in groups.values()) * len(ETAS)
    missing = count - sum(len(values(rows, f"detected {eta:g}")) for rows in groups.values() for eta in ETAS)
    parts.append(f"In {missing} of {count} moved images no face was found.")
    parts.append(
        "Half way, at eta = 0.5: the share of their whole movement that the landmarks of a region have made (a scaled "
        "field has moved all by one half), and the cosine between the fields of this eta and of eta 1 (a scaled field "
        "has 1)."
    )
    keys = [*((region, f"{region} 0.5") for region in REGIONS), ("cosine of the fields", "alike 0.5")]
    parts.append(_mean_table("half way", groups, keys))
    return parts


def _draw(work: Comparison, case: Case, path: Path) -> None:
    figure, axes = canvas(2 * len(work.methods), len(ETAS) + 2)
    for index, method in enumerate(work.methods):
        at, _ = work.path(method, work.seeds[0], case)
        show(axes[2 * index][0], unit(case.moving), "moving")
        axes[2 * index][0].set_ylabel(NAMES.get(method, method)[:30], fontsize=7)
        show(axes[2 * index][-1], unit(case.fixed), "fixed")
        for axis in (axes[2 * index + 1][0], axes[2 * index + 1][-1]):
            axis.axis("off")
        for column, eta in enumerate(ETAS, start=1):
            displacement = at(eta).cpu()
            show(axes[2 * index][column], unit(warp(case.moving, displacement)), f"eta {eta:g}")
            grid_lines(axes[2 * index + 1][column], displacement[0].numpy())
    save(figure, path)


def _draw_landmarks(work: Comparison, case: Case, path: Path) -> None:
    """Every method's grid at each eta, and over it the landmarks: nothing of the photographs."""
    figure, axes = canvas(len(work.methods), len(ETAS))
    # From pixel middles of the scan to those of the networks' grid, over the same extent.
    ratio = case.moving.shape[-1] / case.pair.moving.image().GetSize()[0]
    ends = [(scan.landmarks() + 0.5) * ratio - 0.5 for scan in (case.pair.moving, case.pair.fixed)]
    for line, method in zip(axes, work.methods):
        at, _ = work.path(method, work.seeds[0], case)
        line[0].set_ylabel(NAMES.get(method, method)[:30], fontsize=7)
        for axis, eta, carried in zip(line, ETAS, paths(case.pair, at, ETAS)):
            grid_lines(axis, at(eta).cpu()[0].numpy(), step=3)
            for points, colour in ((ends[0], "0.6"), (ends[1], "black"), ((carried + 0.5) * ratio - 0.5, "red")):
                axis.plot(*points.T, ".", color=colour, ms=2.5)
            axis.set_title(f"eta {eta:g}", fontsize=8)
    save(figure, path)
