"""The options of a registration, each declared once.

The command line's help, the check of what Python callers give, the settings in the report and the panel in Slicer all
follow from here. Nothing heavy is imported, so that help and refusals come at once.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import Field, dataclass, field, fields
from functools import partial
from typing import Any

from DiffuseMorphCore.errors import OptionError
from DiffuseMorphCore.option import Option

QUALITIES = {
    "fast": "a look in two thirds of the default's time: a brain on voxels of 2 mm",
    "default": "a brain on voxels of 1.4 mm",
    "best": "as fine as the images, as memory allows: for a 1 mm brain three times the default's time, 2.5 GB",
}
"""The choices of the option ``quality`` and what each costs and gives, in words."""


def declare(default: Any, help: str, **limits: Any) -> Any:
    """A field that is an option; limits : see :class:`.option.Option`."""
    return field(default=default, metadata={"option": Option(help, **limits)})


@dataclass(frozen=True)
class RegistrationOptions:
    """What a registration may be asked for beside its images; every field is a keyword of ``register``."""

    model: Any = declare(
        "default",
        "a model that comes with the package (see 'diffusemorph models'), a model file (.pt), or 'none' for the "
        "optimisation alone; 'default' is the bundled one for the images' dimension",
        value="NAME|FILE",
        anything=True,
    )
    device: str = declare(
        "auto",
        "where to compute: 'auto' takes a GPU where there is one",
        value="auto|cpu|cuda|mps",
        anything=True,
        pattern=r"auto|cpu|mps|cuda(:\d+)?",
        pattern_says="auto, cpu, mps, cuda, or cuda:N for one of several",
    )
    threads: str | int = declare(
        "auto",
        "threads of the CPU; 'auto' takes one for every core that this process may use and that other programs leave "
        "free, or as many as OMP_NUM_THREADS says; another number may change the last digits",
        lowest=1,
        highest=1024,  # far beyond what any image keeps busy: some systems end a program that asks for more
        automatic=True,
        value="N|auto",
    )
    seed: int = declare(
        0,
        "of what is drawn at random: the uncertainty, a synthetic image; the same seed, input and device "
        "give the same result",
        lowest=0,
    )
    align: str = declare(
        "affine",
        "linear alignment before the deformation; affine: rigid where that fits as well",
        choices=("none", "center", "rigid", "affine"),
    )
    refine: str | int = declare(
        "auto",
        "refinement on the two images: at most N steps on the finest grid, 'auto' as the quality says, 0 keeps the "
        "network's answer",
        lowest=0,
        automatic=True,
        value="N|auto",
    )
    quality: str = declare(
        "default",
        "how fine the deformation is. " + "; ".join(f"{name}: {text}" for name, text in QUALITIES.items()),
        choices=tuple(QUALITIES),
    )
    modality: str = declare(
        "auto",
        "whether equal intensities mean equal tissue in both images; 'auto' looks at the aligned pair "
        "and says what it chose",
        choices=("auto", "same", "different"),
    )
    trajectory: str = declare(
        "anchored",
        "anchored: eta 0 is the aligned moving image exactly; faithful: as in the paper",
        choices=("anchored", "faithful"),
    )
    intensity_range: tuple[float, float] | None = declare(
        None,
        "intensities to keep of both images; by default -1000 to 1000 of a CT, and the 0.1 to 99.9 percentile of "
        "anything else",
        numbers=2,
        value="LOW HIGH",
    )
    moving_intensity_range: tuple[float, float] | None = declare(
        None,
        "intensities to keep of the moving image, where it has others than the fixed one",
        numbers=2,
        value="LOW HIGH",
    )
    fill: float | None = declare(
        None,
        "what stands in the result where the moving image is not; by default its background, as found at its border",
        numbers=1,
        value="VALUE",
    )
    guide_weight: float = declare(
        1.0,
        "how strongly landmarks and labels that guide pull, beside the images",
        lowest=0,
        highest=1000,
        numbers=1,
        value="WEIGHT",
    )
    restrict: str = declare(
        "none",
        "axes of the fixed image's grid along which the deformation may move, for example 'x,y' for slices that "
        "must stay, or 'y' for distortions along one axis; 'none' restricts nothing",
        value="AXES",
        anything=True,
        pattern=r"none|[xyz]( *, *[xyz])*",
        pattern_says="none, or axes with commas between them, of x, y, z",
    )
    keep: str = declare(
        "auto",
        "whether a deformation that hardly explains more of the images than the alignment is kept; auto: the alignment "
        "is given in its place, and a note says so",
        choices=("auto", "always"),
    )
    keyframes: int = declare(
        5, "how many fields are computed along the trajectory; between them it is interpolated", lowest=2, highest=101
    )
    alignment_follows_eta: bool = declare(
        False, "let eta scale the alignment too, so that eta 0 is the moving image where its header puts it"
    )

    def __post_init__(self) -> None:
        check_options(self)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> RegistrationOptions:
        """The options from keywords. Raises OptionError for a value an option cannot have, and for an unknown name."""
        _check_names(given)
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """The settings for a report, the model by its name."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return values | {"model": _name_of(self.model)}


