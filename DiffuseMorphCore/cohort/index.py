"""The page of a cohort: a table to sort and to filter, with pictures, the worst pairs first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from DiffuseMorphCore.files import write_whole
from DiffuseMorphCore.result_page.frame import filled, framed, own_text, title_element

_NAME, _PACKAGE = "Cohort", "DiffuseMorphCore.cohort"
TITLE = title_element(_NAME)
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
                "picture": (folder / row["name"] / "preview.png").exists(),
                "figures": [_plain(row.get(name)) for name in shown],
            }
            for row in rows
        ],
    }
    words = [str(row.get("verdict.word", row["state"])) for row in rows]
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    parts = {"count": f"{len(rows)} pairs: {escape(counts)}", "still": _still(data)}
    return framed(
        _NAME,
        filled(own_text("index.html", _PACKAGE), parts),
        style=own_text("index.css", _PACKAGE),
        program=own_text("index.js", _PACKAGE),
        data=data,
        pictures="'self' file: data:",
    )


def _still(data: Mapping[str, Any]) -> str:
    """The table for those without JavaScript: as it first stands, of the first pairs."""
    headings = ("pair", "state", *data["headings"], "note")
    lines = ["".join(f"<th>{escape(heading)}" for heading in headings)]
    for pair in data["pairs"][:_WITHOUT_PROGRAM]:
        name = escape(pair["name"])
        figures = [f"{figure:.3g}" if isinstance(figure, float) else figure for figure in pair["figures"]]
        cells = [pair["state"], *("" if figure is None else figure for figure in figures), pair["note"]]
        first = f'<a href="{pair["link"]}/report.html">{name}</a>' if pair["page"] else name
        lines.append(f"<th>{first}" + "".join(f"<td>{escape(str(cell))}" for cell in cells))
    if len(data["pairs"]) > _WITHOUT_PROGRAM:
        lines.append(f'<td colspan="{len(headings)}">These are the first {_WITHOUT_PROGRAM}; summary.csv has all.')
    return "".join(f"<tr>{line}" for line in lines)


def _unlike(row: Mapping[str, Any]) -> str:
    return f"unlike the others in {row['outlier_in']}" if row["outlier_in"] else ""


def _plain(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
