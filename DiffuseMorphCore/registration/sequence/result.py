"""The result of the registration of a sequence: each frame's registration, and what moves through all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import resample_labels
from DiffuseMorphCore.images.frames import Frames
from DiffuseMorphCore.linear import linear_map
from DiffuseMorphCore.options import RegistrationOptions
from DiffuseMorphCore.registration.carried import image_to_warp, points_of, points_to_warp
from DiffuseMorphCore.registration.object_mask import object_of
from DiffuseMorphCore.registration.prepare import PreparedScan
from DiffuseMorphCore.registration.result import Registration
from DiffuseMorphCore.registration.sequence.fields import Fields
from DiffuseMorphCore.samplers import EtaPath
from DiffuseMorphCore.transforms import transform_points
from DiffuseMorphCore.warp import downsample, folding


@dataclass(frozen=True)
class SequenceRegistration:
    """What :func:`register_sequence` returns.

    Attributes
    ----------
    scan : the reference, prepared. frames : the sequence, read one frame at a time. report : settings, similarity of
    every frame before and after, seconds, notes; plain types, ready for JSON. options : of each registration.
    alignments : of frames that lie elsewhere than the reference, from its points to theirs, by their numbers.
    """

    scan: PreparedScan = field(repr=False)
    frames: Frames
    fields: Fields = field(repr=False)
    grid: Grid
    report: dict[str, Any]
    options: RegistrationOptions = RegistrationOptions()
    alignments: dict[int, sitk.AffineTransform] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def reference(self) -> sitk.Image:
        """The image that all frames are registered to."""
        return self.scan.original

    @property
    def reference_frame(self) -> int | None:
        """The number of the frame that is the reference; None for the mean."""
        number = self.report["reference"]
        return None if number == "mean" else number

    @property
    def times(self) -> list[float]:
        """Of the frames, in the unit of their file; their numbers where times are not known."""
        return [self.frames.time(number) for number in range(len(self))]

    def inside_object(self) -> np.ndarray:
        """Where the reference is no background, whose noise says nothing of motion: booleans on :attr:`grid`, in array
        order.
        """
        return object_of(downsample(self.scan.values, self.grid.shape)[0, 0].numpy(), self.scan.background)

    def alignment(self, number: int) -> sitk.AffineTransform:
        """Of a frame, from points of the reference to where they are in it before anything bends."""
        return self.alignments.get(number) or sitk.AffineTransform(self.grid.ndim)

    def whole(self, number: int) -> Displacement:
        """From the reference to a frame, alignment and deformation in one, on :attr:`grid`."""
        found = Displacement(self.fields[number], self.grid)
        if number not in self.alignments:
            return found
        matrix, offset = linear_map(self.alignments[number])
        points = self.grid.points(np.indices(self.grid.shape)[::-1].reshape(self.grid.ndim, -1).T)
        ends = (points + found.vectors().reshape(points.shape)) @ matrix.T + offset
        return Displacement.from_vectors((ends - points).reshape(*self.grid.shape, self.grid.ndim), self.grid)

    def registration(self, number: int) -> Registration:
        """A frame's registration: the reference is the fixed image, the frame the moving one.

        Transforms both ways at any eta, images, labels and points; made from disk when it is asked for.

        Raises DiffuseMorphError for a number that no frame has.
        """
        self._check(number)
        end = Displacement(self.fields[number], self.grid)
        folds = folding(end.values, shape=self.scan.grid.shape)
        lengths = np.linalg.norm(end.vectors(), axis=-1)[self.inside_object()]
        similarity = self.report["similarity"]
        report = {
            "modality": {"name": self.options.modality, "reason": "as asked for"},
            "similarity": {
                "measure": similarity["measure"],
                "initial": similarity["before"][number],
                "aligned": similarity["aligned"][number],
                "registered": similarity["registered"][number],
            },
            "folding": {"share": folds.share, "volume": folds.volume, "minimum": folds.minimum},
            "displacement_mm": {"mean": float(lengths.mean()), "max": float(lengths.max())},
            "settings": self.options.to_dict(),
            "versions": self.report["versions"],
            "frame": number,
            "time": self.frames.time(number),
            "eta": 1.0,
            "notes": [],
        }
        plane = self.scan.plane
        return Registration(
            self.reference,
            self.frames.image(number),
            self.alignment(number),
            EtaPath.straight(end).faded(),
            self.grid,
            report,
            self.options,
            None if plane is None else (plane, plane),
        )

    def moved(self, eta: float = 1.0) -> Iterator[sitk.Image]:
        """Every frame on the reference, one after another."""
        for number in range(len(self)):
            yield self.registration(number).warp(eta=eta)

    def carry_labels(self, labels: Any, drawn_on: int | None = None) -> Iterator[sitk.Image]:
        """A label map on every frame, one after another, by nearest neighbour; on its own frame as it was drawn.

        labels : in any form. drawn_on : the number of the frame that it was drawn on; the reference unless given.

        Raises DiffuseMorphError for labels of another dimension, and a number that no frame has.
        """
        image, drawn_on = self._labels(labels, drawn_on)
        onto = None if drawn_on is None else self.registration(drawn_on).transform()
        for number in range(len(self)):
            frame = self.frames.image(number)
            ndim = frame.GetDimension()
            if number == drawn_on:
                way = sitk.Transform(ndim, sitk.sitkIdentity)
            else:
                back = self.registration(number).inverse_transform()
                way = back if onto is None else sitk.CompositeTransform([onto, back])
            yield resample_labels(image, frame, way)

    def reference_labels(self, labels: Any, drawn_on: int | None = None) -> sitk.Image:
        """A label map on the reference, see :meth:`carry_labels`."""
        image, drawn_on = self._labels(labels, drawn_on)
        if drawn_on is None:
            return resample_labels(image, self.reference, sitk.Transform(image.GetDimension(), sitk.sitkIdentity))
        return self.registration(drawn_on).warp_labels(image)

    def track(self, points: Any, drawn_on: int | None = None) -> np.ndarray:
        """(frames, N, ndim): where points are at every time; mm, LPS.

        points : (N, ndim), or their file. drawn_on : the number of the frame that they lie in; the reference unless
        given.

        Raises DiffuseMorphError for what are no points of the frames' dimension, and a number that no frame has.
        """
        ndim = self.reference.GetDimension()
        found = points_of(points)
        array = np.atleast_2d(points_to_warp(points if found is None else found, ndim))
        drawn_on = self._drawn_on(drawn_on)
        start = array if drawn_on is None else transform_points(self.registration(drawn_on).inverse_transform(), array)
        return np.stack(
            [
                array if number == drawn_on else transform_points(self.registration(number).transform(), start)
                for number in range(len(self))
            ]
        )

    def _labels(self, labels: Any, drawn_on: int | None) -> tuple[sitk.Image, int | None]:
        image = image_to_warp(labels, self.reference.GetDimension(), "label map", labels=True)
        return image, self._drawn_on(drawn_on)

    def _drawn_on(self, number: int | None) -> int | None:
        """The frame of a drawing; None for the reference itself, where nothing has to be carried to it."""
        if number is None or number == self.reference_frame:
            return self.reference_frame
        self._check(number)
        return number

    def _check(self, number: int) -> None:
        if isinstance(number, bool) or not 0 <= number < len(self):
            raise DiffuseMorphError(f"There is no frame {number}: give a number from 0 to {len(self) - 1}.")
