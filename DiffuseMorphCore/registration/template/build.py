"""build_template: the unbiased mean of a group."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.job_options import TemplateOptions
from DiffuseMorphCore.options import RegistrationOptions, split_options, takes_options
from DiffuseMorphCore.progress import Progress, advance, part_of
from DiffuseMorphCore.registration.object_mask import object_of
from DiffuseMorphCore.registration.quality import versions
from DiffuseMorphCore.registration.result import Registration
from DiffuseMorphCore.registration.stages import Stopwatch
from DiffuseMorphCore.registration.template.affine_mean import PASSES, affine_mean
from DiffuseMorphCore.registration.template.average import Scale, sharpness
from DiffuseMorphCore.registration.template.kept import Kept
from DiffuseMorphCore.registration.template.people import Person, in_order, people_of
from DiffuseMorphCore.registration.template.rounds import Round, next_round
from DiffuseMorphCore.registration.template.vote import vote
from DiffuseMorphCore.threads import with_threads
from DiffuseMorphCore.warp import folding

_STAGE = "template"


@dataclass(frozen=True)
class Template:
    """What :func:`build_template` returns.

    Attributes
    ----------
    image : the template, float32, intensities of the group's middle. affine_mean : what it began with, on its grid.
    labels : what most people have at each voxel, or None. changes : a row for each round, see :func:`build_template`.
    names : of the people. report : settings, seconds, versions; plain types, ready for JSON.
    """

    image: sitk.Image
    affine_mean: sitk.Image
    labels: sitk.Image | None
    changes: list[dict[str, float]]
    names: tuple[str, ...]
    report: dict[str, Any]
    people: tuple[Person, ...] = field(repr=False)
    last: Round = field(repr=False)
    options: RegistrationOptions = field(default=RegistrationOptions(), repr=False)
    keeping: Any = field(default=None, repr=False)

    def registration(self, name: str) -> Registration:
        """The way of one person into the template, which is the fixed image: transforms both ways, images, labels and
        points. It is read from disk when it is asked for.

        Raises KeyError for a name that nobody has.
        """
        if name not in self.names:
            raise KeyError(name)
        number = [person.name for person in self.people].index(name)
        mapping = self.last.mapping(number, repaired=True)
        grid = self.last.grid or self.last.whole
        folds = folding(mapping.path.end.on(grid).values, shape=self.last.whole.shape)
        report = {
            "modality": {"name": self.options.modality, "reason": "as asked for"},
            "folding": {"share": folds.share, "volume": folds.volume, "minimum": folds.minimum},
            "settings": self.options.to_dict(),
            "versions": versions(),
            "eta": 1.0,
            "notes": [],
        }
        moving = self.people[number].image()
        return Registration(self.image, moving, mapping.alignment, mapping.path, grid, report, self.options)

    def registrations(self) -> Iterator[tuple[str, Registration]]:
        """Everybody's, one after another, by name."""
        for name in self.names:
            yield name, self.registration(name)


@takes_options(job=TemplateOptions)
@with_threads
def build_template(
    images: Sequence[Any] | Mapping[str, Any],
    *,
    labels: Sequence[Any] | Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Template:
    """The unbiased mean of a group: its image, and everybody's way into it.

    Everybody is aligned linearly and moved to the mean place and size first. Then, round after round, everybody is
    registered to the mean image so far, the intensities are averaged, and the inverse of the mean displacement moves
    the mean to where nothing of it is left. The result does not depend on the order in which people are given.

    Parameters
    ----------
    images : of each person, in any form that :func:`DiffuseMorphCore.register` takes, a sequence or by name.
    labels : label maps drawn on them, in the same form; the template gets what most people have at each voxel.
    folder : where what is done is kept, so that a job that was stopped goes on; what other images or settings left
        there is not used. Without one nothing is kept. It takes about 26 MB for each person and round of a brain.
    progress : called with "prepare", "template" or "labels" and the fraction of it that is done; returning False
        cancels.
    {options}

    Returns
    -------
    The template. A row of its changes holds, for round 0 (the affine mean) and each further one: ``round``;
    ``mean_displacement_mm``, of which the template was rid by its inverse (it does not end at 0: sharp edges are always
    widened a little when they are registered to those of a mean), and ``intensity_change`` from the round before, as a
    share of the range, both root mean squares; ``distance_mm``, of people from the template, mean; ``similarity``, of
    people to the mean that they were registered to; ``sharpness``, mean length of the gradient, in shares of the range
    per mm. Counted is what is not background.

    Raises
    ------
    DiffuseMorphError : fewer than two people, images or options that cannot be used; Cancelled when ``progress``
        cancels.
    """
    own, shared = split_options(TemplateOptions, options)
    wanted = RegistrationOptions(**shared)
    stopwatch, notes = Stopwatch(), []
    keeping = tempfile.TemporaryDirectory(prefix="diffusemorph-") if folder is None else None
    kept = Kept(Path(keeping.name if folder is None else folder))
    with stopwatch("prepare"):
        people = people_of(images, labels, shared["intensity_range"])
        names = tuple(person.name for person in people)
        for number, person in enumerate(people):
            advance(progress, "prepare", number / max(len(people), 1))
            person.facts  # noqa: B018, read here so that its progress is told
        people = in_order(people)
        scale = Scale.of(people)
    count = len(people)
    whole = count * (PASSES + own.rounds * 3)  # a deformation takes about three times as long as an alignment

    def inner(start: int, length: int):
        return lambda number: part_of(
            progress, _STAGE, (start + number * length) / whole, (start + (number + 1) * length) / whole
        )

    with stopwatch("align"):
        spacing = None if own.spacing == "auto" else float(own.spacing)
        alignments, grid, values = affine_mean(people, shared["align"], spacing, kept, inner(0, 1), notes)
        figures = {"sharpness": sharpness(values, object_of(values, scale.background), grid)}
        state = Round(alignments, grid, values, figures)
    shared |= {"threads": torch.get_num_threads()}
    settings = {name: value for name, value in wanted.to_dict().items() if name not in ("threads", "device")}
    depends = [settings, vars(grid), [[person.facts.digest, person.name] for person in people]]
    changes = [{"round": 0, **figures}]
    with stopwatch("rounds"):
        for number in range(1, own.rounds + 1):
            start = count * (PASSES + (number - 1) * 3)
            state = next_round(people, state, scale, shared, kept, [*depends, number], inner(start, 3))
            changes.append({"round": number, **state.figures})
        advance(progress, _STAGE, 1.0)
    voted = None
    if labels is not None:
        with stopwatch("labels"):
            voted = vote(
                people,
                lambda number: state.mapping(number, repaired=True).transform(),
                grid,
                kept.folder,
                lambda number: advance(progress, "labels", number / count),
            )
    report = {
        "people": [
            {"name": person.name, "image": person.facts.digest} for person in sorted(people, key=lambda each: each.name)
        ],
        "settings": {**asdict(own), **wanted.to_dict()},
        "grid": _told(grid),
        "sharpness": {"affine_mean": changes[0]["sharpness"], "template": changes[-1]["sharpness"]},
        "changes": changes,
        "seconds": {stage: round(value, 1) for stage, value in stopwatch.seconds.items()},
        "versions": versions(),
        "notes": list(dict.fromkeys(notes)),
    }
    image, first = scale.image(state.values, grid), scale.image(np.asarray(values), grid)
    return Template(image, first, voted, changes, names, report, tuple(people), state, wanted, keeping)


def _told(grid: Grid) -> dict[str, list[float]]:
    return {name: list(value) for name, value in vars(grid).items()}
