"""The images that the caller gives, turned into what registration works with: two scans that fit together."""

from __future__ import annotations

from typing import Any

import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import as_image, check_image
from DiffuseMorphCore.registration.masks import outside_slabs, unscanned_slabs
from DiffuseMorphCore.registration.prepare import PreparedScan, is_slice, prepare

Image = Any
"""A file name, the folder or the list of files of a DICOM series, a SimpleITK image or a nibabel image."""
Window = tuple[float, float]


def load_pair(
    fixed: Image,
    moving: Image,
    fixed_mask: Image | None,
    moving_mask: Image | None,
    notes: list[str],
    windows: tuple[Window | None, Window | None] = (None, None),
) -> tuple[PreparedScan, PreparedScan]:
    """Both scans, checked and prepared; ``notes`` gathers what was changed.

    windows : the intensities (low, high) to keep of the fixed and of the moving image; None: those that it has itself.

    Raises
    ------
    DiffuseMorphError : an image that cannot be registered, or two that do not fit together.
    """
    images, names = zip(_checked(fixed, "fixed image", notes), _checked(moving, "moving image", notes))
    masks = [
        None if mask is None else _checked(mask, f"{role} mask", notes, labels=True)[0]
        for mask, role in ((fixed_mask, "fixed"), (moving_mask, "moving"))
    ]
    if images[0].GetDimension() != images[1].GetDimension():
        raise DiffuseMorphError(
            f"The {names[0]} is {images[0].GetDimension()}-D and the {names[1]} "
            f"{images[1].GetDimension()}-D: register images of the same dimension."
        )
    if is_slice(images[0]) != is_slice(images[1]):
        single, volume = names if is_slice(images[0]) else names[::-1]
        raise DiffuseMorphError(
            f"The {single} is a single slice and the {volume} a volume: register two slices or two volumes."
        )
    scans = tuple(
        prepare(image, name, mask, notes, window) for image, name, mask, window in zip(images, names, masks, windows)
    )
    return _without_slabs(scans, names, notes)


def _without_slabs(
    scans: tuple[PreparedScan, PreparedScan], names: tuple[str, str], notes: list[str]
) -> tuple[PreparedScan, PreparedScan]:
    """The scans without slabs at the rim of the moving one that were not scanned.

    On a phantom a slab of the moving image moved what lay beside it by 1.0 mm, left out by 0.45 mm. One of the fixed
    image, where windows of one value have no gradient, by 0.3 mm, left out by 0.7 mm.
    """
    slabs = [unscanned_slabs(scan.values) for scan in scans]
    if all(len(each) == 2 * scan.grid.ndim for each, scan in zip(slabs, scans)):
        return scans  # two objects with straight sides, not two images that are cut all around
    fixed, moving = scans
    mask = outside_slabs(moving.values, slabs[1])
    if slabs[1] and (moving.mask is None or bool((moving.mask * mask).any())):
        moving = moving.only(mask)
        notes.append(
            f"{sum(slabs[1].values())} slices at the rim of the {names[1]} hold one value and end at a cut through "
            "tissue: they were taken for not scanned."
        )
    return fixed, moving


def _checked(image: Image, role: str, notes: list[str], labels: bool = False) -> tuple[sitk.Image, str]:
    """The image, and what messages call it: its role, and its file where it has one."""
    image, name = as_image(image, role, notes)
    return check_image(image, name, labels, notes), name
