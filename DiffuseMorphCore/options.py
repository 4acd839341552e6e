"""The options of a registration, each declared once.

The command line's help, the check of what Python callers give, the settings in the report and the panel in Slicer all
follow from here. Nothing heavy is imported, so that help and refusals come at once.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from DiffuseMorphCore.errors import OptionError


@dataclass(frozen=True)
class Option:
    """One option.

    help : what it does, without a full stop. choices : the words it may be, if it is a word. lowest, highest : the
    range of a number; None where there is no such bound. automatic : ``"auto"`` may stand for the number. value :
    what help texts call the value. anything : it is checked where it is used. numbers : how many numbers of any kind it
    is made of, two in ascending order; None where it is not given.
    """

    help: str
    choices: tuple[str, ...] = ()
    lowest: int | None = None
    highest: int | None = None
    automatic: bool = False
    value: str = "N"
    anything: bool = False
    numbers: int = 0

    def check(self, name: str, value: Any) -> None:
        """Raises OptionError, in one sentence, for a value that the option cannot have."""
        if self.anything:
            return
        if self.numbers:
            if value is not None and not self._ascending(value if self.numbers > 1 else (value,)):
                raise OptionError(f"The option {name} is '{value}', but must be {self.range}.")
        elif self.choices:
            if value not in self.choices:
                raise OptionError(f"The option {name} is '{value}', but must be one of {', '.join(self.choices)}.")
        elif self.lowest is None:
            if not isinstance(value, bool):
                raise OptionError(f"The option {name} is '{value}', but must be True or False.")
        elif not (self.automatic and value == "auto") and not self._in_range(value):
            raise OptionError(f"The option {name} is '{value}', but must be {self.range}.")

    def parse(self, text: str) -> str | int:
        """The value that a text from the command line means. Raises ValueError, saying why, for any other text."""
        if self.anything or self.choices or (self.automatic and text == "auto"):
            return text
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"'{text}' is not a whole number" + (" or 'auto'" if self.automatic else "")) from None
        if not self._in_range(value):
            raise ValueError(
                f"'{text}' is below {self.lowest}" if value < self.lowest else f"'{text}' is above {self.highest}"
            )
        return value

    @property
    def range(self) -> str:
        """The values it may have, in words."""
        if self.numbers == 1 and self.lowest is not None:
            return f"a number from {self.lowest} to {self.highest}"
        if self.numbers:
            return "a finite number" if self.numbers == 1 else "two finite numbers, the lower first"
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        words = "'auto' or " if self.automatic else ""
        upper = "" if self.highest is None else f" to {self.highest}"
        return f"{words}a whole number from {self.lowest}{upper}"

    def _ascending(self, values: Any) -> bool:
        return (
            isinstance(values, (tuple, list))
            and len(values) == self.numbers
            and all(
                isinstance(each, (int, float)) and not isinstance(each, bool) and math.isfinite(each) for each in values
            )
            and all(low < high for low, high in zip(values, values[1:]))
            and (self.lowest is None or self.lowest <= values[0] <= self.highest)
        )

    def _in_range(self, value: Any) -> bool:
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and value >= self.lowest
            and (self.highest is None or value <= self.highest)
        )


QUALITIES = {
    "fast": "a look in two thirds of the default's time: a brain on voxels of 2 mm",
    "default": "a brain on voxels of 1.4 mm",
    "best": "as fine as the images, as memory allows: for a 1 mm brain three times the default's time, 2.5 GB",
}
"""The choices of the option ``quality`` and what each costs and gives, in words."""


def _option(default: Any, help: str, **limits: Any) -> Any:
    return field(default=default, metadata={"option": Option(help, **limits)})


@dataclass(frozen=True)
class RegistrationOptions:
    """What a registration may be asked for beside its images; every field is a keyword of ``register``."""

    model: Any = _option(
        "default",
        "a model that comes with the package (see 'diffusemorph models'), a model file (.pt), or 'none' for the "
        "optimisation alone; 'default' is the bundled one for the images' dimension",
        value="NAME|FILE",
        anything=True,
    )
    device: str = _option(
        "auto", "where to compute: 'auto' takes a GPU where there is one", value="auto|cpu|cuda|mps", anything=True
    )
    threads: str | int = _option(
        "auto",
        "threads of the CPU; 'auto' takes one for every core that this process may use and that other programs leave "
        "free, or as many as OMP_NUM_THREADS says; another number may change the last digits",
        lowest=1,
        highest=1024,  # far beyond what any image keeps busy: some systems end a program that asks for more
        automatic=True,
        value="N|auto",
    )
    seed: int = _option(
        0,
        "of what is drawn at random: the uncertainty, a synthetic image; the same seed, input and device "
        "give the same result",
        lowest=0,
    )
    align: str = _option(
        "affine",
        "linear alignment before the deformation; affine: rigid where that fits as well",
        choices=("none", "center", "rigid", "affine"),
    )
    refine: str | int = _option(
        "auto",
        "refinement on the two images: at most N steps on the finest grid, 'auto' as the quality says, 0 keeps the "
        "network's answer",
        lowest=0,
        automatic=True,
        value="N|auto",
    )
    quality: str = _option(
        "default",
        "how fine the deformation is. " + "; ".join(f"{name}: {text}" for name, text in QUALITIES.items()),
        choices=tuple(QUALITIES),
    )
    modality: str = _option(
        "auto",
        "whether equal intensities mean equal tissue in both images; 'auto' looks at the aligned pair "
        "and says what it chose",
        choices=("auto", "same", "different"),
    )
    trajectory: str = _option(
        "anchored",
        "anchored: eta 0 is the aligned moving image exactly; faithful: as in the paper",
        choices=("anchored", "faithful"),
    )
    intensity_range: tuple[float, float] | None = _option(
        None,
        "intensities to keep of both images; by default -1000 to 1000 of a CT, and the 0.1 to 99.9 percentile of "
        "anything else",
        numbers=2,
        value="LOW HIGH",
    )
    moving_intensity_range: tuple[float, float] | None = _option(
        None,
        "intensities to keep of the moving image, where it has others than the fixed one",
        numbers=2,
        value="LOW HIGH",
    )
    fill: float | None = _option(
        None,
        "what stands in the result where the moving image is not; by default its background, as found at its border",
        numbers=1,
        value="VALUE",
    )
    guide_weight: float = _option(
        1.0,
        "how strongly landmarks and labels that guide pull, beside the images",
        lowest=0,
        highest=1000,
        numbers=1,
        value="WEIGHT",
    )
    restrict: str = _option(
        "none",
        "axes of the fixed image's grid along which the deformation may move, for example 'x,y' for slices that "
        "must stay, or 'y' for distortions along one axis; 'none' restricts nothing",
        value="AXES",
        anything=True,
    )
    keyframes: int = _option(
        5, "how many fields are computed along the trajectory; between them it is interpolated", lowest=2, highest=101
    )
    alignment_follows_eta: bool = _option(
        False, "let eta scale the alignment too, so that eta 0 is the moving image where its header puts it"
    )

    def __post_init__(self) -> None:
        for name, option in declared().items():
            option.check(name, getattr(self, name))

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> RegistrationOptions:
        """The options from keywords. Raises OptionError for a value an option cannot have, and for an unknown name."""
        for name in given:
            if name not in declared():
                near = difflib.get_close_matches(name, declared(), 1)
                meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(declared())}."
                raise OptionError(f"There is no option {name}: {meant}")
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """The settings for a report, the model by its name."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return values | {"model": _name_of(self.model)}


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


def declared() -> dict[str, Option]:
    """Every option by its name."""
    return {each.name: each.metadata["option"] for each in fields(RegistrationOptions)}


def default_of(name: str) -> Any:
    """The value an option has unless it is given."""
    return RegistrationOptions.__dataclass_fields__[name].default


def takes_options(function: Callable) -> Callable:
    """For a function with ``**options``: its signature and docstring name every option, as if they stood there.

    The docstring has ``{options}`` where their descriptions go.
    """
    signature = inspect.signature(function)
    own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    options = [
        inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type)
        for each in fields(RegistrationOptions)
    ]
    function.__signature__ = signature.replace(parameters=own + options)
    lines = []
    for name, option in declared().items():
        limits = f"; {option.range}" if option.choices or option.numbers or option.lowest is not None else ""
        lines.append(f"{name} : {option.help}{limits} (default {default_of(name)!r}).")
    function.__doc__ = function.__doc__.replace("{options}", "\n    ".join(lines))
    return function
