"""Frames in time from one DICOM file with many images: enhanced MR and CT, which say of each where and when it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import printable

_UNEVENNESS = 0.1  # of the distance of slices, up to which they count as evenly spaced and upright
_SAME = 0.01  # mm and units of directions that headers may differ by


@dataclass(frozen=True)
class EnhancedImage:
    """One image of a file: where it is (LPS, mm), when it is, and how its numbers are stored.

    index : in the file. axes : unit vectors along rows, along columns and to the next slice. spacing : mm between
    pixels along these. moment : what tells images at one place apart, in the order of time. seconds : None where
    unknown.
    """

    index: int
    position: np.ndarray
    axes: np.ndarray
    spacing: tuple[float, float, float]
    moment: tuple[float, ...]
    seconds: float | None
    scaling: tuple[float, float]

    @property
    def height(self) -> float:
        """Its place along the slices' normal."""
        return round(float(self.axes[2] @ self.position), 2)


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do."""
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def enhanced_frames(path: Path) -> tuple[int, Callable[[int], sitk.Image], tuple[float, ...] | None]:
    """The moments of an enhanced MR or CT: how many, what reads the volume of each, and their times in seconds where
    the file says them.

    Raises DiffuseMorphError for a file that is damaged, does not say where and when its images are, or whose images do
    not make one even stack at each of several moments; and where pydicom is not installed.
    """
    shown = f"DICOM file '{printable(path)}'"
    try:
        import pydicom
    except ImportError as error:
        raise DiffuseMorphError(
            f"The {shown} is read as a sequence by pydicom, which is not installed: pip install pydicom, or give the "
            "frames as a 4-D NIfTI file."
        ) from error
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
    except Exception as error:  # pydicom raises many kinds for broken files
        raise DiffuseMorphError(f"The {shown} cannot be read, it seems to be damaged: export it again.") from error
    if "PerFrameFunctionalGroupsSequence" not in header:
        raise DiffuseMorphError(
            f"The {shown} does not say where and when its images were taken: name the folder of all DICOM files of the "
            "sequence, or, where the file is a film of 2-D images, say that its slices are frames."
        )
    try:
        images = [_image(header, number) for number in range(len(header.PerFrameFunctionalGroupsSequence))]
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise DiffuseMorphError(
            f"The {shown} does not say of each image where it is (position, orientation, spacing): export it again."
        ) from error
    phases = _phases(images, shown)
    first = phases[0]
    kind = _kind(header, images)

    def read(number: int) -> sitk.Image:
        phase = phases[number]
        indices = [image.index for image in phase]
        try:
            planes = list(pydicom.pixels.iter_pixels(path, indices=indices))
        except Exception as error:  # a decoder's, of which there are many
            raise DiffuseMorphError(
                f"The images of the {shown} cannot be decoded: export it uncompressed, or install what reads its "
                "compression (pip install pylibjpeg[all])."
            ) from error
        scaled = [plane * image.scaling[0] + image.scaling[1] for plane, image in zip(planes, phase)]
        return _placed(np.stack(scaled).astype(kind), first)

    seconds = [phase[0].seconds for phase in phases]
    known = None not in seconds and all(a < b for a, b in zip(seconds, seconds[1:]))
    return len(phases), read, tuple(seconds) if known else None


def _image(header: Any, number: int) -> EnhancedImage:
    groups = header.PerFrameFunctionalGroupsSequence[number]
    shared = header.get("SharedFunctionalGroupsSequence") or [None]

    def group(name: str) -> Any:
        """The item of a functional group, of the image itself or of all."""
        found = groups.get(name) or (shared[0].get(name) if shared[0] is not None else None)
        return found[0] if found else None

    cosines = np.array(group("PlaneOrientationSequence").ImageOrientationPatient, float)
    along, down = cosines[:3], cosines[3:]
    measures = group("PixelMeasuresSequence")
    rows, columns = (float(value) for value in measures.PixelSpacing)
    thickness = float(measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 1.0)
    values = group("PixelValueTransformationSequence")
    scaling = (1.0, 0.0) if values is None else (float(values.RescaleSlope), float(values.RescaleIntercept))
    moment, seconds = _moment(group)
    return EnhancedImage(
        number,
        np.array(group("PlanePositionSequence").ImagePositionPatient, float),
        np.stack([along, down, np.cross(along, down)]),
        (columns, rows, thickness),
        moment,
        seconds,
        scaling,
    )


def _moment(group: Any) -> tuple[tuple[float, ...], float | None]:
    """What tells the moments of images apart, most telling first, and their time in seconds."""
    content, cardiac, temporal = (
        group(f"{name}Sequence") for name in ("FrameContent", "CardiacSynchronization", "TemporalPosition")
    )
    delay = _number(cardiac, "NominalCardiacTriggerDelayTime")
    offset = _number(temporal, "TemporalPositionTimeOffset")
    clock = None
    for name in ("FrameReferenceDateTime", "FrameAcquisitionDateTime"):
        text = str(content.get(name) or "") if content is not None and clock is None else ""
        if text:
            whole, _, rest = text.partition(".")
            clock = datetime.strptime(whole, "%Y%m%d%H%M%S").timestamp() + float(f"0.{rest or 0}")
    index = _number(content, "TemporalPositionIndex")
    told = [delay if delay is None else delay * 1e-3, offset, clock]
    moment = tuple(-1.0 if value is None else value for value in (index, *told))
    return moment, next((value for value in told if value is not None), None)


def _number(item: Any, name: str) -> float | None:
    value = None if item is None else item.get(name)
    return None if value is None else float(value)


def _phases(images: list[EnhancedImage], shown: str) -> list[list[EnhancedImage]]:
    """The images of each moment, in the order of their places."""
    first = images[0]
    if any(np.abs(image.axes - first.axes).max() > _SAME for image in images) or any(
        np.abs(np.subtract(image.spacing, first.spacing)).max() > _SAME for image in images
    ):
        raise DiffuseMorphError(
            f"The images of the {shown} differ in orientation or spacing: export one stack of slices by itself."
        )
    places: dict[float, list[EnhancedImage]] = {}
    for image in images:
        places.setdefault(image.height, []).append(image)
    counts = {len(each) for each in places.values()}
    if len(counts) > 1:
        raise DiffuseMorphError(
            f"The {shown} has some places {min(counts)} times and others {max(counts)} times: export it again with all "
            "of its moments."
        )
    ordered = [sorted(each, key=lambda image: image.moment) for _, each in sorted(places.items())]
    if any(a.moment == b.moment for each in ordered for a, b in zip(each, each[1:])):
        raise DiffuseMorphError(
            f"The {shown} has several images of each place that are not of different times (echoes, b-values, "
            "magnitude and phase, or a clock that was taken out): export those of one kind, or give a 4-D NIfTI file."
        )
    stack = np.array([each[0].position for each in ordered])
    steps = np.diff(stack, axis=0)
    even = steps.mean(axis=0) if len(steps) else None
    if even is not None:
        length = float(np.linalg.norm(even))
        aside = np.abs(steps - first.axes[2] * length).max()
        if aside > _UNEVENNESS * length:
            raise DiffuseMorphError(
                f"The slices of the {shown} are unevenly spaced or tilted: export them as an even, upright stack."
            )
    return [list(phase) for phase in zip(*ordered)]


def _kind(header: Any, images: list[EnhancedImage]) -> type:
    """The type of numbers that holds every scaled value."""
    scalings = {image.scaling for image in images}
    if any(slope != 1 or intercept != round(intercept) for slope, intercept in scalings):
        return np.float32
    bits, signed = int(header.BitsStored), bool(header.PixelRepresentation)
    lowest, highest = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    intercepts = [intercept for _, intercept in scalings]
    fits = lowest + min(intercepts) >= -(1 << 15) and highest + max(intercepts) < 1 << 15
    return np.int16 if fits else np.int32


def _placed(array: np.ndarray, phase: list[EnhancedImage]) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    first = phase[0]
    distance = first.spacing[2] if len(phase) == 1 else float(np.linalg.norm(phase[1].position - first.position))
    image.SetSpacing((*first.spacing[:2], distance))
    image.SetOrigin(first.position.tolist())
    image.SetDirection(first.axes.T.ravel().tolist())
    return image
