"""The page of a cohort: a table to sort and to filter, with pictures, the worst pairs first."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from DiffuseMorphCore.files import write_whole

TITLE = "<title>Cohort – DiffuseMorph</title>"
"""Of the page; what tells it from pages of other making."""
_SHOWN = {
    "verdict.word": "verdict",
    "similarity.aligned": "aligned",
    "similarity.registered": "registered",
    "dice.moved.mean": "Dice",
    "verdict.volume_change": "volume change",
    "displacement_mm.max": "displacement, mm",
    "outlier_score": "outlier score",
}
"""Figures in the table of the page, with their headings; summary.csv has all."""
_WITHOUT_PROGRAM = 200  # rows for those without JavaScript


def write_index(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write index.html into the folder of a cohort; rows : as summary.ranked gives them."""
    write_whole(folder / "index.html", index(rows, folder.resolve()))


def index(rows: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """The page as text; its pictures and links lie in the folders of the pairs."""
    shown = [name for name in _SHOWN if any(name in row for row in rows)]
    data = {
        "folder": str(folder),
        "headings": [_SHOWN[name] for name in shown],
        "pairs": [
            {
                "name": row["name"],
                "state": row["state"],
                "note": row["reason"] or "; ".join(filter(None, (row["suspicious"], _unlike(row)))),
                "link": quote(row["name"]),
                "page": (folder / row["name"] / "report.html").exists(),
                "figures": [_plain(row.get(name)) for name in shown],
            }
            for row in rows
        ],
    }
    words = [str(row.get("verdict.word", row["state"])) for row in rows]
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    still = "".join(
        f'<tr><td><a href="{quote(row["name"])}/report.html">{escape(row["name"])}</a><td>{escape(row["state"])}'
        f"<td>{escape(row['reason'] or row['suspicious'])}"
        for row in rows[:_WITHOUT_PROGRAM]
    )
    text = _own("cohort", "index.html")
    for name, value in {
        "title": TITLE,
        "style": _own("result_page", "page.css") + _own("cohort", "index.css"),
        "count": f"{len(rows)} pairs: {escape(counts)}",
        "still": still,
        "program": _own("cohort", "index.js"),
        "data": json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
    }.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def _unlike(row: Mapping[str, Any]) -> str:
    return f"unlike the others in {row['outlier_in']}" if row["outlier_in"] else ""


def _plain(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _own(package: str, name: str) -> str:
    return resources.files(f"DiffuseMorphCore.{package}").joinpath(name).read_text(encoding="utf-8")
