"""Pictures of tables and figures, with matplotlib, drawn without a screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from DiffuseMorphCore.evaluation.datasets import DataSet
from DiffuseMorphCore.evaluation.report import Column, values
from DiffuseMorphCore.files import completed


def canvas(rows: int, columns: int, width: float = 2.2, height: float = 2.4):
    """A figure and a (rows, columns) array of axes without ticks, independent of any display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
    return figure, axes


def save(figure, path: Path) -> Path:
    """Write a picture whole or not at all."""
    with completed(path, make_folder=True) as part:
        figure.savefig(part, dpi=110, format="png")
    return path


def link(data_set: DataSet, text: str, name: str) -> str:
    """The Markdown of a picture with images in it; a sentence where the terms of the data forbid passing it on."""
    if data_set.may_be_shown:
        return f"![{text}]({name})"
    return f"The picture with images, {name}, stays where it was made: those of {data_set.title} may not be passed on."


def bars(rows: dict[str, list[dict]], columns: Sequence[Column], names: dict[str, str], path: Path) -> Path:
    """One panel for each measure: the mean of each method, and its standard deviation over the cases."""
    figure, axes = canvas(1, max(len(columns), 1), width=3.6, height=0.6 + 0.4 * len(rows))
    for axis, column in zip(axes[0], columns):
        found = [values(group, column.key) * column.scale for group in rows.values()]
        means = [array.mean() if len(array) else 0.0 for array in found]
        spreads = [array.std() if len(array) else 0.0 for array in found]
        axis.barh(range(len(rows)), means, xerr=spreads, color="#4878a8", error_kw={"lw": 0.8})
        axis.set_title(column.heading, fontsize=9)
        axis.invert_yaxis()
        axis.tick_params(axis="x", labelsize=7)
        axis.set_xticks(np.linspace(0, max(max(means), 1e-9), 4).round(3))
        if axis is axes[0][0]:
            axis.set_yticks(range(len(rows)), [names.get(key, key) for key in rows], fontsize=7)
    return save(figure, path)


def boxes(groups: dict[str, dict[str, np.ndarray]], path: Path, label: str = "Dice") -> Path:
    """One box for each structure and method: structure -> method -> values of the cases."""
    methods = list(dict.fromkeys(method for found in groups.values() for method in found))
    figure, axes = canvas(1, 1, width=2.0 + 0.9 * len(groups), height=3.6)
    axis = axes[0][0]
    width = 0.8 / max(len(methods), 1)
    for index, method in enumerate(methods):
        data = [groups[structure].get(method, np.array([])) for structure in groups]
        where = np.arange(len(groups)) + (index - (len(methods) - 1) / 2) * width
        drawn = axis.boxplot(
            [array[np.isfinite(array)] for array in data],
            positions=where,
            widths=width * 0.9,
            patch_artist=True,
            manage_ticks=False,
            flierprops={"markersize": 2},
        )
        for box in drawn["boxes"]:
            box.set_facecolor(f"C{index}")
        axis.plot([], [], color=f"C{index}", lw=6, label=method)
    axis.set_xticks(range(len(groups)), list(groups), rotation=40, ha="right", fontsize=7)
    axis.set_yticks(np.linspace(0, 1, 6))
    axis.set_ylabel(label)
    axis.legend(fontsize=7)
    return save(figure, path)


def middle_slice(array: np.ndarray, plane: int | None = None) -> np.ndarray:
    """An image as it is, or one plane of a volume (its middle one by default)."""
    return array if array.ndim == 2 else array[array.shape[0] // 2 if plane is None else plane]


def on_grid(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Labels on another grid over the same extent, each voxel the nearest one's; to draw them over an image."""
    nearest = [((np.arange(side) + 0.5) * old / side).astype(int) for side, old in zip(shape, labels.shape)]
    return labels[np.ix_(*nearest)]


def show(axis, image: np.ndarray, title: str = "", low: float = 0.0, high: float = 1.0) -> None:
    """A grey image on an axis."""
    axis.imshow(image, cmap="gray", vmin=low, vmax=high)
    axis.set_title(title, fontsize=8)


def contours(axis, labels: np.ndarray, colours: dict[int, str]) -> None:
    """The outlines of labels over an image."""
    for label, colour in colours.items():
        if (labels == label).any() and (labels != label).any():
            axis.contour(labels == label, levels=[0.5], colors=colour, linewidths=0.8)


def grid_lines(axis, displacement: np.ndarray, step: int = 6) -> None:
    """A regular grid as the displacement (2, H, W) in pixels bends it: point p is drawn at p + u(p)."""
    rows, columns = np.indices(displacement.shape[1:])
    y, x = rows + displacement[0], columns + displacement[1]
    for index in range(0, displacement.shape[1], step):
        axis.plot(x[index], y[index], color="#205080", lw=0.4)
    for index in range(0, displacement.shape[2], step):
        axis.plot(x[:, index], y[:, index], color="#205080", lw=0.4)
    axis.set_xlim(0, displacement.shape[2] - 1)
    axis.set_ylim(displacement.shape[1] - 1, 0)
    axis.set_aspect("equal")
