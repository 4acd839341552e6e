"""The files of the result of `diffusemorph template`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path

from DiffuseMorphCore.command_line.result_files import checked, plain, write_text
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import printable, write_image
from DiffuseMorphCore.progress import Progress, advance
from DiffuseMorphCore.registration.saved import DEFORMATION, REPORT, write_deformation
from DiffuseMorphCore.registration.template import Template

_IMAGE = "template.nii.gz"


def is_template(name: str) -> bool:
    """Whether a file or folder of this name is something that `write_template` writes."""
    images = (_IMAGE, "affine_mean.nii.gz", "labels.nii.gz")
    return name in (*images, "people", "changes.csv", "template.png", REPORT)


def write_template(
    folder: Path, result: Template, images: Mapping[str, str], output: str, progress: Progress | None
) -> None:
    """Write all files of a template into `folder`.

    images : the file of each person by name. output : where the folder will be.
    """
    write_image(result.image, folder / _IMAGE)
    write_image(result.affine_mean, folder / "affine_mean.nii.gz")
    if result.labels is not None:
        write_image(result.labels, folder / "labels.nii.gz")
    fixed = str(Path(output).absolute() / _IMAGE)
    for number, (name, registration) in enumerate(result.registrations()):
        advance(progress, "write", number / (len(result.names) + 1))
        own = folder / "people" / folder_name(name)
        if own.exists():
            raise DiffuseMorphError(f"Two people would be written into the folder '{own.name}': rename '{name}'.")
        own.mkdir(parents=True)
        registration.write_transforms(own)
        write_deformation(registration, own / DEFORMATION)
        files = {"fixed": fixed, "moving": printable(Path(images[name]).absolute())}
        write_text(own / REPORT, _json(registration.report | {"files": files}))
    columns = dict.fromkeys(name for row in result.changes for name in row)
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows({name: round(value, 6) for name, value in row.items()} for row in result.changes)
    write_text(folder / "changes.csv", text.getvalue())
    checked(folder / "template.png", lambda: _draw(result, folder / "template.png"))
    advance(progress, "write", 1.0)
    write_text(folder / REPORT, _json(result.report | {"files": dict(images)}))


def folder_name(name: str) -> str:
    """A name that any system takes for a folder."""
    return "".join(each if each.isalnum() or each in "-_." else "_" for each in name).strip(".") or "_"


def _json(report: dict) -> str:
    return json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False, default=plain) + "\n"


def _draw(result: Template, path: Path) -> None:
    from DiffuseMorphCore.previews import save_images

    save_images({"affine mean": result.affine_mean, "template": result.image}, path)
