"""Dataclasses from nested dicts of plain values, as TOML files and model files hold them, and back."""

from __future__ import annotations

import types
import typing
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any, TypeVar

from DiffuseMorphCore.errors import DiffuseMorphError

Kind = TypeVar("Kind")
_WORDS = {float: "a number", int: "a whole number", str: "a text in quotes", bool: "true or false"}


def to_plain_dict(instance: Any) -> dict[str, Any]:
    """A dataclass as nested dicts of plain values, lists in place of tuples."""
    return _listed(asdict(instance))


def from_plain_dict(kind: type[Kind], values: Any, place: str, prefix: str = "") -> Kind:
    """The inverse of `to_plain_dict`: a dataclass of nested dicts, every key and type checked.

    kind : dataclass whose fields are numbers, texts, truth values, dataclasses, tuples of these, or one of these or
        None. A field's metadata may hold "allowed" (the values it may have) and "least" (the smallest number).
    values : what was read.
    place : where, for messages: "'run.toml'".
    prefix : keys that lead to this table, with dots.

    Raises DiffuseMorphError, naming place and key, when a key is unknown or missing, or a value has the wrong type or
    is not allowed; and what the dataclass itself raises.
    """
    if not isinstance(values, dict):
        what = f"the key '{prefix.rstrip('.')}'" if prefix else "the whole"
        raise DiffuseMorphError(f"In {place} {what} must be a table, not {values!r}.")
    known = {entry.name: entry for entry in fields(kind)}
    for key in values:
        if key not in known:
            raise DiffuseMorphError(f"In {place} the key '{prefix}{key}' is unknown: allowed are {', '.join(known)}.")
    for key, entry in known.items():
        if key not in values and entry.default is MISSING and entry.default_factory is MISSING:
            raise DiffuseMorphError(f"In {place} the key '{prefix}{key}' is missing: add it.")
    hints = typing.get_type_hints(kind)
    return kind(
        **{key: _value(hints[key], value, known[key].metadata, place, prefix + key) for key, value in values.items()}
    )


def _value(hint: Any, value: Any, rules: typing.Mapping[str, Any], place: str, key: str) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        if value is None:  # as to_plain_dict writes what was not given
            return None
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            raise DiffuseMorphError(f"In {place} the key '{key}' must be a list in square brackets, not {value!r}.")
        parts = typing.get_args(hint)
        if len(parts) == 2 and parts[1] is not Ellipsis and len(value) != 2:
            raise DiffuseMorphError(f"In {place} the key '{key}' must be a list of two values, not {value!r}.")
        return tuple(_value(parts[0], entry, rules, place, key) for entry in value)
    if is_dataclass(hint):
        return from_plain_dict(hint, value, place, key + ".")
    fits = (isinstance(value, (int, float)) and not isinstance(value, bool)) if hint is float else type(value) is hint
    if not fits:
        raise DiffuseMorphError(f"In {place} the key '{key}' must be {_WORDS[hint]}, not {value!r}.")
    if "allowed" in rules and value not in rules["allowed"]:
        raise DiffuseMorphError(f"In {place} the key '{key}' is '{value}': allowed are {', '.join(rules['allowed'])}.")
    if "least" in rules and value < rules["least"]:
        raise DiffuseMorphError(f"In {place} the key '{key}' is {value}: it must be at least {rules['least']}.")
    return hint(value)


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(entry) for key, entry in value.items()}
    return [_listed(entry) for entry in value] if isinstance(value, (tuple, list)) else value
