"""Tables 1 to 4 of the paper: trains or loads, evaluates, and writes `cases.csv`, `tableN.md` and `tableN.png`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from DiffuseMorphCore.evaluation.machine import machine
from DiffuseMorphCore.evaluation.paper.arrangement import BRAINS, FACES, HEARTS, ComparisonRequest, arrange
from DiffuseMorphCore.evaluation.paper.baselines import COMPARED
from DiffuseMorphCore.evaluation.paper.comparison import TRUTHS, Comparison
from DiffuseMorphCore.evaluation.paper.fitting import training_seconds
from DiffuseMorphCore.evaluation.paper.pictures import bars
from DiffuseMorphCore.evaluation.paper.published import REMARKS, TABLE_1, TABLE_2, TABLE_3, TABLE_4
from DiffuseMorphCore.evaluation.paper.refinement import REFINED
from DiffuseMorphCore.evaluation.records import Records, write_text
from DiffuseMorphCore.evaluation.report import Column, comparison, facts, markdown_table, values
from DiffuseMorphCore.training.objective import LossWeights

LAMBDAS = (2, 5, 10)
NAMES = {
    "initial": "Initial",
    "true": "The true motion",
    "true-scaled": "The true motion's end, scaled",
    "syn": "ANTs SyN",
    **{key: method.title for key, method in COMPARED.items()},
}
NAMES |= {f"{key}{REFINED}": f"{title}, refined" for key, title in NAMES.items()}
NAMES[f"initial{REFINED}"] = "Refinement alone"

NMSE = Column("nmse", "NMSE", 4, higher_is_better=False)
SSIM = Column("ssim", "SSIM")
PSNR = Column("psnr", "PSNR (dB)", 2)
DICE = Column("dice", "Dice", with_worst=True)
CARDIAC_DICE = Column("dice", "Dice (RV, Myo, LV)")
PAPER_DICE = Column("dice_paper", "Dice (five structures)")
HD95 = Column("hd95", "HD95", 2, higher_is_better=False)
CENTRAL = Column("folded_central", "det J <= 0 (%)", 4, higher_is_better=False, scale=100)
FOLDED = Column("folded", "folded, ten determinants (%)", 4, higher_is_better=False, scale=100, with_spread=False)
SPREAD = Column("sd_log_jacobian", "SD log J", 3, higher_is_better=False, with_spread=False)
PATH_PSNR = Column("path_psnr", "trajectory: PSNR (dB)", 3)
PATH_NMSE = Column("path_nmse", "trajectory: NMSE", 5, higher_is_better=False)
PATH_ERROR = Column("path_error", "trajectory: error of the field (voxels)", 3, higher_is_better=False)
SECONDS = Column("seconds", "seconds", 3, higher_is_better=False, with_spread=False)
FRAME = Column("frame_seconds", "seconds a frame", 3, higher_is_better=False, with_spread=False)


def by_seed(rows: dict[str, list[dict]], column: Column) -> str:
    """One line a method, one column a seed, for the measure in which the methods differ; shows what chance does."""
    seeds = sorted({row["seed"] for group in rows.values() for row in group})
    lines = []
    for name, group in rows.items():
        means = [values([row for row in group if row["seed"] == seed], column.key) for seed in seeds]
        lines.append(
            [NAMES.get(name, name), *(f"{found.mean():.{column.digits}f}" if len(found) else "–" for found in means)]
        )
    return markdown_table([column.heading, *(f"seed {seed}" for seed in seeds)], lines)


def table_page(
    title: str,
    work: Comparison,
    rows: dict[str, list[dict]],
    columns: Sequence[Column],
    published: tuple,
    tested: str,
    rival: str,
    remarks: Sequence[str] = (),
) -> str:
    """The Markdown page of a table: ours, the paper's, what each seed gave, and what all was made on."""
    everything = [row for group in rows.values() for row in group]
    columns = [column for column in columns if any(row.get(column.key) is not None for row in everything)]
    tested_column = next((column for column in columns if column.key == tested), columns[0])
    ours = comparison(
        rows, columns, rival if rival in rows else None, tested_column.key, lambda key: NAMES.get(key, key)
    )
    budget, case = work.budget, work.judged()[0]
    labels = {} if case.fixed_labels is None else {"grid of the labels": "x".join(map(str, case.fixed_labels.shape))}
    trained = dict.fromkeys(COMPARED[name].network for name in rows if name in COMPARED)
    times = {f"training of {network}": f"{_training_time(work, network):.0f} s a seed" for network in trained}
    information = {
        "data": work.data.data_set.title,
        "pairs judged": len({row["pair"] for row in everything}),
        "training pairs": len(work.data.pairs("train")),
        "grid": "x".join(map(str, case.moving.shape[2:])),
        **labels,
        "seeds": ", ".join(map(str, work.seeds)),
        "training": f"{budget.steps} steps of {budget.batch} pair{'s' * (budget.batch > 1)}, Adam, rate "
        f"{budget.learning_rate:g}, betas {budget.betas}",
        "lambda": work.weights.registration,
        "weight of smoothness": work.weights.smoothness,
        **times,
        "device": str(work.device),
        **machine(),
    }
    parts = [
        f"# {title}",
        "## This run",
        ours,
        "Mean (standard deviation) over cases and seeds, images in [0, 1]. p: Wilcoxon signed-rank test on "
        f"{tested_column.heading}. The same deformation network, pairs, steps and rates for every trained method.",
        *_paper(columns, published),
        *filter(None, remarks),
    ]
    if len(work.seeds) > 1:
        parts += ["## Seed by seed", by_seed(rows, tested_column)]
    return "\n\n".join([*parts, "## Made with", facts(information)]) + "\n"


