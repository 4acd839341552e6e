"""Pictures of a sequence, drawn by matplotlib: its frames before and after, moving, and curves over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from DiffuseMorphCore.previews import INK, planes_figure, show_plane
from DiffuseMorphCore.view_planes import choose_planes, orient, scaled, window


class SequencePicture:
    """An animation of a sequence: above the frames as they are, below on the reference, where all should stand still.

    Kept are planes, not volumes.
    """

    def __init__(self, reference: sitk.Image) -> None:
        self._planes = choose_planes(reference)
        self._shape = tuple(reversed(orient(reference).GetSize()))
        self._window = window(reference)
        self._frames: list[tuple[str, list[list[np.ndarray]]]] = []

    def add(self, name: str, frame: sitk.Image, moved: sitk.Image) -> None:
        """Add a frame, as it is and as it lies on the reference."""
        rows = []
        for image in (frame, moved):
            array = sitk.GetArrayFromImage(orient(image))
            rows.append([(255 * scaled(plane.of(array), self._window)).astype(np.uint8) for plane in self._planes])
        self._frames.append((name, rows))

    def save(self, path: str | Path, frames_per_second: float = 8.0) -> None:
        """Write the frames as an endless animation (.gif)."""
        from matplotlib.animation import PillowWriter

        figure, axes = planes_figure(self._planes, self._shape, 2, across=True)
        canvas = FigureCanvasAgg(figure)
        writer = PillowWriter(fps=frames_per_second)
        with writer.saving(canvas.figure, str(path), dpi=90):
            for name, rows in self._frames:
                for row, images in enumerate(rows):
                    for column, plane in enumerate(self._planes):
                        axes[row, column].clear()
                        show_plane(axes[row, column], images[column] / 255.0, plane)
                figure.suptitle(f"{name}: as it is, and on the reference", color=INK, fontsize=10, y=0.985)
                writer.grab_frame(facecolor="black")


def save_curves(
    times: Sequence[float], curves: Mapping[str, Mapping[str, Sequence[float]]], path: str | Path, axis: str
) -> None:
    """Draw curves over time into the file ``path`` (.png): below one another those of each title, by their names.

    axis : what the times are.
    """
    figure = Figure(figsize=(7.2, 2.3 * len(curves)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (title, lines) in zip(panels, curves.items()):
        for name, values in lines.items():
            panel.plot(times, values, marker=".", linewidth=1.4, label=name)
        panel.set_title(title, fontsize=10, loc="left")
        panel.grid(alpha=0.3)
        if any(lines) and len(lines) <= 12:
            panel.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    panels[-1].set_xlabel(axis)
    figure.savefig(path, dpi=110)
