"""Several mappings as one: results of registrations and transform files, in the order in which points pass them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import printable
from DiffuseMorphCore.registration.inversion import inverted
from DiffuseMorphCore.registration.saved import DEFORMATION, REPORT, SavedDeformation, read_deformation, read_report
from DiffuseMorphCore.samplers import check_eta
from DiffuseMorphCore.transforms import read_transform

_FORWARD, _BACKWARD = "transform.h5", "inverse_transform.h5"


@dataclass(frozen=True)
class Link:
    """One of the chain: from points of its fixed image to points of its moving one, and back.

    start, end : the grids of these two images, where they are known. Both transforms are made when they are asked for.
    """

    ndim: int
    forward: Callable[[], sitk.Transform]
    backward: Callable[[], sitk.Transform]
    start: Grid | None = None
    end: Grid | None = None


@dataclass(frozen=True)
class Chain:
    """Links through which the points of the first one's fixed image pass to the last one's moving image."""

    links: tuple[Link, ...]

    @classmethod
    def of(cls, sources: Sequence[str | Path], eta: float | None = None) -> Chain:
        """Read result folders and transform files.

        Parameters
        ----------
        sources : folders of results, and transform files, of which one that is a folder's own ``transform.h5`` or
            ``inverse_transform.h5`` knows its inverse.
        eta : how far each result deforms; None: as far as it was written with.

        Raises
        ------
        DiffuseMorphError : a source that is none, different dimensions, or an eta for files only.
        """
        if eta is not None and not any(Path(source).is_dir() for source in sources):
            raise DiffuseMorphError("A transform file has one eta only: name the folder of a result in its place.")
        links = tuple(_folder(source, eta) if Path(source).is_dir() else _file(source) for source in sources)
        for link, source in zip(links, sources):
            if link.ndim != links[0].ndim:
                raise DiffuseMorphError(
                    f"'{printable(sources[0])}' is {links[0].ndim}-D and '{printable(source)}' {link.ndim}-D: "
                    "chain transforms of one dimension."
                )
        return cls(links)

    @property
    def ndim(self) -> int:
        """The dimension of the points."""
        return self.links[0].ndim

    @property
    def start(self) -> Grid | None:
        """The grid on which the points set out, if it is known."""
        return self.links[0].start

    @property
    def end(self) -> Grid | None:
        """The grid of the image at which they arrive, if it is known."""
        return self.links[-1].end

    def forward(self) -> sitk.CompositeTransform:
        """Points of the first fixed image to points of the last moving image."""
        return _composed([link.forward() for link in self.links])

    def backward(self) -> sitk.CompositeTransform:
        """Points of the last moving image to points of the first fixed image."""
        return _composed([link.backward() for link in reversed(self.links)])


def _composed(parts: list[sitk.Transform]) -> sitk.CompositeTransform:
    """Through the parts one after another."""
    result = sitk.CompositeTransform(list(reversed(parts)))  # ITK applies the one that was added last first
    result.FlattenTransform()
    return result


def _folder(folder: str | Path, eta: float | None) -> Link:
    report, saved = read_report(folder), read_deformation(Path(folder) / DEFORMATION)
    share = check_eta(report["eta"] if eta is None else eta)
    return Link(
        saved.mapping.ndim,
        lambda: saved.mapping.transform(share),
        lambda: saved.mapping.inverse_transform(share),
        saved.fixed,
        saved.moving,
    )


def _file(path: str | Path) -> Link:
    path = Path(path)
    transform = read_transform(path)
    own = path.name in (_FORWARD, _BACKWARD) and all(
        (path.parent / name).is_file() for name in (REPORT, DEFORMATION, _FORWARD, _BACKWARD)
    )
    if not own:
        name = f"transform '{printable(path)}'"
        return Link(transform.GetDimension(), lambda: transform, lambda: inverted(transform, name))
    saved: SavedDeformation = read_deformation(path.parent / DEFORMATION)
    grids = (saved.fixed, saved.moving) if path.name == _FORWARD else (saved.moving, saved.fixed)
    other = path.with_name(_BACKWARD if path.name == _FORWARD else _FORWARD)
    return Link(transform.GetDimension(), lambda: transform, lambda: read_transform(other), *grids)
