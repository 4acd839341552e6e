"""An option is declared once: what Python, the command line and the report know of it agree, and bad values are
refused."""

from __future__ import annotations

import argparse
import inspect
import subprocess
import sys

import pytest

from DiffuseMorphCore import register
from DiffuseMorphCore.command_line.arguments import add_options
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.options import Option, RegistrationOptions, declared, default_of
from DiffuseMorphCore.registration.align import ALIGNMENTS
from DiffuseMorphCore.samplers.trajectory import FORMS
from DiffuseMorphCore.similarity import MODALITIES

NAMES = list(declared())
every_option = pytest.mark.parametrize("name", NAMES)


@every_option
def test_python_shows_the_option_with_its_default_and_describes_it(name):
    parameter = inspect.signature(register).parameters[name]
    assert parameter.kind is parameter.KEYWORD_ONLY and parameter.default == default_of(name)
    assert f"    {name} : {declared()[name].help}" in register.__doc__
    assert "{options}" not in register.__doc__


@every_option
def test_the_command_line_takes_the_option_with_its_default_and_help(name):
    parser = argparse.ArgumentParser()
    add_options(parser, name)
    assert getattr(parser.parse_args([]), name) == default_of(name)
    assert " ".join(declared()[name].help.split()[:4]) in " ".join(parser.format_help().split())


@every_option
def test_the_report_has_the_option(name, pair_2d):
    assert RegistrationOptions().to_dict()[name] == default_of(name)


@every_option
def test_the_default_is_a_value_the_option_may_have(name):
    declared()[name].check(name, default_of(name))


@pytest.mark.parametrize(
    "name, value",
    [
        ("align", "bspline"),
        ("align", None),
        ("refine", -1),
        ("refine", "much"),
        ("refine", True),
        ("refine", 2.5),
        ("modality", "ct"),
        ("trajectory", "straight"),
        ("keyframes", 1),
        ("seed", -3),
        ("threads", 0),
        ("alignment_follows_eta", "yes"),
    ],
)
def test_python_refuses_what_an_option_cannot_be(name, value):
    with pytest.raises(DiffuseMorphError, match=f"The option {name} is '{value}', but must be "):
        RegistrationOptions(**{name: value})


def test_python_refuses_an_option_that_does_not_exist(pair_2d):
    with pytest.raises(DiffuseMorphError, match="no option modalitty: did you mean modality"):
        register(*pair_2d, modalitty="same")
    with pytest.raises(DiffuseMorphError, match="no option colour: there are model, device"):
        register(*pair_2d, colour="red")


@pytest.mark.parametrize(
    "option, text, value",
    [
        (Option("", lowest=0, automatic=True), "auto", "auto"),
        (Option("", lowest=0, automatic=True), "7", 7),
        (Option("", lowest=0, highest=9), "9", 9),
        (Option("", choices=("a", "b")), "b", "b"),
        (Option("", anything=True), "x", "x"),
    ],
)
def test_texts_become_values(option, text, value):
    assert option.parse(text) == value


@pytest.mark.parametrize(
    "option, text, why",
    [
        (Option("", lowest=0), "auto", "not a whole number"),
        (Option("", lowest=0, automatic=True), "x", "not a whole number or 'auto'"),
        (Option("", lowest=2), "1", "below 2"),
        (Option("", lowest=0, highest=9), "10", "above 9"),
        (Option("", lowest=0), "1.5", "not a whole"),
    ],
)
def test_texts_that_mean_nothing_are_refused(option, text, why):
    with pytest.raises(ValueError, match=why):
        option.parse(text)


def test_choices_are_those_of_the_parts_that_do_the_work():
    assert declared()["align"].choices == ALIGNMENTS
    assert declared()["trajectory"].choices == FORMS
    assert set(MODALITIES) <= set(declared()["modality"].choices)


def test_a_loaded_model_is_told_by_its_name(small_model):
    model = small_model(2)
    model.information = {"name": "mine"}
    assert RegistrationOptions(model=model).to_dict()["model"] == "mine"
    assert RegistrationOptions(model=None).to_dict()["model"] == "none"


def test_options_need_nothing_heavy():
    program = "import sys, DiffuseMorphCore.options, DiffuseMorphCore.command_line; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
