"""The Yale faces: `subjectNN_EXPRESSION.png`, frontal, grey, 320 x 243 pixels, not centred, in a rim of two.

In place of RaFD, whose preparation they get: a square around the face, 128 x 128 pixels, all ordered pairs of a person.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.face_landmarks import COUNT, RIGID, find_landmarks
from DiffuseMorphCore.evaluation.datasets.scan import DataSet, Scan, ScanPair, ordered_pairs, read_file

EXPRESSIONS = ("normal", "happy", "sad", "sleepy", "surprised", "wink")
PEOPLE = {"train": range(1, 11), "validation": range(11, 13), "test": range(13, 16)}
RIM, SIDE = 2, 128
# The square in units of the face's size (root mean square distance of the rigid landmarks from their middle): its side,
# and how far its middle lies below theirs, so that it holds the brows and the chin below an open mouth.
SQUARE, BELOW = 5.0, 0.6
_NAME = re.compile(r"subject(\d+)_([a-z]+)\.png$")

FindLandmarks = Callable[[np.ndarray], np.ndarray | None]
"""(H, W) uint8 -> (68, 2) x and y in pixels, or None where there is no face."""


class YaleFaces(DataSet):
    """All ordered pairs of six expressions within a person; people 1-10 train, 11 and 12 validate, 13-15 test.

    Images are grey, 128 x 128 pixels; `landmarks()` are dlib's 68 points in these pixels, x before y. `people` says who
    belongs to which split, `find` how the landmarks of a photograph are found.
    """

    name = "yale-faces"
    title = "the Yale faces"
    ndim = 2
    length_unit = "pixels"
    intensities = (0.0, 255.0)
    mirrored_axes = (1,)
    structures: dict[int, str] = {}
    may_be_shown = False

    def __init__(
        self, folder: str | Path | None, people: dict[str, range] = PEOPLE, find: FindLandmarks = find_landmarks
    ):
        super().__init__(folder)
        self.people, self.find = people, find
        self._faces: dict[Path, tuple[sitk.Image, np.ndarray]] = {}
        there = {int(found.group(1)) for path in self.folder.iterdir() if (found := _NAME.search(path.name))}
        wanted = {person for group in people.values() for person in group}
        if not wanted <= there:
            raise DiffuseMorphError(
                f"The folder '{folder}' holds photographs subjectNN_EXPRESSION.png of {len(there & wanted)} people, "
                f"but {self.title} have {len(wanted)}: give the folder of the whole set with --data."
            )

    def pairs(self, split: str) -> list[ScanPair]:
        self.check_split(split)
        return [pair for person in self.people[split] for pair in ordered_pairs(self.scans(person))]

    def scans(self, person: int) -> list[Scan]:
        """The six photographs of one person. Raises DiffuseMorphError naming the one that is missing."""
        return [self._scan(person, expression) for expression in EXPRESSIONS]

    def _scan(self, person: int, expression: str) -> Scan:
        path = self.required(f"subject{person:02d}_{expression}.png")
        return Scan(
            f"{person:02d}_{expression}",
            f"{person:02d}",
            lambda: self._face(path)[0],
            read_landmarks=partial(self._points, path),
        )

    def _points(self, path: Path) -> np.ndarray:
        return self._face(path)[1]

    def _face(self, path: Path) -> tuple[sitk.Image, np.ndarray]:
        if path not in self._faces:
            photograph = read_photograph(path)
            points = self.find(photograph)
            if points is None:
                raise DiffuseMorphError(f"No face was found in '{path}': replace it by the original photograph.")
            self._faces[path] = cut_face(photograph, points)
        return self._faces[path]


def read_photograph(path: Path) -> np.ndarray:
    """(H, W) uint8 without the rim. Raises DiffuseMorphError for anything but a grey 8-bit picture."""
    array = sitk.GetArrayFromImage(read_file(path))
    if array.ndim != 2 or array.dtype != np.uint8 or min(array.shape) <= 2 * RIM:
        raise DiffuseMorphError(f"The file '{path}' is no grey photograph with 8 bits: use the original files.")
    return array[RIM:-RIM, RIM:-RIM]


def cut_face(photograph: np.ndarray, points: np.ndarray) -> tuple[sitk.Image, np.ndarray]:
    """The square around a face, reduced; beyond the photograph its border goes on.

    Parameters
    ----------
    photograph : (H, W) uint8.
    points : (68, 2) landmarks in its pixels, x and y.

    Returns
    -------
    (128, 128) float32 image of unit spacing with the photograph's intensities, and the landmarks in its pixels.
    """
    points = np.asarray(points, float).reshape(COUNT, 2)
    rigid = points[list(RIGID)]
    middle = rigid.mean(0)
    size = np.sqrt(((rigid - middle) ** 2).sum(1).mean())
    step = SQUARE * size / SIDE
    corner = middle + (0, BELOW * size) - step * (SIDE - 1) / 2
    image = sitk.Cast(sitk.GetImageFromArray(photograph), sitk.sitkFloat32)
    if step > 1:
        # As RaFD's photographs are reduced: no details finer than the new pixels.
        image = sitk.SmoothingRecursiveGaussian(image, (step - 1) / 2)
    resample = sitk.ResampleImageFilter()
    resample.SetSize((SIDE, SIDE))
    resample.SetOutputOrigin(corner.tolist())
    resample.SetOutputSpacing((step, step))
    resample.SetUseNearestNeighborExtrapolator(True)
    face = sitk.Clamp(resample.Execute(image), sitk.sitkFloat32, 0, 255)
    face.SetOrigin((0, 0))
    face.SetSpacing((1, 1))
    return face, (points - corner) / step
