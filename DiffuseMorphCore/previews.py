"""Pictures of a registration, drawn by matplotlib: one still to judge it by, one animation that shows it unfold.

Volumes are shown in their three orthogonal planes through the middle of what is in them, the way radiologists look at
them: the patient's right is on the left, anterior and superior are up. Pictures (2-D images) are shown as they are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure

from DiffuseMorphCore.images import grey
from DiffuseMorphCore.registration import Registration
from DiffuseMorphCore.registration.intensity import outside_value
from DiffuseMorphCore.view_planes import ViewPlane, choose_planes, grid_steps, orient, planes_of, scaled, window

GRID_LINES = 26  # along the longest side
INK = "#e8e8e8"
_GRID = "#ffc24d"
_DIFFERENCE = LinearSegmentedColormap.from_list("difference", ["#5cc8ff", "#0a3c66", "#000000", "#6e2408", "#ff9a5c"])


def save_preview(result: Registration, path: str | Path, eta: float = 1.0, modality: str = "same") -> None:
    """Draw fixed, moving, moved, their difference before and after, and the deformed grid into the file `path` (.png).

    "moving" and "before" show the moving image where its header puts it; only where nothing of it is in view there,
    after the alignment, and the title says so. For different modalities a difference means nothing: a checkerboard of
    both is drawn. The grid shows where each point of the fixed image looks, without the linear alignment.
    """
    fixed, moving = orient(result.fixed), grey(result.moving)
    planes = planes_of(result)
    nothing = outside_value(moving) if result.options.fill is None else result.options.fill

    def seen(transform: sitk.Transform) -> list[np.ndarray]:
        if planes[0].axis is None:  # a slice may be oblique in space, and is small
            return [
                sitk.GetArrayFromImage(orient(sitk.Resample(moving, result.fixed, transform, sitk.sitkLinear, nothing)))
            ]
        return [plane.sample(moving, transform, nothing) for plane in planes]

    before, title = seen(sitk.Transform(moving.GetDimension(), sitk.sitkIdentity)), "moving"
    if all(np.ptp(part) == 0 for part in before):
        before, title = seen(result.transform(0.0)), "moving, aligned"
    array, limits, moving_limits = sitk.GetArrayViewFromImage(fixed), window(fixed), window(moving)
    f = [scaled(plane.of(array), limits) for plane in planes]
    b, a = ([scaled(part, moving_limits) for part in parts] for parts in (before, seen(result.transform(eta))))
    steps = grid_steps(result, planes, eta)
    largest = max(float(np.percentile(np.concatenate([np.abs(x - y).ravel() for x, y in zip(f, b)]), 99.5)), 0.05)
    comparison = "difference" if modality == "same" else "checkerboard"
    titles = ["fixed", title, f"moved, eta {eta:g}", f"{comparison} before", f"{comparison} after", "deformed grid"]
    figure, axes = planes_figure(planes, array.shape, len(titles))
    for column, text in enumerate(titles):
        axes[0, column].set_title(text, color=INK, fontsize=10)
    for row, plane in enumerate(planes):
        parts = [f[row], b[row], a[row]]
        for column, part in enumerate(parts):
            show_plane(axes[row, column], part, plane)
        for column, part in ((3, parts[1]), (4, parts[2])):
            if modality == "same":
                show_plane(axes[row, column], part - parts[0], plane, cmap=_DIFFERENCE, limits=(-largest, largest))
            else:
                show_plane(axes[row, column], _checkerboard(parts[0], part), plane)
        show_plane(axes[row, 5], parts[2] * 0.6, plane)
        _draw_grid(axes[row, 5], plane, steps[row])
    figure.savefig(path, dpi=110, facecolor="black")


def save_images(images: dict[str, sitk.Image], path: str | Path) -> None:
    """Draw images on one grid side by side, under their names, all in the planes and the window of the first."""
    first = next(iter(images.values()))
    planes, limits = choose_planes(first), window(first)
    figure, axes = planes_figure(planes, tuple(reversed(orient(first).GetSize())), len(images))
    for column, (name, image) in enumerate(images.items()):
        array = sitk.GetArrayFromImage(orient(image))
        axes[0, column].set_title(name, color=INK, fontsize=10)
        for row, plane in enumerate(planes):
            show_plane(axes[row, column], scaled(plane.of(array), limits), plane)
    figure.savefig(path, dpi=110, facecolor="black")


class TrajectoryPicture:
    """An animation of a registration: each frame shows the moved image and its grid at one eta."""

    def __init__(self, result: Registration) -> None:
        self._result = result
        self._planes = planes_of(result)
        self._window = window(result.moving)
        self._frames: list[tuple[float, list[np.ndarray], list[np.ndarray]]] = []

    def add(self, eta: float, moved: sitk.Image) -> None:
        """Add the frame of `eta`; `moved` is the moving image warped to it, on the fixed grid."""
        array = sitk.GetArrayFromImage(orient(moved))
        images = [scaled(plane.of(array), self._window) for plane in self._planes]
        self._frames.append((eta, images, grid_steps(self._result, self._planes, eta)))

    def save(self, path: str | Path, frames_per_second: float = 8.0) -> None:
        """Write the frames forth and back as an endless animation (.gif)."""
        from matplotlib.animation import PillowWriter

        shape = tuple(reversed(orient(self._result.fixed).GetSize()))
        figure, axes = planes_figure(self._planes, shape, 2, across=True)
        canvas = FigureCanvasAgg(figure)
        writer = PillowWriter(fps=frames_per_second)
        with writer.saving(canvas.figure, str(path), dpi=90):
            for eta, images, steps in [*self._frames, *self._frames[-2:0:-1]]:
                for column, plane in enumerate(self._planes):
                    for row, brightness in ((0, 1.0), (1, 0.6)):
                        axes[row, column].clear()
                        show_plane(axes[row, column], images[column] * brightness, plane)
                    _draw_grid(axes[1, column], plane, steps[column])
                figure.suptitle(f"eta = {eta:.2f}", color=INK, fontsize=11, y=0.985)
                writer.grab_frame(facecolor="black")


def _checkerboard(first: np.ndarray, second: np.ndarray, tiles: int = 8) -> np.ndarray:
    side = max(1, max(first.shape) // tiles)
    rows, columns = np.indices(first.shape) // side
    return np.where((rows + columns) % 2 == 0, first, second)


def _extent(plane: ViewPlane, shape: tuple[int, ...]) -> tuple[float, float]:
    """Height and width of a plane in mm."""
    rows, columns = plane.axes
    return shape[rows] * plane.spacing[0], shape[columns] * plane.spacing[1]


def planes_figure(
    planes: list[ViewPlane], shape: tuple[int, ...], panels: int, across: bool = False
) -> tuple[Figure, np.ndarray]:
    """Axes for every plane and panel: a row a plane, or `across`, a column a plane."""
    extents = [_extent(plane, shape) for plane in planes]
    widest, highest = max(width for _, width in extents), max(height for height, _ in extents)
    if across:
        inches = 3.2 / highest
        widths, heights = [width * inches for _, width in extents], [3.2] * panels
    else:
        inches = 2.5 / widest
        widths, heights = [2.5] * panels, [height * inches for height, _ in extents]
    top = 0.36
    figure = Figure(figsize=(sum(widths), sum(heights) + top), facecolor="black")
    axes = figure.subplots(
        len(heights), len(widths), squeeze=False, gridspec_kw={"width_ratios": widths, "height_ratios": heights}
    )
    figure.subplots_adjust(
        left=0.004, right=0.996, bottom=0.004, top=1 - top / (sum(heights) + top), wspace=0.02, hspace=0.02
    )
    return figure, axes


def show_plane(
    axes: Axes,
    plane_values: np.ndarray,
    plane: ViewPlane,
    cmap: str | Colormap = "gray",
    limits: tuple[float, float] = (0.0, 1.0),
) -> None:
    """Draw the values (rows, columns) of a plane, from the first of the limits, black, to the second."""
    axes.imshow(
        plane_values,
        cmap=cmap,
        vmin=limits[0],
        vmax=limits[1],
        origin="lower" if plane.up else "upper",
        aspect=plane.spacing[0] / plane.spacing[1],
        interpolation="bilinear",
    )
    if plane.mirrored:
        axes.invert_xaxis()
    axes.set_axis_off()


def _draw_grid(axes: Axes, plane: ViewPlane, part: np.ndarray) -> None:
    """Draw the lines of a regular grid at the places they are moved to; `part`: the steps (rows, columns, ndim)."""
    first, second = plane.axes
    rows, columns = np.indices(part.shape[:2]).astype(np.float64)
    rows, columns = rows + part[..., first], columns + part[..., second]
    side = max(length * step for length, step in zip(part.shape[:2], plane.spacing)) / GRID_LINES
    every = [max(1, round(side / step)) for step in plane.spacing]
    limits = axes.get_xlim(), axes.get_ylim()
    axes.plot(columns[:: every[0]].T, rows[:: every[0]].T, color=_GRID, linewidth=0.6)
    axes.plot(columns[:, :: every[1]], rows[:, :: every[1]], color=_GRID, linewidth=0.6)
    axes.set_xlim(limits[0])
    axes.set_ylim(limits[1])
