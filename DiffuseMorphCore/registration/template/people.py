"""The people of a group: their images, read one at a time, in an order that does not depend on how they were given."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import as_image, check_image, image_suffix, printable
from DiffuseMorphCore.registration.object_mask import OBJECT
from DiffuseMorphCore.registration.prepare import PreparedScan, is_slice, prepare


@dataclass(frozen=True)
class Person:
    """One of the group. name : unique. source, labels : the image, and labels drawn on it, in any form; the latter or
    None. window : intensities to keep.
    """

    name: str
    source: Any
    labels: Any = None
    window: tuple[float, float] | None = None

    def image(self) -> sitk.Image:
        """The image, read anew. Raises DiffuseMorphError for one that cannot be registered."""
        image, name = as_image(self.source, f"image of '{self.name}'")
        image = check_image(image, name)
        if is_slice(image):
            raise DiffuseMorphError(f"The {name} is a single slice of a volume: give 2-D images, or whole volumes.")
        return image

    def scan(self) -> PreparedScan:
        """The image as registration works with it."""
        return prepare(self.image(), f"image of '{self.name}'", window=self.window)

    def label_map(self) -> sitk.Image:
        """The labels, read anew. Raises DiffuseMorphError for what holds no labels."""
        image, name = as_image(self.labels, f"labels of '{self.name}'")
        return check_image(image, name, labels=True)

    @cached_property
    def facts(self) -> Facts:
        """What has to be known of all before the work on one begins."""
        scan = self.scan()
        inside = ((scan.values - scan.background).abs() > OBJECT)[0, 0].numpy()
        found = [
            np.flatnonzero(inside.any(axis=tuple(set(range(inside.ndim)) - {axis}))) for axis in range(inside.ndim)
        ]
        low, high = ([float(each[end]) if len(each) else 0.0 for each in reversed(found)] for end in (0, -1))
        corners = np.stack(np.meshgrid(*zip(low, high), indexing="ij"), axis=-1).reshape(-1, len(low))
        return Facts(
            digest(scan.original),
            scan.grid,
            float(inside.sum() * np.prod(scan.grid.spacing)),
            scan.grid.points(corners),
            scan.intensities,
            scan.background,
        )


@dataclass(frozen=True)
class Facts:
    """digest : of voxels and place. grid : of the image. volume : of what is not background, mm. corners : points
    (2^ndim, ndim) of the box around that, mm, LPS. intensities : see PreparedScan. background : in [0, 1].
    """

    digest: str
    grid: Grid
    volume: float
    corners: np.ndarray
    intensities: tuple[float, float]
    background: float


def digest(image: sitk.Image) -> str:
    """A number, in hexadecimal digits, that tells images by their voxels, their type and their place."""
    found = hashlib.sha256(repr((Grid.of(image), image.GetPixelIDTypeAsString())).encode())
    found.update(np.ascontiguousarray(sitk.GetArrayViewFromImage(image)).data)
    return found.hexdigest()[:24]


def in_order(people: Sequence[Person]) -> list[Person]:
    """The people sorted by their images, so that sums over them are the same to the last digit however they are given.

    Raises DiffuseMorphError for fewer than two, a name that comes twice, or images of different dimensions.
    """
    names = [person.name for person in people]
    if len(people) < 2:
        raise DiffuseMorphError(f"A template needs at least two people, not {len(people)}.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DiffuseMorphError(f"The name '{twice[0]}' comes twice: give each person a name of their own.")
    labelled = [person.labels is not None for person in people]
    if any(labelled) and not all(labelled):
        missing = people[labelled.index(False)].name
        raise DiffuseMorphError(f"There are no labels of '{missing}': give those of everybody, or of nobody.")
    ndims = {person.name: person.facts.grid.ndim for person in people}
    if len(set(ndims.values())) > 1:
        two, three = (next(name for name, ndim in ndims.items() if ndim == wanted) for wanted in (2, 3))
        raise DiffuseMorphError(
            f"The image of '{two}' is 2-D and that of '{three}' 3-D: give images of the same dimension."
        )
    return sorted(people, key=lambda person: (person.facts.digest, person.name))


def people_of(images: Any, labels: Any = None, window: tuple[float, float] | None = None) -> list[Person]:
    """The people of what a caller gives: images, or images by name, and their labels in the same form or None.

    Raises DiffuseMorphError where the labels do not belong to the images.
    """
    if not isinstance(images, Mapping):
        images = list(images)
        names = _names(images)
        if labels is not None:
            labels = list(labels)
            if len(labels) != len(images):
                raise DiffuseMorphError(f"There are {len(images)} images, but {len(labels)} label maps: give as many.")
            labels = dict(zip(names, labels))
        images = dict(zip(names, images))
    if labels is not None and set(labels) != set(images):
        odd = sorted(set(labels) ^ set(images))[0]
        raise DiffuseMorphError(f"There is no pair of an image and labels for '{odd}': give both by the same names.")
    return [Person(str(name), image, labels and labels[name], window) for name, image in images.items()]


def read_table(path: str | Path) -> tuple[dict[str, str], dict[str, str] | None]:
    """The images and the labels of a table, by name.

    path : a CSV file (commas, semicolons or tabs) with the column ``image`` and, if wanted, ``name`` and ``labels``;
    names of files are taken from the table's folder.

    Returns
    -------
    {name: image file}, and {name: label file} or None.

    Raises
    ------
    DiffuseMorphError : a table that is missing, is none, lacks a column or an entry, or names a file that is not there.
    """
    path = Path(path)
    shown = printable(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DiffuseMorphError(
            f"The table '{shown}' cannot be read: give a CSV file with a column 'image'."
        ) from error
    first = text.split("\n", 1)[0]
    rows = list(csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=first.count), skipinitialspace=True))
    if not rows or "image" not in rows[0]:
        raise DiffuseMorphError(
            f"The table '{shown}' needs a first line with the column 'image' (and, if wanted, 'name' and 'labels'), "
            "and a line for each person."
        )
    files: dict[str, list[str]] = {}
    for kind in ("image", "labels"):
        if kind not in rows[0]:
            continue
        for number, row in enumerate(rows, start=2):
            if not (entry := (row[kind] or "").strip()):
                raise DiffuseMorphError(f"In line {number} of the table '{shown}' the column '{kind}' is empty.")
            file = path.parent / entry
            if not file.exists():
                raise DiffuseMorphError(f"There is no file '{printable(file)}', line {number} of the table '{shown}'.")
            files.setdefault(kind, []).append(str(file))
    names = [(row.get("name") or "").strip() for row in rows]
    names = names if all(names) else _names(files["image"])
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DiffuseMorphError(f"The name '{twice[0]}' comes twice in the table '{shown}': give a column 'name'.")
    return dict(zip(names, files["image"])), dict(zip(names, files["labels"])) if "labels" in files else None


def _names(images: Sequence[Any]) -> list[str]:
    """Names from those of the files; of images without a file, or where files have one name, from their number."""
    stems = []
    for image in images:
        if not isinstance(image, (str, Path)):
            break
        name = Path(image).absolute().name
        stems.append(name[: len(name) - len(image_suffix(name))] or name)
    if len(stems) == len(images) == len(set(stems)):
        return stems
    width = len(str(len(images)))
    return [f"person_{number:0{width}d}" for number in range(1, len(images) + 1)]