def _check_names(given: Iterable[str], job: type | None = None) -> None:
    known = declared(job)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
            raise OptionError(f"There is no option {name}: {meant}")


def check_options(options: Any) -> None:
    """Raises OptionError for the first value that its option cannot have."""
    for each in fields(options):
        each.metadata["option"].check(each.name, getattr(options, each.name))


def _name_of(model: Any) -> str:
    if model is None:
        return "none"
    information = getattr(model, "information", None)  # of a loaded model
    return str(model) if information is None else str(information.get("name", "given"))


def free_axes(restrict: str, ndim: int) -> tuple[float, ...]:
    """1 for each axis, in array order, along which a restricted deformation may move, else 0.

    Raises OptionError for what names no axes.
    """
    axes = "xyz"[:ndim]
    names = [name.strip() for name in str(restrict).split(",")]
    if restrict == "none":
        return (1.0,) * ndim
    if not names or any(len(name) != 1 or name not in axes for name in names):
        raise OptionError(
            f"The option restrict is '{restrict}', but must be 'none' or axes with commas between them, "
            f"of {', '.join(axes)}."
        )
    return tuple(float(axis in names) for axis in reversed(axes))


def declared(job: type | None = None) -> dict[str, Option]:
    """Every option by its name, of a registration or of another job."""
    return {each.name: each.metadata["option"] for each in _fields(job)}


def default_of(name: str, job: type | None = None) -> Any:
    """The value an option has unless it is given."""
    return next(each.default for each in _fields(job) if each.name == name)


def _fields(job: type | None) -> list[Field]:
    """The options of a job: its own, and those of a registration that it takes, with its own defaults."""
    if job is None or job is RegistrationOptions:
        return list(fields(RegistrationOptions))
    shared = []
    for each in fields(RegistrationOptions):
        if each.name in job.SHARED:
            each = copy(each)
            each.default = job.DEFAULTS.get(each.name, each.default)
            shared.append(each)
    return [*fields(job), *shared]


def split_options(job: type, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The job's own options, checked, and those of each registration, with the job's defaults.

    Raises OptionError for a value that an option cannot have, and for an unknown name.
    """
    own = {each.name for each in fields(job)}
    _check_names(options, job)
    shared = {each.name: options.get(each.name, each.default) for each in _fields(job) if each.name not in own}
    return job(**{name: value for name, value in options.items() if name in own}), shared


def takes_options(function: Callable | None = None, *, job: type | None = None) -> Callable:
    """For a function with ``**options``: its signature and docstring name every option, as if they stood there.

    The docstring has ``{options}`` where their descriptions go. job : whose options; those of a registration by
    default.
    """
    if function is None:
        return partial(takes_options, job=job)
    signature = inspect.signature(function)
    own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    described = keywords(job)
    function.__signature__ = signature.replace(parameters=own + list(described.values()))
    lines = [f"{name} : {description(name, job)}" for name in described]
    function.__doc__ = function.__doc__.replace("{options}", "\n    ".join(lines))
    return function


def keywords(job: type | None = None) -> dict[str, inspect.Parameter]:
    """Every option by its name as a keyword of a function, with its type and default."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return {
        each.name: inspect.Parameter(each.name, kind, default=each.default, annotation=each.type)
        for each in _fields(job)
    }


def description(name: str, job: type | None = None) -> str:
    """What an option does, may be, and is unless it is given."""
    option = declared(job)[name]
    limits = f"; {option.range}" if option.choices or option.numbers or option.lowest is not None else ""
    return f"{option.help}{limits} (default {default_of(name, job)!r})."
