"""`diffusemorph template` from a table to files."""

from __future__ import annotations

import csv
import json
import os
import signal

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore import load_result
from DiffuseMorphCore.command_line import main
from DiffuseMorphCore.images import dice, write_image
from Testing.stopping import begun

QUICK = ["--rounds", "1", "--align", "rigid", "--device", "cpu", "--threads", "1", "--spacing", "3"]


@pytest.fixture(scope="module")
def table(pair_3d, tmp_path_factory):
    """A table of three people with labels, its files beside it."""
    folder = tmp_path_factory.mktemp("people")
    third = sitk.Resample(pair_3d[1], pair_3d[1], sitk.TranslationTransform(3, (4.0, -3.0, 2.0)), sitk.sitkLinear)
    rows = ["name;image;labels"]
    for name, image in zip("abc", (*pair_3d, third)):
        write_image(image, folder / f"{name}.nii.gz")
        write_image(sitk.Cast(image > 60, sitk.sitkUInt16), folder / f"{name}_labels.nii.gz")
        rows.append(f"{name};{name}.nii.gz;{name}_labels.nii.gz")
    (folder / "people.csv").write_text("\n".join(rows))
    return folder / "people.csv"


def test_a_table_becomes_a_template_and_results_that_apply_takes(table, tmp_path, capsys):
    out = tmp_path / "group"
    assert main(["template", str(table), "-o", str(out), *QUICK]) == 0
    text = capsys.readouterr().out
    assert "The template of 3 people" in text and "Sharpness:" in text
    names = ["affine_mean.nii.gz", "changes.csv", "labels.nii.gz", "people", "report.json", "template.nii.gz"]
    assert sorted(os.listdir(out)) == [*names, "template.png"]
    with open(out / "changes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["round"] for row in rows] == ["0", "1"] and float(rows[1]["distance_mm"]) > 0
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["settings"]["rounds"] == 1
    labels = sitk.ReadImage(str(out / "labels.nii.gz"))
    for name in "abc":
        person = load_result(out / "people" / name)
        moved = person.warp_labels(str(table.parent / f"{name}_labels.nii.gz"))
        assert dice(labels, moved)["mean"] > 0.95
    carried = tmp_path / "a_on_b.nii.gz"
    chain = [str(out / "people" / "b" / "inverse_transform.h5"), str(out / "people" / "a")]
    assert main(["apply", *chain, "--to", str(table.parent / "a_labels.nii.gz"), "-o", str(carried)]) == 0
    truth = sitk.ReadImage(str(table.parent / "b_labels.nii.gz"))
    before = dice(sitk.ReadImage(str(table.parent / "a_labels.nii.gz")), truth)["mean"]
    assert dice(sitk.ReadImage(str(carried)), truth)["mean"] > max(0.95, before)


def test_a_folder_in_use_and_a_table_that_is_none_are_refused(table, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert main(["template", str(table), "-o", str(tmp_path / "full"), *QUICK]) == 1
    assert "exists and is not empty" in capsys.readouterr().err
    assert main(["template", str(tmp_path / "none.csv"), "-o", str(tmp_path / "new")]) == 1
    assert "give a CSV file" in capsys.readouterr().err and not (tmp_path / "new").exists()


PROGRAM = """
import os, sys, time
from DiffuseMorphCore.command_line import main, template
class Told(template.ProgressBar):
    def __call__(self, stage, fraction):
        super().__call__(stage, fraction)
        if stage == "template" and fraction > 0.75:
            os.write(int(sys.argv[1]), b".")
            time.sleep(60)
template.ProgressBar = Told
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")
def test_a_stopped_job_leaves_no_result_and_goes_on(table, tmp_path, repository, capsys):
    command = ["template", str(table), "-o", "group", *QUICK]
    with begun(["-c", PROGRAM], command, tmp_path, repository) as (process, _):
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 1 and "goes on from what is done" in errors
    kept = tmp_path / "group" / ".diffusemorph-unfinished"
    assert os.listdir(tmp_path / "group") == [kept.name] and len(list(kept.glob("round-*.npz"))) in (1, 2)
    before = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert before
    assert main(["template", str(table), "-o", str(tmp_path / "group"), *QUICK]) == 0
    assert not kept.exists() and (tmp_path / "group" / "report.json").exists()
    fresh = tmp_path / "fresh"
    assert main(["template", str(table), "-o", str(fresh), *QUICK]) == 0
    one, other = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "template.nii.gz")))
        for folder in (tmp_path / "group", fresh)
    )
    np.testing.assert_array_equal(one, other)
