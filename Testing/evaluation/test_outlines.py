"""The picture of moved structures over the fixed ones: where outlines are drawn, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from DiffuseMorphCore.evaluation.__main__ import main
from DiffuseMorphCore.evaluation.outlines import draw
from Testing.evaluation.test_benchmark import write_heart


def middles(path, panels):
    """For each panel from left to right: (row, column) of the middle of grey and of red, in pixels."""
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    picture = picture[45:]  # the titles
    red = (picture[..., 0] > 150) & (picture[..., 1] < 90)
    grey = np.abs(picture - 201).max(axis=2) < 4
    width = picture.shape[1] // panels
    found = []
    for index in range(panels):
        part = slice(index * width, (index + 1) * width)
        line = np.argwhere(red[:, part])
        found.append([np.argwhere(grey[:, part]).mean(axis=0), (line.min(axis=0) + line.max(axis=0)) / 2])
    return found


@pytest.mark.parametrize("ndim", [2, 3])
def test_outlines_lie_where_the_moved_structures_are(tmp_path, ndim):
    grid = np.indices((40,) * ndim)
    fixed = (((grid - 20) ** 2).sum(axis=0) < 100).astype(int) * 7
    aside = np.roll(fixed, 5, axis=-1)
    moved = {"affine": aside, "zero": fixed}
    path = draw(fixed, moved, [7], (1.0,) * ndim, {"affine": 0.5, "zero": 1.0}, tmp_path / "outlines.png")
    if ndim == 3:
        picture = np.asarray(Image.open(path))
        Image.fromarray(picture[: picture.shape[0] // 3]).save(path)
    apart, together = middles(path, 2)
    assert apart[1][1] - apart[0][1] > 8 and abs(apart[1][0] - apart[0][0]) < 4
    assert np.abs(together[1] - together[0]).max() < 4


def test_a_pair_from_the_command_line(tmp_path, capsys):
    write_heart(tmp_path)
    arguments = ["outlines", "heart", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--threads", "1"]
    assert main([*arguments, "--pair", "nobody"]) == 1
    names = re.search(r"choose one of ([^,]+),", capsys.readouterr().err).group(1)
    assert main([*arguments, "--pair", names, "--methods", "initial,affine"]) == 0
    assert (tmp_path / "out" / "outlines.png").is_file()
    assert main([*arguments, "--pair", names, "--labels", "99"]) == 1
    assert "structures 99" in capsys.readouterr().err
