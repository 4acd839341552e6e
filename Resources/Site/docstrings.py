"""Docstrings of the package as mkdocstrings reads them: descriptions below the names, and the options where they go."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import griffe

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from DiffuseMorphCore.job_options import SequenceOptions, TemplateOptions  # noqa: E402
from DiffuseMorphCore.options import description, keywords  # noqa: E402

JOBS = {
    "takes_options": None,
    "takes_options(job=TemplateOptions)": TemplateOptions,
    "takes_options(job=SequenceOptions)": SequenceOptions,
}


class Docstrings(griffe.Extension):
    """Gives every object the docstring and the signature that Python has at run time."""

    def on_object(self, *, obj: griffe.Object, **kwargs) -> None:
        """Put in the options that a decorator adds, and bring the sections into the form that griffe reads."""
        if obj.docstring is None:
            return
        returns = ""
        if obj.is_function:
            returns = str(obj.returns or "")
            for decorator in obj.decorators:
                if str(decorator.value) in JOBS:
                    _add_options(obj, JOBS[str(decorator.value)])
        obj.docstring.value = rewritten(obj.docstring.value, returns)


def _add_options(function: griffe.Function, job: type | None) -> None:
    options = keywords(job)
    lines = "\n".join(f"{name} : {description(name, job)}" for name in options)
    function.docstring.value = function.docstring.value.replace("{options}", lines)
    kept = [each for each in function.parameters if each.kind is not griffe.ParameterKind.var_keyword]
    keyword = griffe.ParameterKind.keyword_only
    added = [
        griffe.Parameter(name, annotation=str(each.annotation), kind=keyword, default=repr(each.default))
        for name, each in options.items()
    ]
    function.parameters = griffe.Parameters(*kept, *added)


def rewritten(text: str, returns: str) -> str:
    """A docstring whose sections have descriptions below the names, and what belongs to no entry in notes."""
    heading = re.compile(r"^(Parameters|Attributes|Returns|Raises)\n-+$", flags=re.M)
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text)  # names for Sphinx
    start, *sections = heading.split(text)
    result = start.rstrip()
    for title, content in zip(sections[::2], sections[1::2]):
        entries, notes = _entries(content.strip("\n"), returns if title == "Returns" else "")
        if title == "Raises":
            entries = [re.sub(r"; Cancelled\b", "\n\nCancelled\n   ", entry) for entry in entries]
        result += f"\n\n{title}\n{'-' * len(title)}\n" + "\n".join(entries)
        if notes:
            result += f"\n\nNotes\n-----\n{notes}"
    return result


def _entries(content: str, returns: str) -> tuple[list[str], str]:
    """The entries of a section, and the paragraphs after them. With ``returns`` all of it is one entry of that type."""
    if returns:
        return [returns, *(f"    {line.strip()}" for line in content.splitlines())], ""
    entries, notes = [], []
    for line in re.sub(r"(?<=[.;]) (\w+) : ", r"\n\1 : ", content).splitlines():
        named = re.match(r"([\w, ]+?) : (.*)$", line)
        if named and not notes:
            entries += [named[1], f"    {named[2]}"]
        elif line.startswith(" ") and not notes:
            entries.append(f"    {line.strip()}")
        elif line.strip() or notes:
            notes.append(line)
    return entries, "\n".join(notes)
