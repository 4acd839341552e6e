"""What every page has around it: one file of HTML that asks for nothing, its style, and its program if it has one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from importlib import resources
from typing import Any

_HEAD = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
{title}
<style>{style}</style>
</head>
<body>
"""
_PACKAGE = "DiffuseMorphCore.result_page"


def title_element(title: str) -> str:
    """How a page is titled; it stands in the first two thousand characters of its file."""
    return f"<title>{escape(title)} – DiffuseMorph</title>"


def own_text(name: str, package: str = _PACKAGE) -> str:
    """A file of a package."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def framed(
    title: str, body: str, *, style: str = "", program: str = "", data: Any = None, pictures: str = "data:"
) -> str:
    """A page as text.

    Parameters
    ----------
    title : plain text. body : HTML. style : further CSS. program : JavaScript, which finds ``data`` as JSON in the
    element "data". pictures : where they may come from, as a Content Security Policy says it.
    """
    policy = f"default-src 'none'; img-src {pictures}; style-src 'unsafe-inline'"
    scripts = ""
    if program:
        policy += "; script-src 'unsafe-inline'"
        entry = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
        scripts = f'<script type="application/json" id="data">{entry}</script>\n<script>{program}</script>\n'
    head = _HEAD.format(policy=policy, title=title_element(title), style=own_text("page.css") + style)
    return f"{head}{body}{scripts}</body>\n</html>\n"


def filled(template: str, parts: Mapping[str, str]) -> str:
    """A template with its marks, such as {{name}}, replaced in one go: never in what has been put in."""
    return re.sub(r"\{\{(\w+)\}\}", lambda mark: parts[mark[1]], template)
