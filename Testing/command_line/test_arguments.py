"""What the command says and answers before any image is touched."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from DiffuseMorphCore import __version__
from DiffuseMorphCore.command_line import main, verb_parsers

VERBS = ("register", "apply", "synthesize", "train", "models", "demo")


def test_help_teaches_every_verb(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for verb in VERBS:
        assert verb in text
    for verb in VERBS:
        assert main([verb, "--help"]) == 0
        assert f"usage: diffusemorph {verb}" in capsys.readouterr().out


def test_help_of_register_names_every_file_and_gives_examples(capsys):
    main(["register", "--help"])
    text = capsys.readouterr().out
    for word in (
        "moved.nii.gz",
        "moved_labels.nii.gz",
        "transform.h5",
        "inverse_transform.h5",
        "deformation.npz",
        "report.json",
        "report.html",
        "preview.png",
        "--no-page",
        "--eta",
        "--frames",
        "--moving-labels",
        "--fixed-mask",
        "--overwrite",
        "examples:",
    ):
        assert word in text


def test_version(capsys):
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def test_no_verb_shows_what_to_do_first_and_every_verb_on_one_screen(capsys):
    assert main([]) == 2
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert not shown.out and len(lines) <= 24 and all(len(line) <= 80 for line in lines)
    assert "diffusemorph demo " in shown.err and "VERB --help" in shown.err
    assert len(verb_parsers()) >= 7
    for verb in verb_parsers():
        assert len([line for line in lines if re.match(rf"  {verb} +\w+ \w+", line)]) == 1, verb


def test_help_has_the_same_overview_with_options_and_exit_codes(capsys):
    main([])
    overview = capsys.readouterr().err
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert overview in text and "--version" in text and "exit codes: 0 done" in text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["frobnicate"], "'frobnicate'"),
        (["register", "a", "b"], "--output"),
        (["register", "a", "-o", "c"], "MOVING"),
        (["register", "a", "b", "-o", "c", "--eta", "1.2"], "'1.2' does not lie between 0"),
        (["register", "a", "b", "-o", "c", "--eta", "-0.1"], "'-0.1' does not lie between 0"),
        (["register", "a", "b", "-o", "c", "--eta", "nan"], "'nan' does not lie between 0"),
        (["register", "a", "b", "-o", "c", "--eta", "half"], "'half' is not a number"),
        (["register", "a", "b", "-o", "c", "--refine", "-1"], "'-1' is below 0"),
        (["register", "a", "b", "-o", "c", "--refine", "much"], "'much' is not a whole number"),
        (["register", "a", "b", "-o", "c", "--frames", "1"], "'1' is below 2"),
        (["register", "a", "b", "-o", "c", "--frames", "100000000"], "'100000000' is above 1000"),
        (["demo", "--frames", "1001"], "'1001' is above 1000"),
        (["register", "a", "b", "-o", "c", "--threads", "100000"], "'100000' is above 1024"),
        (["apply", "a", "--to", "b", "--threads", "100000"], "'100000' is above 1024"),
        (["register", "a", "b", "-o", "c", "--keyframes", "1000000"], "'1000000' is above 101"),
        (["register", "a", "b", "-o", "c", "--align", "bspline"], "'bspline'"),
        (["register", "a", "b", "-o", "c", "--modality", "CT"], "'CT'"),
        (["register", "a", "b", "-o", "c", "--restrict", "q"], "'q' is not none, or axes"),
        (["register", "a", "b", "-o", "c", "--restrict", "x;y"], "'x;y' is not none, or axes"),
        (["register", "a", "b", "-o", "c", "--device", "banana"], "'banana' is not auto, cpu"),
        (["synthesize", "a", "b", "-o", "c.nii", "--device", "cuda:x"], "'cuda:x' is not auto, cpu"),
        (["cohort", "a.csv", "-o", "c", "--device", "banana"], "'banana' is not auto, cpu"),
        (["register", "a", "b", "-o", "c", "--seed", "1.5"], "'1.5' is not a whole number"),
        (["register", "a", "b", "-o", "c", "--ref", "3"], "--ref"),
        (["register", "a", "b", "-o", "c", "--fixed-labels", "d"], "--fixed-labels needs --moving-labels"),
        (["register", "a", "b", "-o", "c", "--fixed-labels", "d", "--moving-labels", "e", "--also", "f"], "--also"),
        (["register", "a", "b", "-o", "c", "--moving-labels", "d", "--guide-labels"], "--guide-labels needs"),
        (["register", "a", "b", "-o", "c", "--fixed-landmarks", "d"], "give both --fixed-landmarks and"),
        (["register", "a", "b", "-o", "c", "--guide-weight", "much"], "'much' is not a number"),
        (["apply", "a"], "say --to FILE"),
        (["apply", "a", "--to", "b", "--interpolation", "cubic"], "'cubic'"),
        (["apply", "a", "--to", "b", "--eta", "2"], "'2' does not lie between 0"),
        (["synthesize", "a", "b", "-o", "c.nii", "--steps", "0"], "'0' is below 1"),
        (["synthesize", "a", "b", "-o", "c.nii", "--start", "50"], "only 51 steps"),
        (["train"], "settings is missing"),
        (["train", "a.toml", "--max-minutes", "0"], "'0' is not a number above 0"),
    ],
)
def test_senseless_arguments_are_refused_in_one_sentence(capsys, tmp_path, monkeypatch, arguments, text):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert text in captured.err
    assert captured.err.count("\n") == 1 and captured.err.startswith("diffusemorph")
    assert captured.out == "" and not list(tmp_path.iterdir())


def test_help_and_refusals_do_not_load_torch():
    code = (
        "import sys\nfrom DiffuseMorphCore.command_line import main\nmain(['register', '--help'])\n"
        "main(['register', 'a', 'b', '-o', 'c', '--eta', '7'])\n"
        "assert not {'torch', 'SimpleITK', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_models_are_listed(capsys):
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    for preset in ("face2d", "cardiac3d", "brain3d"):
        assert preset in text


def test_unknown_model_is_refused(capsys):
    assert main(["models", "nonsense"]) == 1
    assert "'nonsense' is unknown" in capsys.readouterr().err
