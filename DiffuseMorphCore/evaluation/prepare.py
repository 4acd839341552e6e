"""Prepared images of a data set as files, for `diffusemorph train` or any other program, with lists of pairs."""

from __future__ import annotations

import csv
from pathlib import Path

import SimpleITK as sitk
from tqdm import tqdm

from DiffuseMorphCore.evaluation.datasets import DataSet, Scan
from DiffuseMorphCore.files import completed

COLUMNS = ("moving", "fixed", "moving_labels", "fixed_labels")


def write_prepared(data_set: DataSet, out: str | Path, frames: bool = False, quiet: bool = False) -> list[Path]:
    """Write every scan once, as `images/NAME.nii.gz` and `labels/NAME.nii.gz`, and `pairs_SPLIT.csv` for each split.

    The lists name files relative to themselves. `frames` writes the images between the two ends too. Files that are
    there already are kept, so a stopped run goes on. Returns the lists. Raises DiffuseMorphError as the reader does.
    """
    out = Path(out)
    lists = []
    for split in data_set.splits:
        pairs = data_set.pairs(split)
        scans: dict[str, Scan] = {}
        for pair in pairs:
            for scan in (pair.moving, pair.fixed, *(pair.frames if frames else ())):
                scans.setdefault(scan.name, scan)
        for scan in tqdm(scans.values(), desc=split, unit="scan", disable=quiet):
            for kind, read in (("images", scan.read_image), ("labels", scan.read_labels)):
                path = out / kind / f"{scan.name}.nii.gz"
                if read is not None and not path.exists():
                    _write(read(), path)
        lists.append(_write_list(out / f"pairs_{split}.csv", pairs))
    return lists


def _write(image: sitk.Image, path: Path) -> None:
    with completed(path, make_folder=True) as part:
        sitk.WriteImage(image, str(part), useCompression=True)


def _write_list(path: Path, pairs) -> Path:
    with completed(path, make_folder=True) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for pair in pairs:
            ends = (pair.moving, pair.fixed)
            writer.writerow(
                [
                    *(f"images/{scan.name}.nii.gz" for scan in ends),
                    *(f"labels/{scan.name}.nii.gz" if scan.read_labels else "" for scan in ends),
                ]
            )
    return path