def _paper(columns: Sequence[Column], published: tuple) -> list[str]:
    """The paper's figures for the columns it has, under a heading; nothing where the paper has no such table."""
    known = [column for column in columns if any(column.key in figures for _, figures in published)]
    if not known:
        return []
    return [
        "## The paper",
        markdown_table(
            ["the paper", *(column.heading for column in known)],
            [[name, *(figures.get(column.key, "–") for column in known)] for name, figures in published],
        ),
    ]


def _training_time(work: Comparison, network: str) -> float:
    """Mean seconds of training over the seeds."""
    times = [training_seconds(network, seed, work.out / "networks") for seed in work.seeds]
    return sum(times) / len(times)


def _finish(number: int, work: Comparison, rows: dict[str, list[dict]], text: str, shown: Sequence[Column]) -> Path:
    write_text(work.out / f"table{number}.md", text)
    bars(
        rows,
        [column for column in shown if any(column.key in row for group in rows.values() for row in group)],
        NAMES,
        work.out / f"table{number}.png",
    )
    return work.out / f"table{number}.md"


def table1(request: ComparisonRequest) -> Path:
    """2-D registration: RaFD where it is present, otherwise slices of cine heart MR, which the title says."""
    work = arrange(FACES, request)
    rows = work.rows()
    title = f"Table 1: 2-D registration of {work.data.data_set.title}"
    if work.data.data_set.name != "rafd":
        title += " (in place of the faces of RaFD)"
    columns = (NMSE, SSIM, PSNR, DICE, HD95, CENTRAL, FOLDED, SPREAD, SECONDS)
    text = table_page(title, work, rows, columns, TABLE_1, "nmse", "voxelmorph", [REMARKS["folded_central"]])
    return _finish(1, work, rows, text, (NMSE, SSIM, CENTRAL))


