"""synthesize_image: a synthetic image of the moving anatomy in the shape of the fixed one (Algorithm 2), from scans."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from DiffuseMorphCore.devices import choose_device
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.networks import DiffuseMorph
from DiffuseMorphCore.progress import Progress, advance
from DiffuseMorphCore.registration.align import align as align_linearly
from DiffuseMorphCore.registration.canonical import NetworkFrame
from DiffuseMorphCore.registration.inputs import Image, load_pair
from DiffuseMorphCore.registration.model_choice import resolve_model
from DiffuseMorphCore.registration.predict import network_images
from DiffuseMorphCore.registration.working_grid import choose_grid
from DiffuseMorphCore.registration.working_pair import working_pair
from DiffuseMorphCore.samplers import synthesize
from DiffuseMorphCore.similarity import MODALITIES
from DiffuseMorphCore.threads import with_threads
from DiffuseMorphCore.warp import resize


@with_threads
def synthesize_image(
    fixed: Image,
    moving: Image,
    *,
    model: str | Path | DiffuseMorph = "default",
    device: str = "auto",
    align: str = "affine",
    start: int = 200,
    steps: int = 80,
    seed: int = 0,
    threads: str | int = "auto",
    progress: Progress | None = None,
) -> sitk.Image:
    """Generate an image by reverse diffusion from the noised moving image, conditioned on both (paper, Algorithm 2).

    Parameters
    ----------
    fixed, moving, model, device, align, threads : as for :func:`DiffuseMorphCore.register`.
    start : noise step from which the reverse diffusion starts; the higher, the less is left of the moving image.
    steps : number of reverse steps, at most ``start`` + 1.
    seed : of the noise.
    progress : called with the stages prepare, align and synthesize.

    Returns
    -------
    Float32 image on the fixed image's grid, in the intensities [0, 1] that the networks know, in the canonical contrast
    of a model that has one. The network draws it on its
    own working grid, so detail finer than that is not there.

    Raises
    ------
    DiffuseMorphError : inputs that cannot be used, no model or one without a diffusion network, steps out of range;
    Cancelled when ``progress`` cancels.
    """
    target, notes = choose_device(device), []
    advance(progress, "prepare", 0.0)
    scans = load_pair(fixed, moving, None, None, notes)
    network = resolve_model(model, scans[0].grid.ndim, target, notes)
    if network is None or network.diffusion is None:
        raise DiffuseMorphError("Synthesis needs a model with a diffusion network: choose one that has it.")
    alignment = align_linearly(*scans, align, None, progress)
    grid = choose_grid(scans[0].grid, target, MODALITIES["same"], notes)
    pair = working_pair(scans, grid, alignment)
    frame = NetworkFrame.of(grid, network.configuration.spacing) if network.is_canonical else None
    images = network_images(network, pair) if frame is None else frame.images(network, pair)
    generated = synthesize(network, *images, start=start, steps=steps, seed=seed, progress=progress)
    generated = generated if frame is None else frame.back(generated)
    values = resize((generated.float().cpu() + 1) / 2, scans[0].grid.shape)[0, 0].numpy()
    result = sitk.GetImageFromArray(values.reshape(tuple(reversed(scans[0].original.GetSize()))))
    result.CopyInformation(scans[0].original)
    return result
