"""Tables of pairs: what columns mean, and what is refused."""

from __future__ import annotations

import pytest

from DiffuseMorphCore.cohort.table import check_rows, columns, parsed, read_table
from DiffuseMorphCore.command_line import main
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.options import declared


def test_a_row_is_what_register_would_be_told(write_table, tmp_path):
    table = write_table(
        "name; fixed; moving; fixed_mask; fixed_2; moving_2; align; intensity_range; maps; no_page; fill; "
        "fixed_labels; moving_labels; fixed_landmarks; moving_landmarks",
        "first; a.nii.gz; b.nii.gz; m.nii.gz; c.nii.gz; d.nii.gz; rigid; -10 90; yes; ; -5; x.nii; y.nii; p.csv; q.csv",
        "; a.nii.gz; sub/My scan.nii.gz; ; ; ; ; ; no; yes; ; ; ; ;",
    )
    pairs = read_table(table, ["--maps", "--align=center", "--eta=0.5"])
    check_rows(pairs, table)
    first, second = (parsed(pair, "out") for pair in pairs)
    assert pairs[0].name == "first" and pairs[1].name == "00002-My_scan-on-a"
    assert first.fixed == str(tmp_path / "a.nii.gz") and first.fixed_mask == str(tmp_path / "m.nii.gz")
    assert first.also == [[str(tmp_path / "c.nii.gz"), str(tmp_path / "d.nii.gz")]]
    assert first.fixed_landmarks == str(tmp_path / "p.csv") and first.moving_labels == str(tmp_path / "y.nii")
    assert (first.align, first.intensity_range, first.maps, first.page) == ("rigid", [-10, 90], True, True)
    assert (first.fill, first.eta, second.fill, second.eta) == (-5, 0.5, None, 0.5)
    assert (second.align, second.maps, second.page, second.fixed_mask) == ("center", False, False, None)
    assert second.moving == str(tmp_path / "sub" / "My scan.nii.gz") and second.also == []


def test_every_option_and_every_guide_of_a_registration_is_a_column():
    guides = {f"{role}_{what}" for role in ("fixed", "moving") for what in ("mask", "labels", "landmarks", "ignore")}
    assert set(columns()) > {*declared(), *guides, "initial_transform", "guide_labels", "eta", "frames", "maps"}
    assert not {"output", "overwrite", "also"} & set(columns())


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["fixed,moving"], "has no rows"),
        (["fixed,movin", "a.nii.gz,b.nii.gz"], "unknown column 'movin': did you mean moving?"),
        (["fixed", "a.nii.gz"], "has no column 'moving'"),
        (["fixed,fixed,moving", "a,b,c"], "has the column 'fixed' twice"),
        (["fixed,,moving", "a,b,c"], "column 2 of the table"),
        (["fixed,moving", "a.nii.gz,"], "The row 1 of the table '{}' has no moving image"),
        (["fixed,moving", "a,b", "a,b,c"], "The row 2 of the table '{}' has more or fewer cells"),
        (["name,fixed,moving", "x,a,b", "X,a,c"], "rows 1 and 2 of the table '{}' have the name 'X'"),
        (["name,fixed,moving", "../x,a,b"], "cannot be that of a folder"),
        (["name,fixed,moving", "summary.csv,a,b"], "is that of a file of the cohort"),
        (["fixed,moving,align", "a,b,wild"], "The row 1 of the table '{}': Argument --align: invalid choice: 'wild'"),
        (["fixed,moving,eta", "a,b,2"], "does not lie between 0 (untouched) and 1"),
        (["fixed,moving,maps", "a,b,perhaps"], "has 'perhaps' in the column maps, but must have yes or no"),
        (["fixed,moving,fixed_2", "a,b,c"], "has only one of fixed_2 and moving_2"),
        (["fixed,moving,fixed_landmarks", "a,b,c"], "Landmarks guide in pairs"),
        (["fixed,moving,guide_labels", "a,b,yes"], "The option --guide-labels needs"),
    ],
)
def test_a_bad_table_is_refused_in_a_sentence_before_anything_is_made(lines, told, write_table, tmp_path, capsys):
    table = write_table(*lines)
    assert main(["cohort", str(table), "-o", str(tmp_path / "out")]) in (1, 2)
    errors = capsys.readouterr().err
    assert told.format(table) in errors
    assert errors.count("\n") == 1 and errors.startswith("diffusemorph cohort: ") and errors.endswith((".\n", "?\n"))
    assert not (tmp_path / "out").exists()


def test_a_table_that_is_none_is_refused(tmp_path, capsys):
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(DiffuseMorphError, match=r"picture\.csv' is no table in UTF-8"):
        read_table(tmp_path / "picture.csv")
    assert main(["cohort", str(tmp_path / "none.csv"), "-o", str(tmp_path / "out")]) == 1
    assert "none.csv' cannot be read: no such file or directory." in capsys.readouterr().err


@pytest.mark.parametrize("other", [["--scheduler", "tcp://h:1"], ["--row", "1"], ["--print-slurm"], ["--summary-only"]])
def test_workers_have_no_place_where_none_are_started(other, write_table, tmp_path, capsys):
    table = write_table("fixed,moving", "a.nii.gz,b.nii.gz")
    assert main(["cohort", str(table), "-o", str(tmp_path / "out"), "--workers", "2", *other]) == 2
    assert f"with {other[0]} none are: leave it out" in capsys.readouterr().err
