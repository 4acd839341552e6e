"""Known harm done to a moving image: what registration has to cope with, and where each point has gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

Change = Callable[[sitk.Image, np.random.Generator], tuple[sitk.Image, sitk.Transform]]
"""(image, random numbers) -> the changed image, and the map of old points to new points in mm."""


@dataclass(frozen=True)
class Disturbance:
    """A name for the table and the change itself."""

    name: str
    change: Change


def _identity(image: sitk.Image) -> sitk.Transform:
    return sitk.Transform(image.GetDimension(), sitk.sitkIdentity)


def _middle(image: sitk.Image) -> np.ndarray:
    return np.array(image.TransformContinuousIndexToPhysicalPoint([(side - 1) / 2 for side in image.GetSize()]))


def _with_array(image: sitk.Image, array: np.ndarray) -> sitk.Image:
    result = sitk.GetImageFromArray(array.astype(np.float32))
    result.CopyInformation(image)
    return result


def none(image: sitk.Image, random: np.random.Generator) -> tuple[sitk.Image, sitk.Transform]:
    """Nothing: what the others are compared with."""
    return image, _identity(image)


def offset(length: float) -> Change:
    """The scanner's table moved: the image is `length` mm away, in a random direction."""

    def change(image: sitk.Image, random: np.random.Generator) -> tuple[sitk.Image, sitk.Transform]:
        direction = random.normal(size=image.GetDimension())
        shift = direction / np.linalg.norm(direction) * length
        moved = sitk.Image(image)
        moved.SetOrigin((np.array(image.GetOrigin()) + shift).tolist())
        return moved, sitk.TranslationTransform(image.GetDimension(), shift.tolist())

    return change


def rotation(degrees: float) -> Change:
    """The person lay turned: the image is rotated about its middle, in 3-D about a random axis."""

    def change(image: sitk.Image, random: np.random.Generator) -> tuple[sitk.Image, sitk.Transform]:
        ndim, angle = image.GetDimension(), float(np.deg2rad(degrees))
        if ndim == 2:
            turn: sitk.Transform = sitk.Euler2DTransform(_middle(image).tolist(), angle)
        else:
            axis = random.normal(size=3)
            turn = sitk.VersorTransform((axis / np.linalg.norm(axis)).tolist(), angle, _middle(image).tolist())
        matrix = np.array(turn.GetMatrix()).reshape(ndim, ndim)
        moved = sitk.Image(image)
        moved.SetOrigin(turn.TransformPoint(image.GetOrigin()))
        moved.SetDirection((matrix @ np.array(image.GetDirection()).reshape(ndim, ndim)).ravel().tolist())
        return moved, turn

    return change


def cropped(share: float) -> Change:
    """Only `share` of the last axis was scanned: the rest is missing at one end."""

    def change(image: sitk.Image, random: np.random.Generator) -> tuple[sitk.Image, sitk.Transform]:
        size = list(image.GetSize())
        start = [0] * len(size)
        kept = max(1, round(share * size[-1]))
        start[-1] = (size[-1] - kept) * int(random.integers(2))
        size[-1] = kept
        return sitk.RegionOfInterest(image, size, start), _identity(image)

    return change


def windowed(share: float) -> Change:
    """Another field of view: `share` of every axis, placed anywhere in the image, was scanned."""

    def change(image: sitk.Image, random: np.random.Generator) -> tuple[sitk.Image, sitk.Transform]:
        size = [max(1, round(share * side)) for side in image.GetSize()]
        start = [int(random.integers(side - kept + 1)) for side, kept in zip(image.GetSize(), size)]
        return sitk.RegionOfInterest(image, size, start), _identity(image)

    return change


def surrounded(length: float) -> Change:
    """Another field of view: `length` mm more on each side of every axis, with nothing there but background."""

    def change(image: sitk.Image, random: np.random.Generator) -> tuple[sitk.Image, sitk.Transform]:
        more = [round(length / step) for step in image.GetSpacing()]
        return sitk.ConstantPad(image, more, more, float(sitk.GetArrayViewFromImage(image).min())), _identity(image)

    return change


