"""What each table and figure of the paper needs: data, networks, budget; and the choice of data that is at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from DiffuseMorphCore.devices import choose_device
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets import DataSet, open_data_set
from DiffuseMorphCore.evaluation.datasets.phantom import CardiacPhantom, CardiacPhantomSlices
from DiffuseMorphCore.evaluation.paper.comparison import Comparison
from DiffuseMorphCore.evaluation.paper.fitting import Budget
from DiffuseMorphCore.evaluation.paper.preparation import PreparedData
from DiffuseMorphCore.networks.configuration import DeformationConfiguration, DiffusionConfiguration, ModelConfiguration
from DiffuseMorphCore.networks.presets import PRESETS
from DiffuseMorphCore.training.objective import LossWeights

SIZES = ("full", "small", "tiny")

# Networks that two CPU core train in about an hour; "tiny" is for trying a command out.
SMALL_NETWORKS = {
    2: ModelConfiguration(
        ndim=2,
        diffusion=DiffusionConfiguration(width=16, groups=4, attention="softmax", heads=1),
        deformation=DeformationConfiguration(
            encoder=(16, 32, 32, 64, 64), decoder=(64, 64, 32, 16, 16), initialisation="kaiming"
        ),
    ),
    3: replace(
        PRESETS["cardiac3d"].model,
        deformation=replace(PRESETS["cardiac3d"].model.deformation, initialisation="kaiming"),
    ),
}
SMALL_STEPS = {2: 3000, 3: 1000}
SMALL_RATE = 4e-4


@dataclass(frozen=True)
class Experiment:
    """One of the paper's three experiments: data sets in the order of preference, preset, and baselines."""

    data_sets: tuple[str, ...]
    preset: str
    methods: tuple[str, ...]


# Grids (array order) on which two cores train a 3-D network in reasonable time; other data sets keep their own.
SMALL_GRIDS = {
    "acdc": (16, 64, 64),
    "phantom": (16, 64, 64),
    "oasis3": (56, 48, 40),
    "neurite-oasis": (56, 48, 40),
    "brain-oasis": (48, 56, 40),
}

FACES = Experiment(
    ("rafd", "yale-faces", "heart-cine"),
    "face2d",
    ("initial", "voxelmorph", "voxelmorph-diff", "diffusemorph", "diffusemorph-velocity"),
)
HEARTS = Experiment(
    ("acdc", "phantom"),
    "cardiac3d",
    ("initial", "voxelmorph", "voxelmorph-diff", "diffusemorph", "diffusemorph-anchored", "diffusemorph-velocity"),
)
BRAINS = Experiment(
    ("oasis3", "neurite-oasis", "brain-oasis"),
    "brain3d",
    (
        "initial",
        "syn",
        "voxelmorph",
        "voxelmorph-diff",
        "symnet",
        "msdirnet",
        "cyclemorph",
        "diffusemorph",
        "diffusemorph-velocity",
    ),
)


@dataclass(frozen=True)
class ComparisonRequest:
    """What the command line asks for; None means the experiment's own choice."""

    out: Path
    data: Path | None = None
    data_set: str | None = None
    size: str = "full"
    grid: tuple[int, ...] | None = None
    steps: int | None = None
    batch: int = 1
    rate: float | None = None
    smoothness: float | None = None
    seeds: tuple[int, ...] = (0,)
    cases: int | None = None
    methods: tuple[str, ...] | None = None
    device: str = "auto"
    quiet: bool = False


def find_data(experiment: Experiment, request: ComparisonRequest) -> DataSet:
    """The data set asked for, or the first of the experiment's that the folder holds, or without a folder the phantom.

    A folder is never passed over for the phantom. Raises DiffuseMorphError, naming what was looked for.
    """
    if request.data_set is not None:
        return _opened(request.data_set, request)
    refusals = []
    for name in experiment.data_sets:
        if (name == "phantom") != (request.data is None):
            continue
        try:
            data_set = _opened(name, request)
            data_set.pairs(data_set.splits[-1])
            return data_set
        except DiffuseMorphError as refusal:
            refusals.append(f"{name}: {refusal}")
    if not refusals:
        raise DiffuseMorphError(f"Give the folder of {' or '.join(experiment.data_sets)} with --data.")
    raise DiffuseMorphError(
        f"The folder '{request.data}' is none of {', '.join(experiment.data_sets)} ({' '.join(refusals)})."
    )


