"""The mean of a sequence: the mean image of all frames, each moved to where every point is in the mean of all times."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch

from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.images import grey
from DiffuseMorphCore.images.frames import Frames
from DiffuseMorphCore.registration.intensity import outside_value
from DiffuseMorphCore.registration.prepare import flatten_slice, prepare
from DiffuseMorphCore.registration.repair import unfold
from DiffuseMorphCore.registration.sequence.fit import SequenceFit
from DiffuseMorphCore.samplers import EtaPath


@torch.no_grad()
def mean_reference(fit: SequenceFit, frames: Frames) -> SequenceFit:
    """The fit to the mean that follows from one to a frame; its fields are those of that fit, seen from the mean.

    Of a displacement u to each time the mean m leads from the frame to the mean place; its inverse w leads back, and
    p + w(p) + u(p + w(p)) from the mean to each time.
    """
    count, grid = fit.count, fit.grid
    mean = sum(fit.fields[number].double() for number in range(count)) / count
    middle = unfold(EtaPath.straight(Displacement(mean.float(), grid)), grid.shape, (1.0,)).path.end
    back = middle.inverse()
    total, reference, plane = 0.0, fit.reference.original, fit.reference.plane
    flat = reference if plane is None else flatten_slice(reference)[0]
    moved = SequenceFit(fit.reference, fit.scan, count, None, fit.periodic, grid, fit.device, fit.goal, fit.options)
    moved.alignments = fit.alignments
    for number in range(count):
        way = Displacement(fit.fields[number], grid).compose(back)
        moved.fields[number] = way.values
        image = grey(frames.image(number))
        image = image if plane is None else flatten_slice(image)[0]
        transform = sitk.CompositeTransform(way.transform())
        if number in fit.alignments:  # of what is in the list, the last comes first
            transform = sitk.CompositeTransform([fit.alignments[number], transform])
        on_mean = sitk.Resample(image, flat, transform, sitk.sitkLinear, outside_value(image), sitk.sitkFloat32)
        total = total + sitk.GetArrayFromImage(on_mean).astype(np.float64)
    found = sitk.GetImageFromArray((total / count).astype(np.float32).reshape(tuple(reversed(reference.GetSize()))))
    found.CopyInformation(reference)
    window = tuple(sorted(fit.reference.intensities))
    moved.reference = prepare(found, "mean image of the frames", None, None, window)
    return moved
