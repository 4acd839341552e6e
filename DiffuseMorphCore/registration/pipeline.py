"""register: prepare, align, predict, refine, deliver."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import SimpleITK as sitk
import torch

from DiffuseMorphCore.devices import choose_device, describe_device
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.networks import DiffuseMorph
from DiffuseMorphCore.options import RegistrationOptions, free_axes, takes_options
from DiffuseMorphCore.progress import Progress, advance
from DiffuseMorphCore.registration.align import align as align_linearly
from DiffuseMorphCore.registration.align import as_affine
from DiffuseMorphCore.registration.aligned_similarity import aligned_similarity
from DiffuseMorphCore.registration.deform import Deformation, deform
from DiffuseMorphCore.registration.guides import Guides
from DiffuseMorphCore.registration.inputs import Image, load_pair
from DiffuseMorphCore.registration.intensity import check_fill
from DiffuseMorphCore.registration.left_out import landmark_distances
from DiffuseMorphCore.registration.mapping import Mapping
from DiffuseMorphCore.registration.memory import within_memory
from DiffuseMorphCore.registration.modality import Modality, choose_modality, contrast_grid, modality_entry
from DiffuseMorphCore.registration.model_choice import resolve_canonical, resolve_model
from DiffuseMorphCore.registration.prepare import PreparedScan
from DiffuseMorphCore.registration.quality import quality, versions
from DiffuseMorphCore.registration.region import working_region
from DiffuseMorphCore.registration.result import Registration
from DiffuseMorphCore.registration.stages import Stopwatch
from DiffuseMorphCore.registration.verdict import NO_GAIN, inside_object, judge, odd_units
from DiffuseMorphCore.registration.working_grid import choose_grid, delivered_grid
from DiffuseMorphCore.registration.working_pair import working_pair
from DiffuseMorphCore.similarity import MODALITIES, Similarity
from DiffuseMorphCore.threads import with_threads
from DiffuseMorphCore.transforms import as_transform


@takes_options
@with_threads
def register(
    fixed: Image,
    moving: Image,
    *,
    fixed_mask: Image | None = None,
    moving_mask: Image | None = None,
    initial_transform: sitk.Transform | str | Path | None = None,
    fixed_landmarks: Any = None,
    moving_landmarks: Any = None,
    guide_labels: tuple[Image, Image] | None = None,
    fixed_ignore: Image | None = None,
    moving_ignore: Image | None = None,
    also: Sequence[tuple[Image, Image]] = (),
    progress: Progress | None = None,
    **options: Any,
) -> Registration:
    """Register two scans: find the deformation that brings ``moving`` onto ``fixed``.

    Parameters
    ----------
    fixed, moving : 2-D or 3-D, of any grid, spacing, orientation and number type: a file name, the folder or the list
        of files of a DICOM series, a SimpleITK image, a nibabel image, or a numpy array by
        :func:`DiffuseMorphCore.image_from_array`. Colours are registered by their grey.
    fixed_mask, moving_mask : non-zero where the image counts, on any grid that covers the image. Nothing outside has a
        part in the result.
    initial_transform : a linear transform from fixed to moving points (mm, LPS) to start the alignment from.
    fixed_landmarks, moving_landmarks : points that belong together, arrays (N, ndim) in mm, LPS, or their files (see
        :func:`DiffuseMorphCore.points.read_points`). The alignment starts from them, and they pull.
    guide_labels : label maps (fixed, moving) with the same structures, which are pulled over one another.
    fixed_ignore, moving_ignore : non-zero in a lesion or a resection, which neither pulls nor changes its volume.
    also : further contrasts (fixed, moving), each already aligned with the image of its side, compared too.
    progress : called with a stage (prepare, align, predict, refine, deliver) and the fraction of it that is done;
        returning False cancels.
    {options}

    A model may be given as an object, too, and as None for the optimisation alone.

    Raises
    ------
    DiffuseMorphError : an input or option that cannot be used, in one sentence; Cancelled when ``progress`` cancels.
    """
    wanted = RegistrationOptions.of(options)
    target, stopwatch, notes = choose_device(wanted.device), Stopwatch(), []
    with stopwatch("prepare"):
        advance(progress, "prepare", 0.0)
        windows = wanted.intensity_range, wanted.moving_intensity_range or wanted.intensity_range
        scans = load_pair(fixed, moving, fixed_mask, moving_mask, notes, windows)
        if wanted.fill is not None:
            check_fill(wanted.fill, scans[1].original, "moving image")
        units = odd_units(scans[0].grid, scans[1].grid)
        if units is not None:
            notes.append(units)
        guides, scans = Guides.load(
            scans,
            (fixed_landmarks, moving_landmarks),
            guide_labels,
            (fixed_ignore, moving_ignore),
            also,
            wanted.guide_weight,
            notes,
        )
        advance(progress, "prepare", 0.5)
        free_axes(wanted.restrict, scans[0].grid.ndim)
        network = resolve_model(wanted.model, scans[0].grid.ndim, target, notes)
        initial = None if initial_transform is None else as_transform(initial_transform)
        if initial is not None and scans[0].plane is not None:
            raise DiffuseMorphError("An initial transform is not used for single slices: leave it out.")
        if initial is None and guides.landmarks is not None and wanted.align != "none":
            initial = guides.landmarks.start()
        advance(progress, "prepare", 1.0)
    with stopwatch("align"):
        advance(progress, "align", 0.0)
        alignment = align_linearly(*scans, wanted.align, initial, progress, notes)
        if wanted.align in ("rigid", "affine"):
            compared = "different" if wanted.modality == "different" else "same"
            alignment = _kept_start(scans, alignment, initial, MODALITIES[compared])
        region = working_region(scans[0].grid, scans[1].grid, alignment)
        asked, modality = wanted.modality, None
        canonical = cache(partial(resolve_canonical, network, region.ndim, target))
        if asked == "auto":
            modality = _modality(scans, region, alignment, canonical, target)
            wanted = replace(wanted, modality=modality.name)
        goal = MODALITIES[wanted.modality]

        def compared(pair: tuple[PreparedScan, PreparedScan]) -> Similarity:
            return MODALITIES[_modality(pair, region, alignment, canonical, target).name] if modality else goal

        guides = guides.compared(compared)
        if wanted.modality == "different" and wanted.model == "default":
            network = canonical() or network
        advance(progress, "align", 1.0)

    def attempt(device: torch.device, reduction: int) -> Deformation:
        with stopwatch("prepare"):
            working = choose_grid(region, device, goal, notes, reduction, wanted.quality)
            grid = delivered_grid(working)
            pair = working_pair(scans, working, alignment, tissue=goal.uses_tissue)
            guided = guides.goal(goal, working, alignment)
        return deform(pair, grid, region.shape, network, device, guided, wanted, stopwatch, progress)

    deformation, used = within_memory(attempt, target, notes)
    with stopwatch("deliver"):
        backgrounds = tuple(scan.background for scan in scans)
        verdict = judge(deformation.pair, deformation.path.finest.on(deformation.grid), backgrounds, units)
        if (
            wanted.keep == "auto"
            and not verdict.gained(wanted.modality, deformation.pair.shape)
            and guides.landmarks is None
            and guides.labels is None
        ):
            deformation = deformation.undone(NO_GAIN)
            verdict = judge(deformation.pair, deformation.path.finest.on(deformation.grid), backgrounds, units)
        report = {"verdict": verdict.entry(), "modality": modality_entry(wanted.modality, modality)}
        inside = inside_object(deformation.pair, deformation.grid, backgrounds[0])
        report |= quality(scans, deformation, goal, used, region.shape, inside)
        advance(progress, "deliver", 1.0)
    report |= {
        "seconds": {stage: round(value, 3) for stage, value in stopwatch.seconds.items()},
        "device": describe_device(used),
        # The recipe stays in the model's file, where 'diffusemorph models FILE' shows it.
        "model": "none"
        if network is None
        else {key: value for key, value in network.information.items() if key != "recipe"}
        | {"canonical": network.is_canonical},
        "settings": {
            **wanted.to_dict(),
            "modality": asked,
            "masks": [name for name, mask in (("fixed", fixed_mask), ("moving", moving_mask)) if mask is not None],
            "initial_transform": initial_transform is not None,
            **guides.entry(),
        },
        "versions": versions(),
        "notes": notes + deformation.notes,
    }
    if guides.landmarks is not None:
        mapping = Mapping(alignment, deformation.path)
        report["landmarks_mm"] = landmark_distances(scans, region, mapping, goal, guides, used, progress)
    planes = None if scans[0].plane is None else (scans[0].plane, scans[1].plane)
    return Registration(
        scans[0].original,
        scans[1].original,
        alignment,
        deformation.path,
        deformation.grid,
        report,
        wanted,
        planes,
        network,
        deformation.pair,
    )


def _modality(
    scans: tuple[PreparedScan, PreparedScan],
    region: Grid,
    alignment: sitk.AffineTransform,
    canonical: Callable[[], DiffuseMorph | None],
    device: torch.device,
) -> Modality:
    """What the aligned pair says of its contrasts."""
    grid = contrast_grid(region)
    pair = working_pair(scans, grid, alignment).to(device)
    return choose_modality(pair, grid, canonical)


def _kept_start(
    scans: tuple[PreparedScan, PreparedScan],
    found: sitk.AffineTransform,
    initial: sitk.Transform | None,
    goal: Similarity,
) -> sitk.AffineTransform:
    """The alignment that was found, unless the images are as similar where they were at the start, by headers or by the
    initial transform: the search maximises something else, and identical images have nothing to gain.
    """
    ndim = scans[0].grid.ndim
    start = sitk.AffineTransform(ndim) if initial is None else as_affine(initial, ndim)
    if start.GetParameters() == found.GetParameters():
        return found
    region = working_region(scans[0].grid, scans[1].grid, found)
    at_start, at_found = (aligned_similarity(scans, alignment, region, goal) for alignment in (start, found))
    return start if at_start >= at_found and at_start > -math.inf else found
