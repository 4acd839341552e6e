"""Pictures show what they are drawn from: bars as long as means, boxes where values lie, grids where the field puts
them."""

from __future__ import annotations

import numpy as np
import pytest

from DiffuseMorphCore.evaluation.paper import pictures
from DiffuseMorphCore.evaluation.report import Column


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved, in their order."""
    figures = []
    save = pictures.save
    monkeypatch.setattr(pictures, "save", lambda figure, path: figures.append(figure) or save(figure, path))
    return figures


def test_bars_are_as_long_as_the_means(drawn, tmp_path):
    rows = {"ours": [{"dice": 0.8}, {"dice": 0.6}], "theirs": [{"dice": 0.3}, {"dice": 0.5}]}
    pictures.bars(rows, [Column("dice", "Dice (%)", 1, scale=100)], {"ours": "Ours"}, tmp_path / "a.png")
    (axis,) = drawn[0].axes
    assert [bar.get_width() for bar in axis.patches] == pytest.approx([70, 40])
    assert axis.get_title() == "Dice (%)" and [label.get_text() for label in axis.get_yticklabels()] == [
        "Ours",
        "theirs",
    ]


def test_boxes_hold_the_values_of_their_structure_and_method(drawn, tmp_path):
    groups = {
        "thalamus": {"ours": np.array([0.7, 0.8, 0.9]), "theirs": np.array([0.2, 0.3, 0.4])},
        "putamen": {"ours": np.array([0.5, 0.6, np.nan]), "theirs": np.array([0.1, 0.1, 0.1])},
    }
    pictures.boxes(groups, tmp_path / "a.png")
    (axis,) = drawn[0].axes
    medians = sorted(
        line.get_ydata()[0]
        for line in axis.lines
        if len(line.get_ydata()) == 2 and line.get_ydata()[0] == line.get_ydata()[1] and np.ptp(line.get_xdata()) > 0.3
    )
    assert {0.8, 0.3, 0.55, 0.1} <= {round(value, 3) for value in medians}
    assert [label.get_text() for label in axis.get_xticklabels()] == list(groups)


@pytest.mark.parametrize("direction", [0, 1])
def test_grid_lines_run_where_the_field_puts_them(direction):
    shape = (25, 31)
    displacement = np.zeros((2, *shape))
    displacement[direction] = 2.5 * np.sin(np.linspace(0, np.pi, shape[1 - direction])).reshape(
        (-1, 1) if direction else (1, -1)
    )
    figure, axes = pictures.canvas(1, 1)
    pictures.grid_lines(axes[0][0], displacement, step=6)
    lines = [np.array(line.get_data()) for line in axes[0][0].lines]
    assert len(lines) == len(range(0, 25, 6)) + len(range(0, 31, 6))
    rows, columns = np.indices(shape)
    x, y = columns + displacement[1], rows + displacement[0]
    np.testing.assert_allclose(lines[1], [x[6], y[6]])
    np.testing.assert_allclose(lines[5 + 2], [x[:, 12], y[:, 12]])


def test_an_image_is_shown_as_it_is_with_the_outlines_on_it():
    image, labels = np.random.default_rng(0).random((20, 24)), np.zeros((20, 24), int)
    labels[5:12, 6:15] = 1
    figure, axes = pictures.canvas(1, 1)
    pictures.show(axes[0][0], image, "moved")
    pictures.contours(axes[0][0], labels, {1: "red", 2: "blue"})
    np.testing.assert_array_equal(axes[0][0].images[0].get_array(), image)
    (outline,) = [each for each in axes[0][0].collections]
    points = np.concatenate([path.vertices for path in outline.get_paths()])
    assert points.min(axis=0) == pytest.approx([5.5, 4.5]) and points.max(axis=0) == pytest.approx([14.5, 11.5])
