"""The page of a result put together: one file of HTML with its style, its program and its pictures inside."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.files import write_whole
from DiffuseMorphCore.registration import Registration
from DiffuseMorphCore.result_page.findings import findings
from DiffuseMorphCore.result_page.frame import filled, framed, own_text
from DiffuseMorphCore.result_page.methods import methods
from DiffuseMorphCore.result_page.scene import Scene, scene
from DiffuseMorphCore.result_page.sheets import picture_uri
from DiffuseMorphCore.result_page.tables import figures, settings


def write_page(
    result: Registration,
    path: str | Path,
    report: Mapping[str, Any] | None = None,
    eta: float = 1.0,
    uncertainty: sitk.Image | None = None,
) -> None:
    """Write the page of a registration into the file ``path`` (.html); see :func:`page`.

    Raises DiffuseMorphError, in one sentence, where the file cannot be written.
    """
    write_whole(Path(path), page(result, report, eta, uncertainty), "page")


def page(
    result: Registration,
    report: Mapping[str, Any] | None = None,
    eta: float = 1.0,
    uncertainty: sitk.Image | None = None,
) -> str:
    """The page of a registration as text.

    Parameters
    ----------
    result : the registration. report : its report, where more is known than in ``result.report`` (files, overlap).
    eta : where the slider of the deformation stands when the page is opened. uncertainty : mm, on the fixed image's
        grid, as :meth:`Registration.uncertainty` gives it; without it the page has no such view.
    """
    report = result.report if report is None else report
    seen = scene(result, uncertainty)
    data = seen.entry() | {"eta": eta, "modality": result.options.modality}
    paragraph, citations = methods(report, eta)
    files = report.get("files", {})
    fixed, moving = (Path(files.get(role, f"{role} image")).name for role in ("fixed", "moving"))
    verdict = report.get("verdict", {"word": "", "reason": ""})
    parts = {
        "moving": escape(moving),
        "fixed": escape(fixed),
        "word": escape(verdict["word"]),
        "reason": escape(verdict["reason"]),
        "stills": _stills(seen),
        "difference": f"{100 * seen.difference:.1f}",
        "findings": "".join(
            f'<li class="{each.level}"><b>{escape(each.title)}</b><span>{escape(each.text)}</span></li>'
            for each in findings(report)
        ),
        "figures": figures(report),
        "settings": settings(report),
        "methods": escape(paragraph),
        "citations": "".join(f"<li>{escape(each)}</li>" for each in citations),
    }
    body = filled(own_text("page.html"), parts)
    return framed(f"{moving} on {fixed}", body, program=own_text("page.js"), data=data)


def _stills(seen: Scene) -> str:
    """The middle of each plane as still pictures, for those without JavaScript."""
    fixed, aligned, moved = (each.astype(np.int16) for each in (seen.fixed.decoded, seen.aligned, seen.moved))
    rows = []
    for plane, name, index in zip(seen.planes, seen.names, seen.middle):
        for title, values in (
            ("fixed", fixed),
            ("moving, aligned", aligned),
            ("moved", moved),
            ("difference before", 128 + (aligned - fixed) // 2),
            ("difference after", 128 + (moved - fixed) // 2),
        ):
            part = np.take(values, index, axis=plane.axis or 0)
            part = part[::-1] if plane.up else part
            part = part[:, ::-1] if plane.mirrored else part
            rows.append(
                f'<figure><img alt="{name}, {title}" src="{picture_uri(part)}"><figcaption>{name}, {title}</figcaption>'
                "</figure>"
            )
    return "".join(rows)
