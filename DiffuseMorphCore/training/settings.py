"""What a training run is made of, read from a TOML file and checked key by key."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.networks.presets import PRESETS, Preset
from DiffuseMorphCore.plain_dicts import from_plain_dict, to_plain_dict
from DiffuseMorphCore.training.appearance import Appearance
from DiffuseMorphCore.training.objective import LossWeights
from DiffuseMorphCore.training.synthetic import Geometry

CONTROLS = ("none", "beside", "alone")
SOURCES = ("labelmaps", "tissues", "shapes", "images", "pairs", "subjects", "atlas")


def _choice(default: str, allowed: tuple[str, ...]) -> Any:
    return field(default=default, metadata={"allowed": allowed})


def _number(default: Any, least: float) -> Any:
    return field(default=default, metadata={"least": least})


@dataclass(frozen=True)
class ModelChoice:
    """preset : name of a preset, whose networks are trained from random weights; start : a model to go on from instead
    (file or bundled name); control : train a VoxelMorph control, which is M given the fixed image in place of the
    latent, "beside" the model (without the moving average of its weights) or "alone".
    """

    preset: str = _choice("default3d", tuple(PRESETS))
    start: str = ""
    control: str = _choice("none", CONTROLS)


@dataclass(frozen=True)
class Data:
    """Where pairs come from; see the commented configurations and the classes of the sources.

    source : one of SOURCES. folder : label maps, or the file they are packed into, or images. table : CSV of pairs.
    atlas : image everything is registered to, with atlas_labels. whole_head, shapes : shares of the pairs from label
    maps that keep the tissues outside the brain, and that show random shapes instead. map_spacing : mm at which label
    maps are kept. held_out : how many people (or images, subjects, pairs), last by name, only validate.
    image_suffix, label_suffix : how a file name ends, before its extension, if it is an image or a label map.
    pattern : regular expression with a group `subject`, for subjects told apart by file name. spacing : mm per axis of
    images' voxels, in the order of geometry.shape, where they are not cubes of geometry.spacing.
    curriculum : for the source "tissues", thousands of pairs after which contrasts and artefacts begin to grow broader,
    and after which they are as broad as they get.
    flips : axes ("x", "y", "z") that pairs of images are mirrored along; affine : size of random affine maps, 0 to 1.
    """

    source: str = _choice("labelmaps", SOURCES)
    folder: str = ""
    table: str = ""
    atlas: str = ""
    atlas_labels: str = ""
    whole_head: float = _number(0.0, 0)
    shapes: float = _number(0.0, 0)
    map_spacing: float = _number(2.25, 0.1)
    held_out: int = _number(3, 0)
    image_suffix: str = ""
    label_suffix: str = ""
    pattern: str = ""
    spacing: tuple[float, ...] = ()
    curriculum: tuple[float, float] = (0.0, 0.0)
    flips: tuple[str, ...] = field(default=(), metadata={"allowed": ("x", "y", "z")})
    affine: float = _number(0.0, 0)

    def left_of(self, count: int, what: str) -> int:
        """How many of ``count`` people (or images, subjects, pairs) are left to train on; ``what`` names them.

        Raises DiffuseMorphError when there are none.
        """
        if count <= self.held_out:
            raise DiffuseMorphError(
                f"There are {count} {what}, and 'data.held_out' takes {self.held_out} of them for "
                "validation: nothing is left to train on."
            )
        return count - self.held_out


@dataclass(frozen=True)
class Stage:
    """A part of a run on a grid of its own: until step `until`, `shape` voxels of `spacing` mm; with `scales` of its
    own, or those of the geometry; warm_up : see LossWeights.
    """

    until: int
    shape: tuple[int, ...]
    spacing: float
    scales: tuple[float, ...] = ()
    warm_up: bool = False


@dataclass(frozen=True)
class Optimisation:
    """Adam. None means: what the preset says; an epoch shows every pair once (1000 synthetic ones). warm_up : steps
    until the full rate; decay : "cosine" down to final_rate times the rate at the last step, or "constant".
    accumulation : batches whose gradients are averaged into one step. clip : largest norm of the gradient, 0 for none.
    average : decay of the moving average of the weights, 0 for none. precision : "auto" takes bf16 where the device has
    it natively, "float32" never.
    """

    steps: int | None = _number(None, 1)
    epochs: int | None = _number(None, 1)
    learning_rate: float | None = _number(None, 0)
    betas: tuple[float, ...] | None = None
    batch: int | None = _number(None, 1)
    accumulation: int = _number(1, 1)
    warm_up: int = _number(0, 0)
    decay: str = _choice("constant", ("constant", "cosine"))
    final_rate: float = _number(0.02, 0)
    clip: float = _number(0.0, 0)
    average: float = _number(0.0, 0)
    precision: str = _choice("auto", ("auto", "float32"))
    seed: int = _number(0, 0)


@dataclass(frozen=True)
class Validation:
    """every : steps between validations; pairs : how many pairs; choose : which figure tells the best model."""

    every: int = _number(500, 1)
    pairs: int = _number(6, 0)
    choose: str = _choice("similarity", ("similarity", "dice"))


@dataclass(frozen=True)
class Output:
    """folder : where checkpoints and the log go; checkpoint_minutes : at most so long between checkpoints;
    log_every : steps between lines of the log; tensorboard : write events for TensorBoard too;
    description, training_data, terms : what the model file will say about itself.
    """

    folder: str = "training"
    checkpoint_minutes: float = _number(2.0, 0)
    log_every: int = _number(50, 1)
    tensorboard: bool = False
    description: str = ""
    training_data: str = ""
    terms: str = ""


@dataclass(frozen=True)
class TrainingRun:
    """All settings of a run. `stages`, ordered by `until`, precede the grid of `geometry`, which lasts to the end."""

    model: ModelChoice = field(default_factory=ModelChoice)
    data: Data = field(default_factory=Data)
    geometry: Geometry = field(default_factory=Geometry)
    appearance: Appearance = field(default_factory=Appearance)
    stages: tuple[Stage, ...] = ()
    loss: LossWeights = field(default_factory=LossWeights)
    optimisation: Optimisation = field(default_factory=Optimisation)
    validation: Validation = field(default_factory=Validation)
    output: Output = field(default_factory=Output)
    device: str = "auto"

    @property
    def preset(self) -> Preset:
        return PRESETS[self.model.preset]

    def to_dict(self) -> dict[str, Any]:
        """The settings as nested dicts of plain values, lists in place of tuples, as a checkpoint keeps them."""
        return to_plain_dict(self)


def read_settings(path: str | Path) -> TrainingRun:
    """Read a TOML file. Paths in it are relative to the current folder, as on the command line.

    Raises DiffuseMorphError, in one sentence naming file and key, when the file is missing or malformed, a key is
    unknown, or a value has the wrong type or is not allowed.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DiffuseMorphError(f"The training settings '{path}' do not exist: give a TOML file.")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise DiffuseMorphError(f"The training settings '{path}' are no valid TOML: {problem}.") from problem
    return settings_from(values, str(path))


def settings_from(values: dict[str, Any], name: str = "settings") -> TrainingRun:
    """Settings from nested dicts, as TOML gives them; what is not given keeps its default, and the loss weights that
    are not given are the preset's. Raises DiffuseMorphError as read_settings does.
    """
    run = from_plain_dict(TrainingRun, values, f"'{name}'")
    given = values.get("loss", {})
    training = run.preset.training
    preset = {"registration": training.registration_weight, "smoothness": training.smoothness_weight}
    run = replace(run, loss=replace(run.loss, **{key: value for key, value in preset.items() if key not in given}))
    untils = [stage.until for stage in run.stages]
    if untils != sorted(untils):
        raise DiffuseMorphError(f"In '{name}' the stages are not in the order of their key 'until': sort them.")
    for shape in (run.geometry.shape, *(stage.shape for stage in run.stages)):
        if len(shape) != run.preset.model.ndim or min(shape) < 8:
            raise DiffuseMorphError(
                f"In '{name}' a grid has the shape {list(shape)}: the preset '{run.model.preset}' "
                f"needs {run.preset.model.ndim} sides of at least 8 voxels."
            )
    return run
