"""The tissues of a head: which labels they are, and how bright each is in the canonical contrast.

Labels are FreeSurfer's, and those of the tissues outside the brain in SynthSeg's training label maps. The canonical
contrast is like that of a T1-weighted scan, but tells structures apart that border on each other and that such a scan
hardly does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tissue:
    """A class of tissue.

    name : what it is. labels : its ids in label maps. canonical : its intensity in the canonical contrast, 0 to 1.
    like : the tissue whose brightness it shares in a family of contrasts, see
        :mod:`DiffuseMorphCore.training.contrasts`.
    """

    name: str
    labels: tuple[int, ...]
    canonical: float
    like: str


TISSUES = (
    Tissue("background", (0,), 0.0, "background"),
    Tissue("white matter", (2, 41), 1.0, "white"),
    Tissue("cortex", (3, 42), 0.6, "grey"),
    Tissue("lateral ventricle", (4, 5, 43, 44), 0.12, "fluid"),
    Tissue("cerebellar white matter", (7, 46), 0.95, "white"),
    Tissue("cerebellar cortex", (8, 47), 0.66, "grey"),
    Tissue("thalamus", (10, 49), 0.74, "thalamus"),
    Tissue("caudate", (11, 50), 0.6, "grey"),
    Tissue("putamen", (12, 51), 0.66, "putamen"),
    Tissue("pallidum", (13, 52), 0.82, "pallidum"),
    Tissue("third and fourth ventricle", (14, 15, 72), 0.12, "fluid"),
    Tissue("brain stem", (16,), 0.88, "stem"),
    Tissue("hippocampus", (17, 53), 0.63, "grey"),
    Tissue("amygdala", (18, 54), 0.57, "grey"),
    Tissue("accumbens", (26, 58), 0.6, "grey"),
    Tissue("ventral diencephalon", (28, 60), 0.84, "diencephalon"),
    Tissue("cerebrospinal fluid", (24,), 0.2, "fluid"),
    Tissue("other parts of the brain", (25, 30, 57, 62, 85, 136, 137, 163, 164), 0.5, "other"),
    Tissue("other parts of the head", (502, 508, 514, 530), 0.3, "other"),
    Tissue("muscle and fat", (507,), 0.42, "muscle"),
    Tissue("bone", (515,), 0.05, "bone"),
    Tissue("marrow", (516,), 0.5, "marrow"),
    Tissue("skin", (511,), 0.55, "skin"),
    Tissue("eye", (506,), 0.15, "eye"),
    Tissue("mucosa", (509,), 0.4, "mucosa"),
    Tissue("spinal cord", (512,), 0.8, "stem"),
)
CANONICAL = tuple(tissue.canonical for tissue in TISSUES)
MUSCLE = next(index for index, tissue in enumerate(TISSUES) if tissue.like == "muscle")
OUTSIDE = tuple(index for index, tissue in enumerate(TISSUES) if min(tissue.labels) >= 500)
"""Indices of what brain extraction takes away in any case; of the fluid around the brain it may leave some."""
SURROUNDING_FLUID = next(index for index, tissue in enumerate(TISSUES) if tissue.labels == (24,))
BRAIN = tuple(index for index in range(1, len(TISSUES)) if index not in OUTSIDE and index != SURROUNDING_FLUID)
_UNKNOWN = next(index for index, tissue in enumerate(TISSUES) if tissue.name == "other parts of the brain")


def tissue_indices(labels: np.ndarray) -> np.ndarray:
    """Indices into :data:`TISSUES` (uint8, the same shape) of whole-numbered labels; unknown ids are other parts of the
    brain, or of the head from 500 on.
    """
    other = next(index for index, tissue in enumerate(TISSUES) if tissue.name == "other parts of the head")
    found = np.where(labels >= 500, other, _UNKNOWN).astype(np.uint8)
    for index, tissue in enumerate(TISSUES):
        found[np.isin(labels, tissue.labels)] = index
    return found
