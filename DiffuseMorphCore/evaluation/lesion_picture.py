"""The picture of a lesion that was ignored, and not: images, a close-up, and where volume has changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from DiffuseMorphCore.evaluation.paper.pictures import save
from DiffuseMorphCore.previews import INK, show_plane
from DiffuseMorphCore.registration import Registration
from DiffuseMorphCore.view_planes import ViewPlane, orient, scaled, window

LESION, BELONGS = "#ff5a4d", "#ffd54d"
_VOLUME = LinearSegmentedColormap.from_list("volume", ["#ff8a3c", "#6e2f0a", "#000000", "#0a3c66", "#5cc8ff"])
_MOST = 3  # times the volume, shown in the brightest colours
_AROUND = 30.0  # mm of the close-up beside the middle of the lesion
_TITLES = ("fixed: healthy", "moving: with a lesion", "registered, lesion not ignored", "registered, lesion ignored")


def draw(plain: Registration, ignored: Registration, healthy: Registration, mask: sitk.Image, path: Path) -> Path:
    """One picture from a registration of an image with a lesion, one that ignores it, and that of the healthy image.

    mask : the lesion on the moving image. Columns: fixed, moving (as aligned), moved without and with ignoring. The
    lesion is outlined in red, where it belongs in yellow; below, a close-up, and how volumes have changed there.
    """
    fixed = orient(plain.fixed)
    found = {"belongs": (healthy, 1.0), "moving": (plain, 0.0), "plain": (plain, 1.0), "ignored": (ignored, 1.0)}
    regions = {name: _seen(mask, *way) for name, way in found.items()}
    middle = np.argwhere(regions["belongs"] > 0.5).mean(axis=0).round().astype(int)
    spacing = fixed.GetSpacing()[::-1]
    plane = ViewPlane(fixed, 0, int(middle[0]), (spacing[1], spacing[2]), up=False)
    shown = (plain.fixed, ignored.warp(eta=0.0), plain.warp(), ignored.warp())
    limits = window(plain.fixed), window(healthy.moving)
    figure, cells = _cells(fixed)
    for column, (image, title, name) in enumerate(zip(shown, _TITLES, (None, "moving", "plain", "ignored"))):
        values = scaled(plane.of(sitk.GetArrayFromImage(orient(image))), limits[min(column, 1)])
        outlines = {BELONGS: "belongs"} if column != 1 else {}
        if name is not None:
            outlines[LESION] = name
        panels = [(0, values, "gray", (0.0, 1.0)), (1, values, "gray", (0.0, 1.0))]
        if column > 1:
            volume = sitk.GetArrayFromImage(orient((plain, ignored)[column - 2].jacobian()))
            change = -np.log(np.clip(plane.of(volume), 1e-3, None)) / np.log(_MOST)
            panels.append((2, change, _VOLUME, (-1.0, 1.0)))
        for row, array, colours, span in panels:
            axis = figure.add_subplot(cells[row, column])
            show_plane(axis, array, plane, cmap=colours, limits=span)
            for colour, region in outlines.items():
                _outline(axis, plane.of(regions[region]), colour)
            if row == 0:
                axis.set_title(title, color=INK, fontsize=8)
            else:
                _close_up(axis, middle[1:], plane.spacing)
            if row == 1 and column > 1:
                share = 100 * regions[name].sum() / regions["moving"].sum()
                text = f"{share:.0f} % of its volume"
                axis.text(
                    0.5, 0.04, text, color=LESION, ha="center", fontsize=9, weight="bold", transform=axis.transAxes
                )
    _legend(figure, cells)
    return save(figure, path)


def _seen(mask: sitk.Image, found: Registration, eta: float) -> np.ndarray:
    """0 to 1, on the oriented fixed image: how much of a voxel is in the moved mask."""
    moved = sitk.Resample(
        sitk.Cast(mask, sitk.sitkFloat32), found.fixed, found.transform(eta), sitk.sitkLinear, 0.0, sitk.sitkFloat32
    )
    return sitk.GetArrayFromImage(orient(moved))


def _cells(fixed: sitk.Image) -> tuple[Figure, object]:
    width, height = (size * step for size, step in zip(fixed.GetSize()[:2], fixed.GetSpacing()[:2]))
    side = 1.8
    rows = [side * height / width, side, side]
    figure = Figure(figsize=(4 * side, sum(rows) + 0.3), facecolor="black")
    top = 1 - 0.3 / (sum(rows) + 0.3)
    place = {"left": 0.004, "right": 0.996, "bottom": 0.004, "top": top, "wspace": 0.02, "hspace": 0.02}
    return figure, figure.add_gridspec(3, 4, height_ratios=rows, **place)


def _legend(figure: Figure, cells: object) -> None:
    """What the colours mean, where the third row has no image."""
    axis = figure.add_subplot(cells[2, :2])
    axis.set_axis_off()
    lines = [Line2D([], [], color=LESION, lw=1.5), Line2D([], [], color=BELONGS, lw=1.5, ls="dashed")]
    names = ["the lesion", "where its place is, by the healthy brain"]
    axis.legend(lines, names, loc="upper left", frameon=False, labelcolor=INK, fontsize=8)
    bar = axis.inset_axes((0.04, 0.36, 0.88, 0.09))
    scale = ScalarMappable(LogNorm(1 / _MOST, _MOST), _VOLUME)
    colours = figure.colorbar(scale, cax=bar, orientation="horizontal")
    names = {1 / _MOST: f"1/{_MOST} of its volume", 1.0: "volume kept", float(_MOST): f"{_MOST} times"}
    colours.set_ticks(list(names), labels=list(names.values()), color=INK, fontsize=8)
    colours.ax.xaxis.set_minor_locator(NullLocator())
    bar.set_title("what the deformation does to tissue (right)", color=INK, fontsize=8, loc="left")
    for label, side in zip(bar.get_xticklabels(), ("left", "center", "right")):
        label.set_ha(side)


def _outline(axis: Axes, region: np.ndarray, colour: str) -> None:
    if region.min() < 0.5 < region.max():
        axis.contour(
            region, levels=[0.5], colors=colour, linewidths=1.3, linestyles="dashed" if colour == BELONGS else "solid"
        )


def _close_up(axis: Axes, middle: np.ndarray, spacing: tuple[float, float]) -> None:
    rows, columns = (_AROUND / step for step in spacing)
    axis.set_xlim(middle[1] - columns, middle[1] + columns)
    axis.set_ylim(middle[0] + rows, middle[0] - rows)
