"""Every table and figure as a command, end to end at a tiny size."""

import csv
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.figure import Figure

from DiffuseMorphCore.evaluation.__main__ import main
from DiffuseMorphCore.evaluation.datasets.brain_oasis import VALIDATION


@pytest.fixture(scope="module")
def hearts(tmp_path_factory):
    """A folder of heart-cine with seven people, slices of 40 x 40."""
    folder = tmp_path_factory.mktemp("hearts")
    lines = ["person,slice,end_diastole,end_diastole_label,end_systole,end_systole_label"]
    grid = np.indices((40, 40))
    for person in range(7):
        names = [f"p{person}_{kind}.png" for kind in ("ed", "ed_lv", "es", "es_lv")]
        for phase, radius in enumerate((12 - person % 3, 8)):
            disc = ((grid - 20) ** 2).sum(0) < radius**2
            body = 60 + 20 * np.sin(grid[0] / 5) * np.cos(grid[1] / 4)
            sitk.WriteImage(
                sitk.GetImageFromArray(np.where(disc, 220, body).astype(np.uint8)), str(folder / names[2 * phase])
            )
            sitk.WriteImage(sitk.GetImageFromArray(disc.astype(np.uint8) * 255), str(folder / names[2 * phase + 1]))
        lines.append(f"p{person},1,{','.join(names)}")
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def brains(tmp_path_factory):
    """A folder of brain-oasis with seven people: nested ellipsoids of 8 mm voxels, shifted from person to person."""
    folder = tmp_path_factory.mktemp("brains")
    (folder / "labels.csv").write_text("label,name\n4,Left Thalamus Proper\n5,Right Thalamus Proper\n6,Brain Stem\n")
    grid = np.indices((20, 26, 18)).astype(float)
    for index, person in enumerate(("1000", "1001", *VALIDATION)):
        distance = sum(((axis - size / 2 - 0.3 * index) / size * 2.6) ** 2 for axis, size in zip(grid, (20, 26, 18)))
        labels = np.where(distance < 0.15, 6, np.where(distance < 0.4, 5, np.where(distance < 0.8, 4, 0)))
        for kind, array in (("t1", (labels * 30).astype(np.int16)), ("labels", labels.astype(np.int16))):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((8.0, 8.0, 8.0))
            sitk.WriteImage(image, str(folder / f"{person}_{kind}.nii.gz"))
    return folder


