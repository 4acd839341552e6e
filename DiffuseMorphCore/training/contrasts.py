"""How bright every tissue is: families of contrast as scanners give them, with all their spread, and any contrast at
all.

Ranges are rough readings of what each kind of scan looks like, in shares of a bright tissue's intensity. A network that
began with any contrast learnt several times slower than one that met the two commonest families first.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from DiffuseMorphCore.training.augmentation import uniform
from DiffuseMorphCore.training.tissues import TISSUES

Means = dict[str, float]
Draw = Callable[[float, float], float]


def _t1(draw: Draw) -> Means:
    grey = draw(0.42, 0.7)
    return {
        "fluid": draw(0.02, 0.25),
        "grey": grey,
        "white": grey + draw(0.12, 0.35),
        "muscle": draw(0.3, 0.5),
        "fat": draw(0.7, 1.3),
        "bone": draw(0, 0.15),
        "marrow": draw(0.5, 1.2),
        "skin": draw(0.3, 0.8),
        "eye": draw(0.05, 0.25),
        "mucosa": draw(0.3, 0.6),
    }


def _flair(draw: Draw) -> Means:
    white = draw(0.4, 0.65)
    return {
        "fluid": draw(0, 0.2),
        "white": white,
        "grey": white + draw(0.02, 0.22),
        "muscle": draw(0.2, 0.45),
        "fat": draw(0.4, 1.2),
        "bone": draw(0, 0.12),
        "marrow": draw(0.2, 0.9),
        "skin": draw(0.3, 0.8),
        "eye": draw(0, 0.2),
        "mucosa": draw(0.4, 0.9),
        "pallidum": white - draw(-0.05, 0.15),
    }


def _t2(draw: Draw) -> Means:
    grey = draw(0.42, 0.65)
    return {
        "fluid": draw(0.8, 1.1),
        "grey": grey,
        "white": grey - draw(0.08, 0.25),
        "muscle": draw(0.1, 0.35),
        "fat": draw(0.3, 0.9),
        "bone": draw(0, 0.12),
        "marrow": draw(0.2, 0.7),
        "skin": draw(0.2, 0.6),
        "eye": draw(0.8, 1.1),
        "mucosa": draw(0.5, 1),
    }


def _proton_density(draw: Draw) -> Means:
    grey = draw(0.7, 0.9)
    return {
        "grey": grey,
        "white": grey - draw(0.06, 0.22),
        "fluid": draw(0.5, 1),
        "muscle": draw(0.4, 0.6),
        "fat": draw(0.5, 1),
        "bone": draw(0, 0.15),
        "marrow": draw(0.3, 0.8),
        "skin": draw(0.4, 0.8),
        "eye": draw(0.5, 1),
        "mucosa": draw(0.5, 1),
    }


def _ct(draw: Draw) -> Means:
    fluid = draw(0.2, 0.35)
    white = fluid + draw(0.08, 0.2)
    return {
        "fluid": fluid,
        "white": white,
        "grey": white + draw(0.05, 0.15),
        "muscle": draw(0.4, 0.6),
        "fat": draw(0, 0.15),
        "bone": draw(0.95, 1.2),
        "marrow": draw(0.7, 1.1),
        "skin": draw(0.4, 0.6),
        "eye": draw(0.25, 0.4),
        "mucosa": draw(0.4, 0.6),
    }


def _any(draw: Draw) -> Means:
    while True:  # contrasts without a boundary to see teach nothing
        means = {
            name: draw(0, 1)
            for name in ("fluid", "grey", "white", "muscle", "fat", "bone", "marrow", "skin", "eye", "mucosa")
        }
        if min(abs(means["fluid"] - means["grey"]), abs(means["grey"] - means["white"])) > 0.06:
            return means


FAMILIES: dict[str, tuple[float, float, Callable[[Draw], Means]]] = {
    "T1": (0.3, 0.3, _t1),
    "FLAIR": (0.3, 0.3, _flair),
    "T2": (0.0, 0.12, _t2),
    "PD": (0.0, 0.08, _proton_density),
    "CT": (0.0, 0.05, _ct),
    "any": (0.0, 0.15, _any),
}
"""Name -> (share at the beginning of a training, share in the end, how its means are drawn)."""
_INVERTED = 0.06
_SPREAD = 0.05  # largest standard deviation of a tissue's mean about its family's


def draw_contrast(breadth: float, random: torch.Generator) -> tuple[Tensor, float]:
    """((len(TISSUES),) mean intensities about [0, 1], the intensity of fat).

    breadth : 0 for the families that training begins with, 1 for all in their final shares.
    """
    shares = torch.tensor([first + breadth * (last - first) for first, last, _ in FAMILIES.values()])
    family = list(FAMILIES.values())[int(torch.multinomial(shares, 1, generator=random))][2]

    def draw(low: float, high: float) -> float:
        return uniform(low, high, random)

    means = family(draw)

    def between(low: float, high: float) -> float:
        return means["grey"] + draw(low, high) * (means["white"] - means["grey"])

    means = {
        "background": 0.0,
        "other": draw(0, 1),
        "thalamus": between(0.1, 0.8),
        "putamen": between(-0.1, 0.5),
        "pallidum": between(0.4, 1.2),
        "stem": between(0.5, 1.1),
        "diencephalon": between(0.3, 1.1),
        **means,
    }
    values = torch.tensor([means[tissue.like] for tissue in TISSUES])
    values += uniform(0, _SPREAD, random) * torch.randn(len(values), generator=random)
    values[0] = 0.0 if uniform(0, 1, random) < 0.85 else uniform(0, 0.4, random)
    fat = means["fat"]
    if uniform(0, 1, random) < _INVERTED * breadth:
        values[1:], fat = 1 - values[1:].clamp(0, 1), 1 - min(max(fat, 0.0), 1.0)
    return values, fat
