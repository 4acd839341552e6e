"""Several runs on one page: pairs are matched, times are ratios of the same pairs, and what does not fit is refused."""

import csv

import pytest

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.__main__ import main
from DiffuseMorphCore.evaluation.versus import read_cases, standings


def write_cases(path, rows):
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def row(case, method, dice, seconds, **more):
    measures = {"folded": 0.0, "sd_log_jacobian": 0.3, "peak_gib": 1.5}
    return {"case": case, "method": method, "dice": dice, "cpu_seconds": seconds, **measures, **more}


@pytest.fixture
def runs(tmp_path):
    """Six pairs, the later ones harder; a slow method that had the two easiest only, in a file of its own."""
    levels = [0.8, 0.78, 0.6, 0.59, 0.58, 0.57]
    first = [row(f"p{n}", "default", level, 10 + n) for n, level in enumerate(levels)]
    first += [row(f"p{n}", "syn", level - 0.05, 5 * (10 + n)) for n, level in enumerate(levels)]
    slow = [row(f"p{n}", "syn-cc", levels[n] + 0.01, (40, 90)[n] * (10 + n), folded=0.002) for n in (0, 1)]
    return write_cases(tmp_path / "cases.csv", first), write_cases(tmp_path / "slow.csv", slow)


def test_a_method_with_few_pairs_is_judged_on_these_and_placed_beside_all(runs):
    rows = [each for path in runs for each in read_cases(path)]
    found = {standing.method: standing for standing in standings(rows, "dice", "default")}
    assert list(found) == ["default", "syn", "syn-cc"]  # the quickest first
    slow = found["syn-cc"]
    assert slow.pairs == 2 and slow.ahead == 2
    assert (slow.own_score, slow.reference_score) == pytest.approx((0.8, 0.79))
    # Its plain mean would put it .14 above the reference; it is .01 better.
    assert slow.score == pytest.approx(found["default"].score + 0.01)
    assert slow.times == pytest.approx(60) and slow.seconds == pytest.approx(60 * 12.5)
    assert slow.folded == pytest.approx(0.2) and found["syn"].times == pytest.approx(5)
    assert found["syn"].ahead == 0 and found["syn"].p < 0.05 and found["default"].times == 1


def test_less_is_better_for_distances(tmp_path):
    pairs = (("default", 1.7), ("best", 1.5), ("syn", 2.4))
    rows = [{"case": "lung", "method": method, "tre": error, "cpu_seconds": 10} for method, error in pairs]
    found = {standing.method: standing for standing in standings(rows, "tre", "default")}
    assert found["best"].ahead == 1 and found["syn"].ahead == 0


def test_the_page_and_the_picture(runs, tmp_path, capsys):
    first, slow = runs
    out = tmp_path / "out"
    assert main(["versus", f"brain={first}", f"brain={slow}", f"heart={first}", "--out", str(out)]) == 0
    page = capsys.readouterr().out
    assert page.strip() == (out / "versus.md").read_text(encoding="utf-8").strip()
    line = next(line for line in page.splitlines() if line.startswith("| ANTs SyN, cross-correlation |"))
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[1:7] == ["2", "0.800", "0.790", "2 of 2", "–", "60.00"]
    assert "## heart: heart-cine" in page
    from matplotlib.image import imread

    picture = imread(out / "versus.png")
    assert picture.shape[0] > 200 and picture.std() > 0.05


def test_what_does_not_fit_is_refused_in_one_sentence(runs, tmp_path, capsys):
    first, _ = runs
    out = ["--out", str(tmp_path / "out")]
    for arguments, said in (
        ([f"brain={tmp_path / 'gone.csv'}"], "cannot be read"),
        ([f"brain={first}", f"brain={first}"], "in an earlier file too"),
        ([f"brain={first}", "--reference", "best"], "name with --reference one of default, syn"),
    ):
        assert main(["versus", *arguments, *out]) == 1
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    empty = write_cases(tmp_path / "other.csv", [{"name": "a"}])
    with pytest.raises(DiffuseMorphError, match="no columns case, method and cpu_seconds"):
        read_cases(empty)
    strange = write_cases(tmp_path / "strange.csv", [row("p0", "magic", 0.9, 1)])
    assert main(["versus", f"brain={strange}", *out]) == 1
    assert "unknown method 'magic'" in capsys.readouterr().err
    idle = write_cases(tmp_path / "idle.csv", [row("p0", "initial", 0.4, 0)])
    assert main(["versus", f"brain={idle}", "--reference", "initial", *out]) == 1
    assert "takes no time" in capsys.readouterr().err
    apart = write_cases(tmp_path / "apart.csv", [row("p9", "elastix", 0.9, 1)])
    assert main(["versus", f"brain={first}", f"brain={apart}", *out]) == 1
    assert "no pair in common" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["versus", "brains=cases.csv", *out])
    assert stop.value.code == 2
    assert not (tmp_path / "out").exists()
