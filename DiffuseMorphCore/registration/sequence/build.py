"""register_sequence: every frame in time onto one reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import SimpleITK as sitk
import torch

from DiffuseMorphCore.devices import choose_device, describe_device
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images.frames import Frames, open_frames
from DiffuseMorphCore.job_options import SequenceOptions
from DiffuseMorphCore.options import RegistrationOptions, free_axes, split_options, takes_options
from DiffuseMorphCore.progress import Progress, advance
from DiffuseMorphCore.registration.intensity import check_fill
from DiffuseMorphCore.registration.memory import within_memory
from DiffuseMorphCore.registration.prepare import PreparedScan, prepare
from DiffuseMorphCore.registration.quality import versions
from DiffuseMorphCore.registration.sequence.alignments import align_frames
from DiffuseMorphCore.registration.sequence.fit import SequenceFit, order
from DiffuseMorphCore.registration.sequence.mean_reference import mean_reference
from DiffuseMorphCore.registration.sequence.result import SequenceRegistration
from DiffuseMorphCore.registration.stages import Stopwatch
from DiffuseMorphCore.registration.working_grid import choose_grid
from DiffuseMorphCore.similarity import MODALITIES
from DiffuseMorphCore.threads import with_threads


@takes_options(job=SequenceOptions)
@with_threads
def register_sequence(frames: Any, *, progress: Progress | None = None, **options: Any) -> SequenceRegistration:
    """Register every frame of a sequence in time to one reference.

    The frames lie on one grid, as one scan gives them; there is no network, and an alignment only where ``align`` asks
    for one, of each frame with the reference, begun where its neighbour lies. From the reference
    outwards each frame begins where its neighbour ended and is registered to the reference itself, so errors do not add
    up. Then the way of every point through time is smoothed (a parabola through the frames around it), except in frames
    that fit clearly less then.

    Parameters
    ----------
    frames : the name of a file with a last axis of time (NIfTI, NRRD ...), of a sequence of 3D Slicer (.seq.nrrd), of a
        folder of images or of DICOM phases; a 4-D SimpleITK image; a list of images in any form that
        :func:`DiffuseMorphCore.register` takes; or a numpy array with time as its first axis and voxels of 1 mm.
    progress : called with a stage (prepare, align, frames, smooth, deliver) and the fraction of it that is done;
        returning False cancels.
    {options}

    Returns
    -------
    The registrations of all frames, with the reference as the fixed image.

    Raises
    ------
    DiffuseMorphError : fewer than two frames, frames on different grids, an input or option that cannot be used, in one
        sentence; Cancelled when ``progress`` cancels.
    """
    own, shared = split_options(SequenceOptions, options)
    wanted = RegistrationOptions(**shared, model="none", align=own.align, modality=own.modality)
    device, stopwatch, notes = choose_device(wanted.device), Stopwatch(), []
    with stopwatch("prepare"):
        advance(progress, "prepare", 0.0)
        frames = open_frames(frames, own.slices_are_frames)
        count = len(frames)
        start = _start(own.reference, frames)
        first = frames.image(start)
        for number in range(count):  # so that a frame that does not belong is refused before the work, not after
            if number != start:
                frames.image(number, first)
            advance(progress, "prepare", (number + 1) / count)
        reference = prepare(first, frames.frame_name(start), None, notes, wanted.intensity_range)
        free_axes(wanted.restrict, reference.grid.ndim)
        if wanted.fill is not None:
            check_fill(wanted.fill, first, frames.frame_name(start))
        window = tuple(sorted(reference.intensities))

        def scan(number: int) -> PreparedScan:
            return prepare(frames.image(number), frames.frame_name(number), None, None, window)

    ways, alignments = order(count, start, own.periodic), {}
    if own.align != "none":
        with stopwatch("align"):
            alignments = align_frames(
                reference,
                scan,
                ways,
                own.align,
                MODALITIES[own.modality],
                lambda fraction: advance(progress, "align", fraction),
            )
    still = sitk.AffineTransform(reference.grid.ndim).GetParameters()
    moved = {number: each for number, each in alignments.items() if each.GetParameters() != still}

    def attempt(device: torch.device, reduction: int) -> tuple[PreparedScan, SequenceFit]:
        goal = MODALITIES[own.modality]
        grid = choose_grid(reference.grid, device, goal, notes, reduction, wanted.quality)
        fit = SequenceFit(reference, scan, count, start, own.periodic, grid, device, goal, wanted, moved)
        passes = 2 if own.reference == "mean" else 1
        with stopwatch("frames"):
            for place, (number, _) in enumerate(ways):
                starts, expected = fit.ahead(number)
                fit.fit(number, starts, _part(progress, "frames", place, passes * count), expected)
            if own.reference == "mean":
                fit = mean_reference(fit, frames)
                for number in range(count):
                    fit.fit(number, [fit.fields[number]], _part(progress, "frames", count + number, 2 * count), 0.0)
            advance(progress, "frames", 1.0)
        if own.smoothing and count > 3:
            with stopwatch("smooth"):
                fit.smooth(own.smoothing, lambda fraction: advance(progress, "smooth", fraction))
        with stopwatch("deliver"):
            fit.repair(reference.grid.shape, lambda fraction: advance(progress, "deliver", fraction))
            advance(progress, "deliver", 1.0)
        return fit.reference, fit

    (reference, fit), used = within_memory(attempt, device, notes)
    left = [number for number in range(count) if fit.folded[number]]
    if left:
        notes.append(
            f"The repair of folds did not come to an end in the frames {', '.join(map(str, left))}: do not rely on the "
            "deformation where its Jacobian is not positive."
        )
    if 0 < len(fit.smooth_ones) < count - (fit.still is not None):
        kept = [number for number in range(count) if number not in (*fit.smooth_ones, fit.still)]
        notes.append(
            f"The motion of the frames {', '.join(map(str, kept))} is too quick to be smoothed in time, so they are as "
            "they were found by themselves."
        )
    report = {
        "frames": count,
        "times": list(frames.times) if frames.times else None,
        "reference": "mean" if own.reference == "mean" else start,
        "settings": {**asdict(own), **wanted.to_dict(), "reference": own.reference},
        "similarity": {
            "measure": fit.goal.measure,
            "before": [fit.before[number] for number in range(count)],
            "aligned": [fit.aligned[number] for number in range(count)],
            "registered": [fit.after[number] for number in range(count)],
        },
        "smoothed": sorted(fit.smooth_ones),
        "grid": {"working": list(fit.grid.size), "spacing_mm": list(fit.grid.spacing)},
        "seconds": {stage: round(value, 3) for stage, value in stopwatch.seconds.items()},
        "device": describe_device(used),
        "versions": versions(),
        "notes": list(dict.fromkeys(notes)),
    }
    return SequenceRegistration(reference, frames, fit.fields, fit.grid, report, wanted, moved)


def _start(reference: Any, frames: Frames) -> int:
    """The number of the frame that the work begins at."""
    if reference in ("first", "mean"):
        return 0
    number = int(reference)
    if number >= len(frames):
        raise DiffuseMorphError(
            f"The reference is frame {number}, but the {frames.name} has {len(frames)} frames: give a number from 0 to "
            f"{len(frames) - 1}."
        )
    return number


def _part(progress: Progress | None, stage: str, place: int, whole: int) -> Callable[[float], None]:
    return lambda fraction: advance(progress, stage, (place + fraction) / whole)
