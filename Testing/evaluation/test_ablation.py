"""What each term of the training objective adds: the variants, a whole small run, and that it is gone on with."""

import csv
from dataclasses import asdict

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.evaluation.__main__ import main
from DiffuseMorphCore.evaluation.ablation import variants
from DiffuseMorphCore.training.settings import read_settings

SETTINGS = """
[model]
preset = "default2d"
[data]
source = "labelmaps"
held_out = 1
[geometry]
shape = [24, 24]
spacing = 2.0
[loss]
window = 5
labels = 0.7
[optimisation]
batch = 1
"""


def test_each_row_has_one_thing_more_than_the_row_above(tmp_path):
    (tmp_path / "run.toml").write_text(SETTINGS)
    rows = list(variants(read_settings(tmp_path / "run.toml"), 100).values())
    assert rows[0].loss.labels == 0 and rows[3].loss.labels == 0.7
    changed = [
        {key for key in asdict(above.loss) if asdict(above.loss)[key] != asdict(row.loss)[key]}
        | ({"stages"} if above.stages != row.stages else set())
        for above, row in zip(rows, rows[1:-1])
    ]
    assert changed == [{"registration_steps"}, {"stages"}, {"labels"}, {"known"}, {"folding", "random_eta"}]
    assert rows[-1].model.control == "alone" and rows[-1].loss == rows[-3].loss
    assert all(row.data == rows[0].data and row.geometry == rows[0].geometry for row in rows)


def test_a_small_run_and_again(tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    grid = np.indices((40, 44, 40)) - 20
    for person in range(3):
        labels = np.where((grid**2).sum(0) < 300, 3, 0)
        labels[((grid - person) ** 2).sum(0) < 60] = 2
        sitk.WriteImage(sitk.GetImageFromArray(labels.astype(np.uint8)), str(data / f"map{person}.nii.gz"))
    (tmp_path / "run.toml").write_text(SETTINGS)
    arguments = [
        "ablation",
        str(tmp_path / "run.toml"),
        "--data",
        str(data),
        "--out",
        str(out),
        "--steps",
        "1",
        "--pairs",
        "1",
        "--threads",
        "1",
        "--device",
        "cpu",
    ]
    assert main(arguments) == 0
    page = capsys.readouterr().out
    with (out / "cases.csv").open(newline="") as file:
        cases = list(csv.DictReader(file))
    assert len(cases) == 7 and page.count("\n| +") == 5
    assert all(0 < float(case["dice"]) <= 1 for case in cases)
    assert cases[-1]["noise_1000"] == "" and float(cases[0]["noise_1000"]) > 0
    row = next((out / "cases").glob("0-0*"))
    row.write_text(row.read_text().replace('"dice": ', '"dice": 0.125, "old": '))
    assert main(arguments) == 0 and "| 0.1250 |" in capsys.readouterr().out
    assert main([*arguments, "--grid", "16,16"]) == 1 and "another grid" in capsys.readouterr().err
    assert main(["ablation", str(tmp_path / "run.toml"), "--out", str(out / "x")]) == 1
    assert "--data" in capsys.readouterr().err
