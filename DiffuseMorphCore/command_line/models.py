"""`diffusemorph models`: which models there are, what they are for, and under which terms."""

from __future__ import annotations

import argparse
import textwrap

DESCRIPTION = """\
List the models that come with the package: what each is for, what it was trained on, and the terms of its weights. With
MODEL, show everything a model's file says about itself."""

EXAMPLES = """\
examples:
  diffusemorph models                      the list
  diffusemorph models my_model.pt          what a model file says about itself
  diffusemorph register A B -o out --model my_model.pt"""


def add_verb(verbs) -> None:
    """Add this verb to the command."""
    parser = verbs.add_parser(
        "models", help="list the models that come with the package", description=DESCRIPTION, epilog=EXAMPLES
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a model's name or file")
    parser.set_defaults(run=run, stopped="Stopped.")


def run(arguments: argparse.Namespace) -> None:
    """Print the list, or the one model asked for."""
    from DiffuseMorphCore.networks import PRESETS, available_models, load_model

    if arguments.model is not None:
        model = load_model(arguments.model)
        _print_model(model.information.get("name", arguments.model), model.configuration.ndim, model.information)
        return
    entries = available_models()
    for entry in entries:
        _print_model(
            entry.name, entry.ndim, load_model(entry.path).information, ("description", "training_data", "terms")
        )
    if not entries:
        print("No model comes with this package: train one, or register with --model none.")
    print(f"Presets to train a model of your own from: {', '.join(PRESETS)} (see 'diffusemorph train --help').")


def _print_model(name: str, ndim: int, information: dict, keys: tuple[str, ...] | None = None) -> None:
    from DiffuseMorphCore.networks import is_non_commercial

    mark = ", not for commercial use" if is_non_commercial(str(information.get("terms", ""))) else ""
    print(f"{name} ({ndim}-D images{mark})")
    for key in keys or [key for key in information if key != "name"]:
        _print_entry(key, information.get(key), "  ")


def _print_entry(key: str, value, indent: str) -> None:
    """Print what a model says under `key`, a table with its entries below it; nothing where it says nothing."""
    if value in (None, "", {}, []):
        return
    if isinstance(value, dict):
        print(f"{indent}{key.replace('_', ' ')}:")
        for name, entry in value.items():
            _print_entry(str(name), entry, indent + "  ")
        return
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    elif isinstance(value, float):
        value = f"{value:.4g}"
    print(
        textwrap.fill(
            f"{key.replace('_', ' ')}: {value}",
            width=100,
            initial_indent=indent,
            subsequent_indent=indent + "  ",
            break_long_words=False,
        )
    )