def run(command, out, *options):
    code = main([command, "--out", str(out), "--size", "tiny", "--threads", "1", "--device", "cpu", *options])
    assert code == 0
    return (out / f"{command}.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    """File name -> the figure that was saved under it."""
    figures = {}
    savefig = Figure.savefig

    def keep(self, path, **options):
        figures[Path(path).name.split(".part.")[-1]] = self
        return savefig(self, path, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def check_picture(drawn, path):
    """Every panel shows something, no two panels with images show the same, and the file is there."""
    assert path.stat().st_size > 1000
    images = []
    for axis in drawn[path.name].axes:
        assert axis.images or axis.lines or axis.patches or axis.collections or not axis.axison
        images += [np.asarray(image.get_array(), float) for image in axis.images]
    assert all(np.ptp(image) > 0 for image in images)
    # The first image of a row may come again in the next; what a method made of it may not.
    assert not images or len({image.tobytes() for image in images}) > 1


def test_table_1_on_hearts_says_that_they_are_not_faces(hearts, tmp_path, drawn):
    page = run(
        "table1",
        tmp_path,
        "--data",
        str(hearts),
        "--cases",
        "2",
        "--grid",
        "32,32",
        "--methods",
        "initial,voxelmorph,diffusemorph",
    )
    assert "in place of the faces of RaFD" in page and "0.0032 (0.0017)" in page
    for name in ("Initial", "VoxelMorph, scaled field", "DiffuseMorph, as in the paper"):
        assert f"| {name} | 2 |" in page
    check_picture(drawn, tmp_path / "table1.png")
    with open(tmp_path / "cases.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 6


def test_table_2_tests_the_claim_about_the_way_with_seeds(tmp_path):
    page = run(
        "table2",
        tmp_path,
        "--seeds",
        "0,1",
        "--batch",
        "2",
        "--smoothness",
        "0.5",
        "--methods",
        "initial,true,true-scaled,initial+refine,voxelmorph,diffusemorph-anchored,diffusemorph-anchored+refine",
    )
    assert "DiffuseMorph, anchored, refined | 4 |" in page and "Refinement alone | 2 |" in page
    assert "3 steps of 2 pairs" in page
    true = next(line for line in page.splitlines() if line.startswith("| The true motion | 2 |"))
    assert " 0.000 (0.000) |" in true and "not known" not in page
    assert "in place of ACDC" in page and "## Seed by seed" in page and "seed 1" in page
    assert "closer to the true motion" in page and "trajectory: error of the field" in page


def test_the_way_frame_by_frame_shares_the_folder_of_table_2(hearts, tmp_path, capsys, drawn):
    methods = "true,true-scaled,voxelmorph,diffusemorph,diffusemorph-anchored"
    run("table2", tmp_path, "--methods", methods)
    networks = {path: path.stat().st_mtime_ns for path in (tmp_path / "networks").iterdir()}
    page = run("trajectory", tmp_path, "--methods", methods)
    assert networks == {path: path.stat().st_mtime_ns for path in (tmp_path / "networks").iterdir()}
    assert "| The true motion | 0.00 | 0.00 | 0.00 |" in page
    with open(tmp_path / "trajectory.csv", newline="") as file:
        rows = [
            (row["method"], {key: float(value) for key, value in row.items() if key[-1].isdigit()})
            for row in csv.DictReader(file)
        ]
    assert len(rows) == 10
    for method, row in rows:
        assert row["length 0.00"] < 1e-9 or method == "diffusemorph"
        assert row["error 1.00"] < 1e-6 or not method.startswith("true")
        assert row["error 0.50"] < 1e-6 or method != "true"
        assert row["length 0.50"] == pytest.approx(row["length 1.00"] / 2, rel=1e-4) or method != "true-scaled"
    check_picture(drawn, tmp_path / "trajectory.png")
    assert (
        main(
            [
                "trajectory",
                "--data-set",
                "heart-cine",
                "--data",
                str(hearts),
                "--size",
                "tiny",
                "--threads",
                "1",
                "--out",
                str(tmp_path / "other"),
            ]
        )
        == 1
    )
    assert "is not known" in capsys.readouterr().err


def test_tables_3_and_4_and_figure_10_on_brains(brains, tmp_path, drawn):
    options = ("--data", str(brains), "--grid", "16,20,16", "--cases", "2")
    few = ("--methods", "initial,voxelmorph,msdirnet,diffusemorph")
    page = run("table3", tmp_path / "three", *options, *few)
    assert "| MSDIRNet (global, local, critic), scaled field | 2 |" in page and "brain" in page.lower()
    assert "Unlike the original" in page
    page = run("fig10", tmp_path / "three", *options, *few)
    assert "thalamus proper" in page and "brain stem" in page
    check_picture(drawn, tmp_path / "three" / "fig10.png")
    page = run("fig9", tmp_path / "three", *options, *few)
    assert "thalami" in page and "DiffuseMorph, as in the paper" in page
    check_picture(drawn, tmp_path / "three" / "fig9.png")
    page = run("table4", tmp_path / "four", *options)
    assert all(f"| lambda = {weight} |" in page for weight in (2, 5, 10)) and "0.736 (0.152)" in page
    assert "| Initial | 2 |" in page


def test_figure_5_shows_registrations_and_fields(hearts, tmp_path, drawn):
    page = run("fig5", tmp_path, "--data", str(hearts), "--cases", "2", "--grid", "32,32")
    assert "| case | method | NMSE | SSIM |" in page and page.count("VoxelMorph, scaled field") == 2
    check_picture(drawn, tmp_path / "fig5.png")


def test_figure_6_shows_the_way(hearts, tmp_path, drawn):
    page = run(
        "fig6",
        tmp_path,
        "--data",
        str(hearts),
        "--cases",
        "1",
        "--grid",
        "32,32",
        "--methods",
        "voxelmorph,diffusemorph-anchored",
    )
    assert "outlines" in page and "eta = 0.25" in page
    check_picture(drawn, tmp_path / "fig6.png")


def test_figure_7_synthesises_in_two_dimensions(hearts, tmp_path, drawn):
    page = run("fig7", tmp_path, "--data", str(hearts), "--cases", "1", "--grid", "16,16")
    assert "synthetic, 80 steps" in page and "synthetic, 200 steps" in page
    check_picture(drawn, tmp_path / "fig7.png")


def test_the_latent_is_measured_by_step_and_along_eta(hearts, tmp_path, drawn):
    page = run("latent", tmp_path, "--data", str(hearts), "--cases", "1", "--grid", "32,32")
    anchored = next(line for line in page.splitlines() if "anchored |" in line)
    assert anchored.split("|")[2].strip() == "0.000" and anchored.split("|")[7].strip() != "0.000"
    steps = next(line for line in page.splitlines() if line.startswith("| error of the noise estimate"))
    assert all(float(cell) > 0 for cell in steps.split("|")[2:-1])
    check_picture(drawn, tmp_path / "latent.png")


def test_figures_use_the_networks_of_the_table_in_their_folder(hearts, tmp_path):
    options = ("--data", str(hearts), "--cases", "1", "--grid", "16,16")
    run("table1", tmp_path, *options, "--methods", "diffusemorph")
    kept = [tmp_path / "cases.csv", *(tmp_path / "networks").iterdir()]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in kept]
    for figure in ("fig6", "fig7", "latent"):
        run(figure, tmp_path, *options, *(("--methods", "diffusemorph") if figure == "fig6" else ()))
        assert (tmp_path / f"{figure}.csv").is_file()
    assert before == [(path.read_bytes(), path.stat().st_mtime_ns) for path in kept]


def test_figure_8_shows_true_frames(tmp_path, drawn):
    page = run("fig8", tmp_path)
    assert "PSNR at time 0.50" in page
    check_picture(drawn, tmp_path / "fig8.png")


def test_prepared_files_and_their_lists(hearts, tmp_path, capsys):
    assert main(["prepare", "heart-cine", "--data", str(hearts), "--out", str(tmp_path), "--threads", "1"]) == 0
    assert "pairs_train.csv" in capsys.readouterr().out
    with open(tmp_path / "pairs_validation.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    for row in rows:
        images = [sitk.ReadImage(str(tmp_path / path)) for path in row.values()]
        assert {image.GetSize() for image in images} == {(40, 40)}


def test_data_that_fit_no_experiment_are_named(tmp_path, capsys):
    arguments = ["table1", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--threads", "1"]
    assert main(arguments) == 1
    assert "rafd" in capsys.readouterr().err
    assert main(["table3", "--out", str(tmp_path / "out"), "--threads", "1"]) == 1
    assert "--data" in capsys.readouterr().err
    assert main(["table2", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--threads", "1"]) == 1
    assert "acdc" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert main([*arguments, "--data-set", "phantom"]) == 1
    assert "3-D" in capsys.readouterr().err
    assert main(["table2", "--size", "tiny", "--methods", "best", "--out", str(tmp_path / "o"), "--threads", "1"]) == 1
    assert "no method 'best'" in capsys.readouterr().err
