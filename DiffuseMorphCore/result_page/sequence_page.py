"""The page of a sequence: the frames moving, before and after, the curves, and what there is to say of them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from DiffuseMorphCore.files import write_whole
from DiffuseMorphCore.result_page.frame import filled, framed

_STYLE = ".sequence img { max-width: 100%; height: auto; border-radius: 10px; background: #fff; }"
_BODY = """\
<header>
<p class="brand">DiffuseMorph</p>
<h1><span>{{title}}</span> <small>{{count}} frames registered to {{reference}}</small></h1>
</header>
<main class="sequence">
<section><h2>Frames as they are, and on the reference, where they should stand still</h2>
<img alt="the frames, above as they are, below on the reference" src="{{movie}}"></section>
<section><h2>Curves</h2><img alt="curves over time" src="{{curves}}"></section>
<section><h2>What there is to say</h2><ul class="findings">{{findings}}</ul></section>
</main>
"""


def write_sequence_page(path: Path, title: str, report: Mapping[str, Any], movie: Path, curves: Path) -> None:
    """Write the page into the file ``path`` (.html), which needs no network.

    title : what the sequence is called. report : of the sequence. movie, curves : the pictures, .gif and .png.

    Raises DiffuseMorphError where it cannot be written.
    """
    similarity = report["similarity"]
    before, after = (sum(similarity[name]) / report["frames"] for name in ("before", "registered"))
    seconds = sum(report["seconds"].values())
    notes = [
        ("good" if after > before else "suspicious", f"Similarity {before:.3f} before, {after:.3f} registered, mean"),
        ("note", f"{len(report['smoothed'])} of {report['frames']} frames are smoothed in time"),
        ("note", f"{seconds:.1f} s, {seconds / report['frames']:.2f} s a frame"),
        *(("suspicious", note) for note in report["notes"]),
    ]
    reference = report["reference"]
    parts = {
        "title": escape(title),
        "count": str(report["frames"]),
        "reference": "their mean" if reference == "mean" else f"frame {reference}",
        "movie": _uri(movie, "gif"),
        "curves": _uri(curves, "png"),
        "findings": "".join(f'<li class="{level}"><span>{escape(text)}</span></li>' for level, text in notes),
    }
    write_whole(path, framed(title, filled(_BODY, parts), style=_STYLE), "page")


def _uri(path: Path, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
