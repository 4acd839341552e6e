"""The methods of registering one pair that the benchmark compares, each behind the same interface."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache, partial
from pathlib import Path

import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.machine import peak_memory, reset_peak_memory
from DiffuseMorphCore.images import resample_labels
from DiffuseMorphCore.options import RegistrationOptions


@dataclass
class Outcome:
    """What one method made of one pair.

    `transform` maps fixed points to moving points and `inverse` goes back, both in mm; `inverse` is None where the
    program has none. `move_labels` brings a label map of the moving image onto the fixed grid by nearest neighbour,
    `move_image` gives the moved image, where it was asked for. `at` gives the transform at an eta, for methods
    with a trajectory. `seconds` is the registration alone: no import, no reading, no writing, no scoring; `details`
    holds the seconds of its stages, and of the inverse, which is made on demand and not in `seconds`. `cpu_seconds` is
    what the processor worked meanwhile, on all threads: it depends less on what else the computer does.
    """

    transform: sitk.Transform
    inverse: sitk.Transform | None
    move_labels: Callable[[sitk.Image], sitk.Image]
    seconds: float
    peak_gib: float
    at: Callable[[float], sitk.Transform] | None = None
    details: dict = field(default_factory=dict)
    cpu_seconds: float = 0.0
    move_image: Callable[[], sitk.Image] | None = None


def initial(fixed: sitk.Image, moving: sitk.Image, settings: RegistrationOptions) -> Outcome:
    """Nothing done: the two images as their headers place them."""
    identity = sitk.Transform(fixed.GetDimension(), sitk.sitkIdentity)
    return Outcome(identity, identity, lambda labels: resample_labels(labels, fixed, identity), 0.0, 0.0)


def _diffusemorph(
    fixed: sitk.Image, moving: sitk.Image, settings: RegistrationOptions, model: str | None, refine: str | int
) -> Outcome:
    from DiffuseMorphCore.registration import register

    loaded = model
    if model is not None and (model != "default" or settings.modality == "same"):  # else the images decide which
        loaded = _loaded(model, fixed.GetDimension())
    reset_peak_memory()
    start, worked = time.perf_counter(), time.process_time()
    given = {each.name: getattr(settings, each.name) for each in fields(settings)}
    result = register(fixed, moving, **given | {"model": loaded, "refine": refine})
    result.warp()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - worked
    start = time.perf_counter()
    inverse = result.inverse_transform()
    stages = {**result.report["seconds"], "inverse": time.perf_counter() - start}
    return Outcome(
        result.transform(),
        inverse,
        result.warp_labels,
        seconds,
        peak_memory(),
        result.transform,
        {"stages": stages, "device": result.report["device"]},
        cpu_seconds,
        result.warp,
    )


@lru_cache(maxsize=2)
def _loaded(name: str, ndim: int):
    """A model, read once: loading belongs to the start-up, which is not timed."""
    from DiffuseMorphCore.networks.model_file import load_model

    return load_model(name, ndim=ndim)


def alignment(fixed: sitk.Image, moving: sitk.Image, settings: RegistrationOptions) -> Outcome:
    """The linear alignment alone."""
    return _diffusemorph(fixed, moving, settings, None, 0)


def network(fixed: sitk.Image, moving: sitk.Image, settings: RegistrationOptions) -> Outcome:
    """Alignment and the network, without refinement."""
    return _diffusemorph(fixed, moving, settings, settings.model, 0)


def zero(fixed: sitk.Image, moving: sitk.Image, settings: RegistrationOptions) -> Outcome:
    """Alignment and refinement from zero: no network at all."""
    return _diffusemorph(fixed, moving, settings, None, settings.refine)


def network_and_refinement(fixed: sitk.Image, moving: sitk.Image, settings: RegistrationOptions) -> Outcome:
    """What a user gets: alignment, network, refinement."""
    return _diffusemorph(fixed, moving, settings, settings.model, settings.refine)


def preset(fixed: sitk.Image, moving: sitk.Image, settings: RegistrationOptions, quality: str) -> Outcome:
    """What a user gets with one of the presets of quality, whichever the settings name."""
    return network_and_refinement(fixed, moving, replace(settings, quality=quality))


def control(fixed: sitk.Image, moving: sitk.Image, settings: RegistrationOptions) -> Outcome:
    """Alignment and the bundled VoxelMorph control: the same deformation network, trained alike, without diffusion.

    Raises DiffuseMorphError where there is none for images of this dimension.
    """
    return _diffusemorph(fixed, moving, settings, CONTROL.format(ndim=fixed.GetDimension()), 0)


def syn(fixed: sitk.Image, moving: sitk.Image, settings: RegistrationOptions) -> Outcome:
    """ANTs SyN through antspyx with its defaults (mutual information, nothing at full resolution), its own affine.

    Raises DiffuseMorphError where antspyx is not installed.
    """
    return _ants(fixed, moving, settings, "SyN")


def syn_cross_correlation(fixed: sitk.Image, moving: sitk.Image, settings: RegistrationOptions) -> Outcome:
    """ANTs SyN as its script antsRegistrationSyN.sh has it, in antspyx's words: local cross-correlation (radius 2,
    where the script has 4), 20 iterations at full resolution, its own rigid and affine stages.

    Raises DiffuseMorphError where antspyx is not installed.
    """
    return _ants(fixed, moving, settings, "antsRegistrationSyN[s]")


def _ants(fixed: sitk.Image, moving: sitk.Image, settings: RegistrationOptions, kind: str) -> Outcome:
    try:
        import ants
    except ImportError as error:
        raise DiffuseMorphError(
            "ANTs SyN needs the package antspyx: install it, or leave 'syn' and 'syn-cc' out of --methods."
        ) from error
    # The only way to a seed: antspyx 0.6 takes `random_seed` of a registration without a word and leaves it out.
    ants.config.set_ants_deterministic(on=False, seed_value=settings.seed + 1)
    target, source = (ants.from_sitk(sitk.Cast(image, sitk.sitkFloat32)) for image in (fixed, moving))
    with tempfile.TemporaryDirectory() as folder:
        reset_peak_memory()
        start, worked = time.perf_counter(), time.process_time()
        result = ants.registration(target, source, type_of_transform=kind, outprefix=str(Path(folder) / "syn"))
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - worked
        peak = peak_memory()
        warp_file, linear_file = result["fwdtransforms"]
        linear = sitk.ReadTransform(linear_file)
        forward = sitk.CompositeTransform([linear, _field_transform(warp_file)])
        inverse = sitk.CompositeTransform([_field_transform(result["invtransforms"][1]), linear.GetInverse()])
    return Outcome(
        forward, inverse, lambda labels: resample_labels(labels, fixed, forward), seconds, peak, cpu_seconds=cpu_seconds
    )


def _field_transform(path: str) -> sitk.Transform:
    return sitk.DisplacementFieldTransform(sitk.ReadImage(path, sitk.sitkVectorFloat64))


Method = tuple[str, Callable[[sitk.Image, sitk.Image, RegistrationOptions], Outcome]]
"""Name in the table, function."""

METHODS: dict[str, Method] = {
    "initial": ("as the scanner left it", initial),
    "affine": ("after alignment", alignment),
    "network": ("network alone", network),
    "voxelmorph": ("VoxelMorph control alone", control),
    "zero": ("refinement from zero", zero),
    "network+refine": ("network and refinement", network_and_refinement),
    "syn": ("ANTs SyN", syn),
    "syn-cc": ("ANTs SyN, cross-correlation", syn_cross_correlation),
    "fast": ("DiffuseMorph, fast", partial(preset, quality="fast")),
    "default": ("DiffuseMorph, default", partial(preset, quality="default")),
    "best": ("DiffuseMorph, best", partial(preset, quality="best")),
}
"""Name on the command line -> (name in the table, function)."""

USUAL = ("initial", "affine", "network", "voxelmorph", "zero", "network+refine", "syn")
"""The rows of a table where none are named: the others repeat one of these, or take hours."""

CONTROL = "voxelmorph{ndim}d"
"""Name of the bundled VoxelMorph control."""

NEED_MODEL = ("network", "network+refine", "fast", "default", "best")


def chosen_methods(names: str, others: Iterable[str] = ()) -> list[str]:
    """The method names of a comma-separated list; `others` are known besides those of `METHODS`.

    Raises DiffuseMorphError for an unknown one.
    """
    known = (*METHODS, *others)
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    for name in chosen:
        if name not in known:
            raise DiffuseMorphError(f"There is no method '{name}': choose from {', '.join(known)}.")
    if not chosen:
        raise DiffuseMorphError(f"No method was named: choose from {', '.join(known)}.")
    return list(dict.fromkeys(chosen))
