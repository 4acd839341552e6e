"""What the user of `diffusemorph register` asked for, read and checked before the work starts."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import check_image, printable, read_image
from DiffuseMorphCore.images.arrays import NamedImage
from DiffuseMorphCore.images.labels import inside_share
from DiffuseMorphCore.options import declared
from DiffuseMorphCore.progress import Progress
from DiffuseMorphCore.registration import Registration, register

_INPUTS = (
    "fixed_mask",
    "moving_mask",
    "initial_transform",
    "fixed_landmarks",
    "moving_landmarks",
    "fixed_ignore",
    "moving_ignore",
)
"""Files that are keywords of register, too."""


@dataclass(frozen=True)
class RegisterRequest:
    """What the user asked for: `settings` are keywords of register; images and labels are read, the labels checked.

    moving_file : the name the moving image was given by. files : the absolute names of all inputs, by their role.
    notes : what is odd about the files but no fault.
    """

    fixed: NamedImage
    moving: NamedImage
    moving_file: str
    settings: dict[str, Any]
    eta: float
    frames: int | None
    maps: bool
    format: str
    page: bool
    moving_labels: sitk.Image | None
    fixed_labels: sitk.Image | None
    files: dict[str, str]
    notes: list[str]

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> RegisterRequest:
        """Read the images and the label maps. Raises DiffuseMorphError naming the file at fault."""
        settings = {name: getattr(arguments, name) for name in (*declared(), *_INPUTS)}
        notes: list[str] = []
        images = [
            NamedImage(read_image(path, notes, arguments.resample_slices), f"{role} image '{printable(path)}'")
            for role, path in (("fixed", arguments.fixed), ("moving", arguments.moving))
        ]
        labels = [
            None if path is None else _labels(path, image, f"{role} label map '{printable(path)}'", notes)
            for role, path, image in (
                ("fixed", arguments.fixed_labels, images[0]),
                ("moving", arguments.moving_labels, images[1]),
            )
        ]
        if arguments.guide_labels:
            settings["guide_labels"] = (labels[0], labels[1])
            notes.append("The labels guided the registration, so that their overlap afterwards is no proof of it.")
        settings["also"] = [
            tuple(_further(path, role, arguments, notes) for role, path in zip(("fixed", "moving"), pair))
            for pair in arguments.also
        ]
        return cls(
            *images,
            arguments.moving,
            settings,
            arguments.eta,
            arguments.frames,
            arguments.maps,
            arguments.format,
            arguments.page,
            labels[1],
            labels[0],
            input_files(arguments),
            notes,
        )

    def register(self, progress: Progress | None) -> Registration:
        """Register the pair; see DiffuseMorphCore.register."""
        # What draws the pictures takes a third of a second to import: it is there when they are due.
        Thread(target=import_module, args=["DiffuseMorphCore.previews"], daemon=True).start()
        return register(self.fixed, self.moving, **self.settings, progress=progress)


def input_files(arguments: argparse.Namespace) -> dict[str, str]:
    """The absolute names of all files that a request reads, by their role."""
    roles = ("fixed", "moving", "moving_labels", "fixed_labels", *_INPUTS)
    files = {role: path for role in roles if (path := getattr(arguments, role)) is not None}
    for number, pair in enumerate(arguments.also, start=2):
        files |= {f"fixed_{number}": pair[0], f"moving_{number}": pair[1]}
    return {role: str(Path(path).absolute()) for role, path in files.items()}


def _further(path: str, role: str, arguments: argparse.Namespace, notes: list[str]) -> NamedImage:
    image = read_image(path, notes, arguments.resample_slices)
    return NamedImage(image, f"further {role} image '{printable(path)}'")


def _labels(path: str, drawn_on: NamedImage, name: str, notes: list[str]) -> sitk.Image:
    labels = check_image(read_image(path, notes), name, labels=True, notes=notes)
    image = check_image(drawn_on.image, drawn_on.name)
    if labels.GetDimension() != image.GetDimension():
        raise DiffuseMorphError(
            f"The {name} is {labels.GetDimension()}-D, but the {drawn_on.name} is "
            f"{image.GetDimension()}-D: give labels drawn on that image."
        )
    share = inside_share(labels, image)
    if share == 0:
        raise DiffuseMorphError(
            f"The {name} lies wholly outside the {drawn_on.name}, as their headers have it: give labels "
            "that lie on that image."
        )
    if share is None:
        notes.append(f"The {name} holds no label.")
    elif share < 0.99:
        notes.append(f"Of the labelled voxels of the {name} {100 * (1 - share):.0f} % lie outside the {drawn_on.name}.")
    return labels
