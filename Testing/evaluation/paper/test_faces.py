"""The paper's experiment on faces: landmarks on a trajectory, and its commands on a photograph where dlib is there."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore.evaluation.__main__ import main
from DiffuseMorphCore.evaluation.datasets.face_landmarks import REGIONS
from DiffuseMorphCore.evaluation.datasets.scan import Scan, ScanPair
from DiffuseMorphCore.evaluation.datasets.yale_faces import EXPRESSIONS
from DiffuseMorphCore.evaluation.paper.landmark_path import carried_points, landmark_row, paths

ETAS = (0.0, 0.25, 0.5, 0.75, 1.0)
POINTS = np.random.default_rng(0).uniform(25, 55, (68, 2))


def dot(x, y):
    """A bright dot at that place, 80 x 80 pixels."""
    rows, columns = np.indices((80, 80))
    return (250 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 50)).astype(np.float32)


def find(picture):
    """68 landmarks that lie around the dot's middle as `POINTS` do around (40, 40)."""
    rows, columns = np.indices(picture.shape)
    weight = picture.astype(float)
    if not weight.sum():
        return None
    return POINTS - 40 + [(axis * weight).sum() / weight.sum() for axis in (columns, rows)]


@pytest.fixture
def pair():
    """Moving and fixed dot, 4 pixels apart along x and 2 along y."""
    ends = [
        Scan(
            name,
            "one",
            lambda x=x, y=y: sitk.GetImageFromArray(dot(x, y)),
            read_landmarks=lambda x=x, y=y: POINTS + (x - 40, y - 40),
        )
        for name, x, y in (("moving", 40, 40), ("fixed", 44, 42))
    ]
    return ScanPair(*ends)


def shifted(x, y, side=80):
    """The field that moves an image by so many of its pixels: it pulls from the opposite side."""
    return torch.tensor([-float(y), -float(x)]).view(1, 2, 1, 1).expand(1, 2, side, side)


def test_landmarks_go_with_the_image(pair):
    assert carried_points(POINTS, shifted(3, -1)) == pytest.approx(POINTS + (3, -1), abs=1e-6)
    # A field that changes from place to place: what is pulled from where it came lands where it went.
    rows, columns = torch.meshgrid(*[torch.arange(80.0)] * 2, indexing="ij")
    field = torch.stack([3 * torch.sin(columns / 9), 4 * torch.cos(rows / 11)])[None]
    went = carried_points(POINTS, field)
    moved = torch.nn.functional.grid_sample(
        field, torch.from_numpy(went * 2 / 79 - 1).float().view(1, 1, -1, 2), align_corners=True
    )[0, :, 0].numpy()
    assert went + moved[::-1].T == pytest.approx(POINTS, abs=1e-3)


def test_a_scaled_field_moves_all_landmarks_alike(pair):
    row = landmark_row(pair, lambda eta: eta * shifted(4, 2), ETAS, find)
    for eta in ETAS:
        left = (4**2 + 2**2) * (1 - eta) ** 2
        assert row[f"carried {eta:g}"] == pytest.approx(left, abs=1e-4)
        assert row[f"detected {eta:g}"] == pytest.approx(left, abs=0.15)
        for region in REGIONS:
            assert row[f"{region} {eta:g}"] == pytest.approx(eta, abs=1e-4)
    assert row["alike 0.25"] == pytest.approx(1, abs=1e-6) and "alike 0" not in row


def test_a_movement_that_turns_is_told_from_a_scaled_one(pair):
    # First to the right, then down: half way there is nothing of the second half.
    row = landmark_row(pair, lambda eta: shifted(min(1, 2 * eta) * 4, max(0, 2 * eta - 1) * 2), ETAS, find)
    assert row["mouth 0.5"] == pytest.approx(16 / 20, abs=1e-4)
    assert row["alike 0.5"] == pytest.approx(4 / 20**0.5, abs=1e-5)
    assert row["carried 0.5"] == pytest.approx(4, abs=1e-4) and row["carried 1"] == pytest.approx(0, abs=1e-6)


def test_a_coarser_field_is_measured_in_the_photographs_pixels(pair):
    at = paths(pair, lambda eta: eta * shifted(2, 1, side=40), (0.5, 1.0))
    assert at[1] - POINTS == pytest.approx(np.tile((4, 2), (68, 1)), abs=1e-3)


def test_a_moved_image_without_a_face_is_left_out(pair):
    row = landmark_row(pair, lambda eta: eta * shifted(200, 0), (0.0, 1.0), find)
    assert "detected 0" in row and "detected 1" not in row and row["carried 1"] > 100


def test_the_commands_keep_faces_in_their_folder(tmp_path):
    pytest.importorskip("dlib", reason='the landmarks of faces need pip install "diffusemorph[faces]"')
    data = pytest.importorskip("skimage.data", reason="the photograph is scikit-image's")
    grey = data.astronaut().mean(2)
    folder = tmp_path / "faces"
    folder.mkdir()
    for person in range(1, 16):
        for number, expression in enumerate(EXPRESSIONS):
            picture = grey[5 : 5 + 239, 60 + 3 * number : 60 + 3 * number + 316].astype(np.uint8)
            sitk.WriteImage(
                sitk.GetImageFromArray(np.pad(picture, 2, constant_values=255)),
                str(folder / f"subject{person:02d}_{expression}.png"),
            )
    out = tmp_path / "out"
    options = ("--data", str(folder), "--out", str(out), "--size", "tiny", "--grid", "32,32", "--cases", "1")
    pages = {}
    for command in ("table1", "fig5", "fig6"):
        methods = ("--methods", "voxelmorph,diffusemorph-anchored")
        assert main([command, *options, "--threads", "1", "--device", "cpu", *methods]) == 0
        pages[command] = (out / f"{command}.md").read_text(encoding="utf-8")
    assert "of the Yale faces" in pages["table1"]
    for name in ("fig5", "fig6"):
        # The page shows the fields alone; the picture with the face is made, and not shown.
        assert f"]({name}-fields.png)" in pages[name] and f"]({name}.png)" not in pages[name]
        assert (out / f"{name}.png").is_file() and (out / f"{name}-fields.png").stat().st_size > 1000
    assert "landmarks that dlib finds" in pages["fig6"] and "| half way | jaw | brows |" in pages["fig6"]
    with open(out / "fig6.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 and all(0 <= float(row["detected 0"]) < 30 for row in rows)
