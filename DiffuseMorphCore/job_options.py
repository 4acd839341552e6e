"""The options of the jobs that consist of many registrations, each declared once, as those of a registration are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from DiffuseMorphCore.errors import OptionError
from DiffuseMorphCore.options import check_options, declare


@dataclass(frozen=True)
class TemplateOptions:
    """What ``build_template`` may be asked for beside the people; every field is a keyword of it.

    SHARED : options of a registration that it takes, too. DEFAULTS : those of them with another default: the template
    has the people's contrast, and with one contrast the network adds nothing to a refined result.
    """

    SHARED: ClassVar = (
        "model",
        "device",
        "threads",
        "seed",
        "align",
        "refine",
        "quality",
        "modality",
        "intensity_range",
        "restrict",
    )
    DEFAULTS: ClassVar = {"model": "none", "modality": "same"}

    rounds: int = declare(
        4, "rounds of registration to the current mean; 0 keeps the affine mean", lowest=0, highest=100
    )
    spacing: str | float = declare(
        "auto",
        "mm between the voxels of the template, along all axes; 'auto' takes the people's own (their median)",
        value="MM|auto",
        anything=True,
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.spacing != "auto":
            try:
                fine = 0 < float(self.spacing) < float("inf") and not isinstance(self.spacing, bool)
            except (TypeError, ValueError):
                fine = False
            if not fine:
                raise OptionError(
                    f"The option spacing is '{self.spacing}', but must be 'auto' or a length above 0 in mm."
                )


@dataclass(frozen=True)
class SequenceOptions:
    """What ``register_sequence`` may be asked for beside the frames; every field is a keyword of it.

    SHARED : options of a registration that it takes, too. DEFAULTS : those of them with another default.
    """

    SHARED: ClassVar = ("device", "threads", "refine", "quality", "intensity_range", "fill", "restrict")
    DEFAULTS: ClassVar = {}

    reference: Any = declare(
        "first",
        "the frame that all others are registered to: 'first', the number of a frame, counted from 0, or 'mean' for "
        "the mean image of all frames in their mean place",
        value="N|first|mean",
        anything=True,
    )
    periodic: bool = declare(
        False, "the first frame follows the last, as in a heartbeat: the motion closes, and is smooth across the ends"
    )
    smoothing: int = declare(
        3,
        "frames before and after each that the way of every point is smoothed over; 0 leaves each frame as it was "
        "found by itself",
        lowest=0,
        highest=20,
    )
    align: str = declare(
        "none",
        "linear alignment of each frame with the reference, before the deformation: 'rigid' for a head that moves "
        "between frames, 'affine' where it is scaled, too; 'none' where all motion bends",
        choices=("none", "rigid", "affine"),
    )
    slices_are_frames: bool = declare(
        False, "the slices of one 3-D image, its last axis, are the frames: films of 2-D images in one file"
    )
    modality: str = declare(
        "same",
        "whether equal intensities mean equal tissue in all frames; different: where contrast agent comes and goes",
        choices=("same", "different"),
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.reference not in ("first", "mean") or isinstance(self.reference, bool):
            try:
                fine = not isinstance(self.reference, (bool, float)) and int(self.reference) >= 0
            except (TypeError, ValueError):
                fine = False
            if not fine:
                raise OptionError(
                    f"The option reference is '{self.reference}', but must be 'first', 'mean' or the number of a frame "
                    "from 0."
                )