def _opened(name: str, request: ComparisonRequest) -> DataSet:
    if name in ("phantom", "phantom-2d") and request.size != "tiny":
        return _phantom(name, request)
    if request.size == "tiny" and name in ("phantom", "phantom-2d"):
        people = {"train": 2, "validation": 1, "test": 2}
        flat = name == "phantom-2d"
        return CardiacPhantomSlices((24, 24), people, 3) if flat else CardiacPhantom((12, 24, 24), people, 3)
    return open_data_set(name, request.data)


def _phantom(name: str, request: ComparisonRequest) -> DataSet:
    """The synthetic phantom on the grid asked for: a formula needs no resampling, and its true displacement fits
    exactly.
    """
    grid = request.grid or (SMALL_GRIDS.get(name) if request.size == "small" else None)
    kind = CardiacPhantomSlices if name == "phantom-2d" else CardiacPhantom
    if grid is not None and len(grid) != kind.ndim:
        raise DiffuseMorphError(f"--grid has {len(grid)} sides, but {kind.title} is {kind.ndim}-D.")
    return kind() if grid is None else kind(grid)


def arrange(experiment: Experiment, request: ComparisonRequest, weights: LossWeights | None = None) -> Comparison:
    """The comparison of an experiment at the size asked for.

    "full" is the paper: preset networks, its rate and epochs. "small" has networks, grid and steps for two cores, with
    a rate that suits them. Raises DiffuseMorphError for data that are missing or an unknown size.
    """
    if request.size not in SIZES:
        raise DiffuseMorphError(f"The size '{request.size}' is unknown: choose one of {', '.join(SIZES)}.")
    data_set = find_data(experiment, request)
    preset = PRESETS[experiment.preset]
    grid = request.grid
    if request.size == "full":
        configuration, rate = preset.model, preset.training.learning_rate
        steps = request.steps or preset.training.epochs * len(data_set.pairs("train"))
    else:
        configuration, rate, steps = SMALL_NETWORKS[data_set.ndim], SMALL_RATE, SMALL_STEPS[data_set.ndim]
        if grid is None and request.size == "small":
            grid = SMALL_GRIDS.get(data_set.name)
        if request.size == "tiny":
            configuration, steps = tiny_networks(data_set.ndim), 3
    if configuration.ndim != data_set.ndim:
        raise DiffuseMorphError(
            f"{data_set.title} is {data_set.ndim}-D, but this table's networks are "
            f"{configuration.ndim}-D: choose another --data-set."
        )
    if weights is None:
        weights = LossWeights(
            registration=preset.training.registration_weight, smoothness=preset.training.smoothness_weight
        )
    if request.smoothness is not None:
        weights = replace(weights, smoothness=request.smoothness)
    budget = Budget(request.steps or steps, request.rate or rate, preset.training.betas, request.batch)
    split = "test" if "test" in data_set.splits else "validation"
    return Comparison(
        PreparedData(data_set, request.out / "prepared", grid),
        configuration,
        weights,
        budget,
        request.methods or experiment.methods,
        request.seeds,
        split,
        request.cases,
        request.out,
        choose_device(request.device),
        request.quiet,
    )


def tiny_networks(ndim: int) -> ModelConfiguration:
    """Networks of a few thousand weights, with which a command can be tried out in seconds."""
    return ModelConfiguration(
        ndim=ndim,
        diffusion=DiffusionConfiguration(width=4, multipliers=(1, 2), groups=2, heads=1, attention="linear"),
        deformation=DeformationConfiguration(encoder=(4, 8, 8), decoder=(8, 8, 4), initialisation="kaiming"),
    )