def table2(request: ComparisonRequest) -> Path:
    """3-D cardiac registration and its trajectory: ACDC where it is present, else the synthetic phantom, whose motion
    is known.
    """
    work = arrange(HEARTS, request)
    rows = work.rows()
    title = f"Table 2: cardiac registration and continuous deformation of {work.data.data_set.title}"
    if work.data.data_set.name != "acdc":
        title += " (in place of ACDC)"
    columns = (PAPER_DICE, CARDIAC_DICE, HD95, CENTRAL, FOLDED, SPREAD, PATH_PSNR, PATH_NMSE, PATH_ERROR, FRAME)
    published, remarks = TABLE_2, [REMARKS["path_nmse"], REMARKS["folded_central"], _verdict(rows)]
    if work.data.data_set.name not in ("acdc", "phantom", "phantom-2d"):
        columns = (DICE, HD95, NMSE, SSIM, CENTRAL, FOLDED, SPREAD, SECONDS, FRAME)
        published, remarks = (), [REMARKS["folded_central"]]
    text = table_page(title, work, rows, columns, published, "path_psnr", "voxelmorph", remarks)
    return _finish(2, work, rows, text, (PAPER_DICE, PATH_PSNR, PATH_ERROR))


def _verdict(rows: dict[str, list[dict]]) -> str:
    """The paper's claim about the trajectory, in one sentence per measure, as this run found it."""
    said = []
    for key, name, higher in (("path_psnr", "PSNR of the frames", True), ("path_error", "error of the field", False)):
        means = {
            method: values(group, key).mean()
            for method, group in rows.items()
            if method not in ("initial", *TRUTHS) and not method.endswith(REFINED) and len(values(group, key))
        }
        ours = [
            method for method in means if method in COMPARED and COMPARED[method].network.startswith("diffusemorph")
        ]
        others = [method for method in means if method not in ours]
        if not ours or not others:
            continue
        best = max if higher else min
        mine, theirs = best(ours, key=means.get), best(others, key=means.get)
        better = means[mine] > means[theirs] if higher else means[mine] < means[theirs]
        said.append(
            f"By the {name}, the best eta trajectory ({NAMES[mine]}, {means[mine]:.3f}) is "
            f"{'closer to' if better else 'no closer to'} the true motion than the best rival "
            f"({NAMES[theirs]}, {means[theirs]:.3f})."
        )
    return " ".join(said)


def table3(request: ComparisonRequest) -> Path:
    """Brains: OASIS-3 or neurite-OASIS where they are present, else the labelled OASIS brains at half resolution."""
    work = arrange(BRAINS, request)
    rows = work.rows()
    columns = (DICE, CENTRAL, FOLDED, SPREAD, NMSE, SECONDS)
    text = table_page(
        f"Table 3: brain registration of {work.data.data_set.title}",
        work,
        rows,
        columns,
        TABLE_3,
        "dice",
        "syn",
        [REMARKS["MSDIRNet"] if "msdirnet" in rows else "", REMARKS["uniGradICON"], REMARKS["folded_central"]],
    )
    return _finish(3, work, rows, text, (DICE, CENTRAL))


def table4(request: ComparisonRequest) -> Path:
    """The weight lambda of the registration loss on the brains: 2, 5 and 10, DiffuseMorph as in the paper."""
    rows: dict[str, list[dict]] = {}
    work = None
    for weight in LAMBDAS:
        methods = ("initial", "diffusemorph") if weight == LAMBDAS[0] else ("diffusemorph",)
        part = replace(request, out=request.out / f"lambda{weight:g}", methods=methods)
        # The images are the same for all weights: prepare them once.
        data = None if work is None else work.data
        work = arrange(BRAINS, part, LossWeights(registration=weight))
        work.data = data or work.data
        found = work.rows()
        rows |= {name: found[name] for name in ("initial",) if name in found}
        rows[f"lambda = {weight:g}"] = found["diffusemorph"]
    records = Records(request.out, {"lambdas": list(LAMBDAS)})
    records.write_csv("cases.csv", [{"lambda": name, **row} for name, group in rows.items() for row in group])
    title = f"Table 4: the weight of the registration loss, {work.data.data_set.title}"
    text = table_page(title, work, rows, (DICE, CENTRAL, FOLDED, SPREAD), TABLE_4, "dice", "lambda = 10")
    text = text.replace(f"- lambda: {work.weights.registration}\n", "")
    return _finish(4, replace(work, out=request.out), rows, text, (DICE, CENTRAL))
