"""The 68 landmarks of a face as dlib finds them: `pip install "diffusemorph[faces]"`.

The predictor comes with the package face_recognition_models. It was trained on the iBUG 300-W photographs, whose terms
exclude commercial use.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from DiffuseMorphCore.errors import DiffuseMorphError

COUNT = 68
# Numbers of dlib's landmarks. What an expression moves little: temples, bridge and base of the nose, corners of eyes.
RIGID = (0, 1, 15, 16, *range(27, 36), 36, 39, 42, 45)
REGIONS = {
    "jaw": range(0, 17),
    "brows": range(17, 27),
    "nose": range(27, 36),
    "eyes": range(36, 48),
    "mouth": range(48, 68),
}

_MODEL = "models/shape_predictor_68_face_landmarks.dat"


@cache
def _detector_and_predictor():
    try:
        import dlib
    except ImportError as error:
        raise DiffuseMorphError(
            "The landmarks of faces need the package dlib, which is not installed: "
            'run pip install "diffusemorph[faces]".'
        ) from error
    # The package's own module needs a part of setuptools that is gone, so only its folder is asked for.
    package = find_spec("face_recognition_models")
    models = [] if package is None else [Path(folder, _MODEL) for folder in package.submodule_search_locations]
    for path in models:
        if path.is_file():
            return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(path))
    raise DiffuseMorphError(
        "The model of the 68 landmarks of faces is not installed: "
        'run pip install "diffusemorph[faces]", which brings face_recognition_models.'
    )


def find_landmarks(photograph: np.ndarray) -> np.ndarray | None:
    """The landmarks of the largest face of a grey photograph.

    Parameters
    ----------
    photograph : (H, W) uint8.

    Returns
    -------
    (68, 2) float64, x and y in pixels; None where no face is found.

    Raises
    ------
    DiffuseMorphError : dlib or its model is not installed.
    """
    detector, predictor = _detector_and_predictor()
    photograph = np.ascontiguousarray(photograph)
    # Once doubled, faces from some 40 pixels on are found.
    found = detector(photograph, 1)
    if not found:
        return None
    shape = predictor(photograph, max(found, key=lambda box: box.area()))
    return np.array([(point.x, point.y) for point in shape.parts()], dtype=float)
