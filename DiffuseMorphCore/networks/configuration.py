"""What a model is made of, as plain values that travel in its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.plain_dicts import from_plain_dict, to_plain_dict

OUTPUTS = ("displacement", "velocity")
ATTENTIONS = ("softmax", "linear")
INITIALISATIONS = ("normal", "kaiming")


@dataclass(frozen=True)
class ScheduleConfiguration:
    """The noise schedule: `steps` betas that grow linearly from `first` to `last`."""

    steps: int = 2000
    first: float = 1e-6
    last: float = 1e-2

    def __post_init__(self) -> None:
        _require(self.steps >= 1, "the noise schedule has no steps")
        _require(0 < self.first <= self.last < 1, "the betas of the noise schedule do not grow between 0 and 1")


@dataclass(frozen=True)
class DiffusionConfiguration:
    """The diffusion network G; `architecture` is its name in `architectures.DIFFUSION`, the rest belongs to the U-Net.

    Attributes
    ----------
    width : channels of the finest level.
    multipliers : channels of each level, finest first, in units of `width`.
    blocks : residual blocks a level on the way down (one more on the way up).
    groups : of the group normalisation.
    attention, heads : "softmax" or "linear", and with how many heads.
    attention_levels : levels with attention (0 = finest), besides the coarsest, which always has it between its two
        residual blocks.
    time_width : length of the timestep embedding; None: `width`.
    patch : side, in voxels, of the blocks that the first layer takes together and the last one gives back, so that all
        levels are so many times coarser; 1 works on the voxels themselves, as the paper does.
    tissues : intensities in [0, 1] of the classes of tissue in the canonical contrast. With them the latent is the
        fixed anatomy in that contrast, whatever the contrast of the images; without them, as in the paper, the noise
        estimate.
    """

    width: int
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    blocks: int = 1
    groups: int = 4
    attention: str = "linear"
    heads: int = 4
    attention_levels: tuple[int, ...] = ()
    time_width: int | None = None
    patch: int = 1
    tissues: tuple[float, ...] = ()
    architecture: str = "unet"

    def __post_init__(self) -> None:
        object.__setattr__(self, "multipliers", tuple(self.multipliers))
        object.__setattr__(self, "tissues", tuple(self.tissues))
        _require(self.patch >= 1, "the patch of the diffusion network has a side below 1 voxel")
        _require(
            len(self.tissues) != 1 and all(0 <= value <= 1 for value in self.tissues),
            "the tissues of the diffusion network are not two or more intensities from 0 to 1",
        )
        object.__setattr__(self, "attention_levels", tuple(self.attention_levels))
        _require(
            len(self.multipliers) >= 1 and min(self.multipliers) >= 1 and self.blocks >= 1,
            "the diffusion network has a level without channels or blocks",
        )
        _require(
            self.groups >= 1 and self.width >= 1 and self.width % self.groups == 0,
            "the width of the diffusion network is no multiple of its normalisation groups",
        )
        _require(
            self.embedding_width >= 4 and self.embedding_width % 2 == 0,
            "the timestep embedding is not an even length of at least 4",
        )
        _require(
            self.attention in ATTENTIONS and self.heads >= 1,
            f"the attention of the diffusion network is not one of {', '.join(ATTENTIONS)}",
        )
        levels = range(len(self.multipliers))
        _require(
            all(level in levels for level in self.attention_levels),
            "attention is asked for at a level the diffusion network does not have",
        )
        _require(
            all(self.width * self.multipliers[level] % self.heads == 0 for level in (*self.attention_levels, -1)),
            "the channels that attention works on are no multiple of its heads",
        )

    @property
    def embedding_width(self) -> int:
        return self.width if self.time_width is None else self.time_width


@dataclass(frozen=True)
class DeformationConfiguration:
    """The deformation network M; `architecture` is its name in `architectures.DEFORMATION`, the rest belongs to
    VoxelMorph's encoder and decoder.

    Attributes
    ----------
    encoder : channels of each level, finest first; every level after the first halves the grid.
    decoder : channels of the blocks on the way up, one a level; then of one more block on the second finest grid; last
        of the block on the finest grid, before the layer that gives the field. (The authors, 3-D: 32, 32, 32, 8, 8.)
    convolutions : convolutions a block.
    initialisation : "normal" (all weights of standard deviation 0.02, as the authors have it) or "kaiming" (keeps the
        size of the signal through the layers; the field starts near zero).
    """

    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    convolutions: int = 1
    initialisation: str = "normal"
    architecture: str = "voxelmorph"

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoder", tuple(self.encoder))
        object.__setattr__(self, "decoder", tuple(self.decoder))
        _require(
            len(self.encoder) >= 2 and min(self.encoder) >= 1 and self.convolutions >= 1,
            "the deformation network needs two levels or more, each with channels",
        )
        _require(
            len(self.decoder) == len(self.encoder) and min(self.decoder) >= 1,
            "the decoder of the deformation network does not have as many blocks as its encoder",
        )
        _require(
            self.initialisation in INITIALISATIONS,
            f"the initialisation of the deformation network is not one of {', '.join(INITIALISATIONS)}",
        )


@dataclass(frozen=True)
class ModelConfiguration:
    """A whole model: both networks, what M's output means, the schedule, and the grid the model was trained for.

    Attributes
    ----------
    ndim : 2 or 3.
    diffusion : None leaves G out: M is given the fixed image in place of the latent, which is VoxelMorph.
    output : "displacement" (voxels) or "velocity" (voxels; the deformation is its exponential).
    working_side : longest side, in voxels, of the grid the model was trained for; None: the images' own grid.
    finer_sides : longest sides of the grids of further passes, on which the same networks register what is left.
    spacing : least and most mm of the voxels on which the canonical contrast was learnt, for a diffusion network with
        one.
    """

    ndim: int
    diffusion: DiffusionConfiguration | None
    deformation: DeformationConfiguration
    output: str = "displacement"
    working_side: int | None = None
    schedule: ScheduleConfiguration = field(default_factory=ScheduleConfiguration)
    finer_sides: tuple[int, ...] = ()
    spacing: tuple[float, float] = (1.4, 3.2)

    def __post_init__(self) -> None:
        _require(self.ndim in (2, 3), "the images have neither 2 nor 3 dimensions")
        _require(self.output in OUTPUTS, f"the output is not one of {', '.join(OUTPUTS)}")
        _require(self.working_side is None or self.working_side >= 8, "the working side is shorter than 8 voxels")
        object.__setattr__(self, "finer_sides", tuple(self.finer_sides))
        object.__setattr__(self, "spacing", tuple(self.spacing))
        _require(
            len(self.spacing) == 2 and 0 < self.spacing[0] <= self.spacing[1],
            "the spacing of the canonical contrast is not a range of millimetres",
        )
        sides = [self.working_side, *self.finer_sides]
        _require(
            len(sides) == 1 or None not in sides and sides == sorted(set(sides)),
            "the grids of further passes do not get finer from one to the next",
        )

    def to_dict(self) -> dict[str, Any]:
        """The configuration as nested dicts of primitives, tuples written as lists."""
        return to_plain_dict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfiguration:
        """The inverse of `to_dict`. Raises DiffuseMorphError when a value is missing, unknown or impossible."""
        return from_plain_dict(cls, values, "the model's configuration")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise DiffuseMorphError(f"The model's configuration cannot be used: {problem}.")
