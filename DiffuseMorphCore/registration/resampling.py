"""Any image through a transform onto a grid: intensities, labels, colours, vectors, and frames in time."""

from __future__ import annotations

from collections.abc import Callable

import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import check_image, resample_labels, warp_channels
from DiffuseMorphCore.images.kinds import looks_like_labels
from DiffuseMorphCore.images.label_shares import resample_label_shares
from DiffuseMorphCore.registration.intensity import check_fill, outside_value

_INTERPOLATORS = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor, "bspline": sitk.sitkBSpline}
INTERPOLATIONS = ("auto", *_INTERPOLATORS, "label")


def check_interpolation(interpolation: str) -> None:
    """Raises DiffuseMorphError for a name that is none."""
    if interpolation not in INTERPOLATIONS:
        raise DiffuseMorphError(
            f"The interpolation '{interpolation}' is unknown: choose one of {', '.join(INTERPOLATIONS)}."
        )


def chosen_interpolation(image: sitk.Image, interpolation: str = "auto") -> str:
    """What ``"auto"`` means for an image: ``"label"`` where it holds labels, else ``"linear"``."""
    check_interpolation(interpolation)
    if interpolation != "auto":
        return interpolation
    return "label" if looks_like_labels(image) else "linear"


def resample(
    image: sitk.Image,
    reference: sitk.Image,
    transform: sitk.Transform,
    interpolation: str = "auto",
    fill: float | None = None,
    name: str = "image to warp",
    step: Callable[[float], None] = lambda _: None,
) -> sitk.Image:
    """An image on the grid of ``reference``, in its own type.

    Parameters
    ----------
    image : of the transform's dimension, or with one more, whose frames are moved one by one; of colours and vectors
        each component is.
    transform : reference points to image points (mm, LPS).
    interpolation : ``"auto"`` takes ``"label"`` for what holds labels and else ``"linear"``; ``"nearest"``,
        ``"bspline"``; ``"label"`` gives each voxel the label with the largest share of its place.
    fill : what stands outside the image; unless given 0 for labels, else its background, as found at its border.
    name : what messages call the image. step : called with the fraction that is done.

    Raises
    ------
    DiffuseMorphError : an unknown interpolation, other dimensions, complex numbers, labels that are not whole numbers.
    """
    interpolation = chosen_interpolation(image, interpolation)
    ndim = transform.GetDimension()
    if image.GetNumberOfPixels() == 0:
        raise DiffuseMorphError(f"The {name} is empty: give one with voxels.")
    if "complex" in image.GetPixelIDTypeAsString():
        raise DiffuseMorphError(f"The {name} has complex numbers: take their magnitude first.")
    if image.GetDimension() == 4 and ndim == 3:
        return _each_frame(image, lambda one: resample(one, reference, transform, interpolation, fill, name), step)
    if image.GetDimension() != ndim:
        raise DiffuseMorphError(f"The {name} is {image.GetDimension()}-D, but the transform is {ndim}-D.")
    if image.GetNumberOfComponentsPerPixel() > 1:
        return warp_channels(image, lambda one: resample(one, reference, transform, interpolation, fill, name))
    if interpolation == "label" or (interpolation == "nearest" and fill is None and looks_like_labels(image)):
        if fill:
            raise DiffuseMorphError(f"Outside of labels stands 0: leave the fill value {fill:g} out.")
        labels = check_image(image, name, labels=True)
        move = resample_label_shares if interpolation == "label" else resample_labels
        return move(labels, reference, transform)
    outside = outside_value(image) if fill is None else check_fill(fill, image, name)
    return sitk.Resample(image, reference, transform, _INTERPOLATORS[interpolation], outside, image.GetPixelID())


def _each_frame(
    image: sitk.Image, move: Callable[[sitk.Image], sitk.Image], step: Callable[[float], None]
) -> sitk.Image:
    """What ``move`` makes of each frame of an image with a last axis of time, as such an image again."""
    count = image.GetSize()[-1]
    frames = []
    for number in range(count):
        step(number / count)
        frames.append(move(frame(image, number)))
    return sitk.JoinSeries(frames, image.GetOrigin()[-1], image.GetSpacing()[-1])


def one_frame(image: sitk.Image) -> sitk.Image:
    """The image itself, or the first frame of one with a last axis of time."""
    return frame(image, 0) if image.GetDimension() == 4 else image


def frame(image: sitk.Image, number: int) -> sitk.Image:
    """One frame of an image whose last axis is time, where it lies in space."""
    return sitk.Extract(
        image,
        [*image.GetSize()[:-1], 0],
        [0] * (image.GetDimension() - 1) + [number],
        directionCollapseToStrategy=sitk.ExtractImageFilter.DIRECTIONCOLLAPSETOSUBMATRIX,
    )