def both(first: Change, second: Change) -> Change:
    """One change after the other."""

    def change(image: sitk.Image, random: np.random.Generator) -> tuple[sitk.Image, sitk.Transform]:
        once, there = first(image, random)
        twice, further = second(once, random)
        # ITK applies the transform that was added last first.
        return twice, sitk.CompositeTransform([further, there])

    return change


def thick_slices(factor: float) -> Change:
    """Slices `factor` times as thick along the last axis, each a mean over its thickness."""

    def change(image: sitk.Image, random: np.random.Generator) -> tuple[sitk.Image, sitk.Transform]:
        spacing, size = list(image.GetSpacing()), list(image.GetSize())
        sigma = [1e-3 * step for step in spacing]
        sigma[-1] = 0.4 * factor * spacing[-1]
        smooth = sitk.SmoothingRecursiveGaussian(sitk.Cast(image, sitk.sitkFloat32), sigma)
        spacing[-1] *= factor
        size[-1] = max(2, int(size[-1] / factor))
        thick = sitk.Resample(
            smooth,
            size,
            sitk.Transform(),
            sitk.sitkLinear,
            image.GetOrigin(),
            spacing,
            image.GetDirection(),
            0.0,
            sitk.sitkFloat32,
        )
        return thick, _identity(image)

    return change


def bias(strength: float) -> Change:
    """A coil at one side: intensities times a smooth factor between about exp(-strength) and exp(strength)."""

    def change(image: sitk.Image, random: np.random.Generator) -> tuple[sitk.Image, sitk.Transform]:
        array = sitk.GetArrayFromImage(image).astype(np.float32)
        exponent = np.zeros(array.shape)
        for axis, side in enumerate(array.shape):
            ramp = np.linspace(-1, 1, side).reshape([-1 if other == axis else 1 for other in range(array.ndim)])
            exponent = exponent + random.normal() * ramp + random.normal() * (ramp**2 - 0.5)
        exponent *= strength / max(float(np.abs(exponent).max()), 1e-6)
        return _with_array(image, array * np.exp(exponent)), _identity(image)

    return change


def lesion(radius: float) -> Change:
    """A bright ball of `radius` mm inside the foreground, in this image only."""

    def change(image: sitk.Image, random: np.random.Generator) -> tuple[sitk.Image, sitk.Transform]:
        array = sitk.GetArrayFromImage(image).astype(np.float32)
        inside = np.argwhere(array > array.mean())
        centre = inside[int(random.integers(len(inside)))]
        steps = image.GetSpacing()[::-1]
        axes = np.meshgrid(
            *[(np.arange(side) - middle) * step for side, middle, step in zip(array.shape, centre, steps)],
            indexing="ij",
        )
        distance = np.sqrt(sum(axis**2 for axis in axes))
        amount = 0.5 * (1 - np.tanh(distance - radius))
        return _with_array(image, array * (1 - amount) + 1.1 * np.percentile(array, 99.5) * amount), _identity(image)

    return change


DISTURBANCES = (
    Disturbance("none", none),
    Disturbance("20 mm away", offset(20.0)),
    Disturbance("60 mm away", offset(60.0)),
    Disturbance("turned by 20 degrees", rotation(20.0)),
    Disturbance("turned by 40 degrees", rotation(40.0)),
    Disturbance("60 mm away, turned by 40 degrees", both(rotation(40.0), offset(60.0))),
    Disturbance("40 % of one axis not scanned", cropped(0.6)),
    Disturbance("25 % of every axis not scanned", windowed(0.75)),
    Disturbance("60 mm more on every side", surrounded(60.0)),
    Disturbance("slices 5 times as thick", thick_slices(5.0)),
    Disturbance("strong bias", bias(1.0)),
    Disturbance("lesion of 15 mm radius", lesion(15.0)),
)
