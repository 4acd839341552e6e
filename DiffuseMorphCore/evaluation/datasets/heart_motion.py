"""A made beating heart: two chambers whose motion is a formula, so that every frame and every displacement is known.

Coordinates here are (x, y, z) in mm from the middle of the field of view, z from apex (negative) to base. A frame at
time t is the end-diastolic image seen through `to_reference`: I_t(p) = I_0(to_reference(p, t)). That is the pull
convention of the warp module, with end-diastole as the moving image: u_t(p) = to_reference(p, t) - p.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

# Intensities of balanced cine MR in [0, 1]: blood is bright, muscle dark, lung black.
BLOOD, MUSCLE, TISSUE, LUNG = 0.88, 0.30, 0.52, 0.08
WAVES = 24


@dataclass(frozen=True)
class Anatomy:
    """One person's heart; lengths in mm, angles in radians."""

    cavity: float
    wall: float
    length: float
    base: float
    right_offset: tuple[float, float]
    right_radius: float
    centre: tuple[float, float]
    squeeze: float
    right_squeeze: float
    twist: float
    shortening: float
    tempo: float
    lag: float
    papillary: tuple[float, float]


def draw_anatomy(seed: int) -> Anatomy:
    """A person drawn at random; the same seed gives the same person."""
    draw = np.random.default_rng((seed, 11))
    angle = draw.uniform(2.5, 3.8)
    cavity, wall = draw.uniform(21, 28), draw.uniform(8, 12)
    distance = cavity + wall + draw.uniform(8, 13)
    return Anatomy(
        cavity=cavity,
        wall=wall,
        length=draw.uniform(62, 76),
        base=draw.uniform(24, 34),
        right_offset=(distance * np.cos(angle), distance * np.sin(angle)),
        right_radius=draw.uniform(26, 33),
        centre=(draw.uniform(-8, 8), draw.uniform(-8, 8)),
        squeeze=draw.uniform(0.4, 0.85),
        right_squeeze=draw.uniform(0.2, 0.45),
        twist=draw.uniform(0.08, 0.25),
        shortening=draw.uniform(5, 11),
        tempo=draw.uniform(0.8, 1.25),
        lag=draw.uniform(0.0, 0.5),
        papillary=(draw.uniform(0.3, 1.2), draw.uniform(3.4, 4.6)),
    )


class HeartMotion:
    """The heart of one person (`seed`): its tissue at end-diastole and its motion from there to end-systole.

    `in_plane` leaves the shortening out, so that a short-axis slice keeps showing the same tissue.
    """

    def __init__(self, seed: int, in_plane: bool = False):
        anatomy = draw_anatomy(seed)
        self.anatomy = replace(anatomy, shortening=0.0) if in_plane else anatomy
        draw = np.random.default_rng((seed, 12))
        self._waves = draw.normal(0, 2 * np.pi / 28, (WAVES, 3)), draw.uniform(0, 2 * np.pi, WAVES)

    def progress(self, time: float, lag: float = 0.0) -> float:
        """How far the contraction is at `time`, 0 at end-diastole and 1 at end-systole, monotone in between."""
        steady = float(np.clip(time, 0, 1)) ** self.anatomy.tempo
        return steady ** (1 + lag)

    def to_reference(self, points: np.ndarray, time: float) -> np.ndarray:
        """Where the tissue at `points` (..., 3) at `time` was at end-diastole.

        Radial contraction about both chambers, twist that changes sign from apex to base, and shortening along the
        long axis, each with a time course of its own: smooth one-to-one maps for the strengths of `draw_anatomy`.
        """
        body = self.anatomy
        left, right = self.progress(time), self.progress(time, body.lag)
        # As in people, the twist leads the contraction and the shortening follows it.
        turning, lowering = left**0.7, left**1.3
        x, y, z = (points[..., axis] for axis in range(3))
        # Shortening: the base moves towards the apex, so tissue seen at z was higher at end-diastole.
        depth = np.clip((z + body.length - body.base) / body.length, -0.5, 1.5)
        envelope = np.exp(-(((z - body.base) / 45) ** 2))
        z0 = z + body.shortening * lowering * envelope * 0.8
        x, y = x - body.centre[0], y - body.centre[1]
        x, y = self._contract(x, y, body.right_offset, body.right_squeeze * right, 0.8 * body.right_radius)
        x, y = self._contract(x, y, (0.0, 0.0), body.squeeze * left, 0.95 * body.cavity)
        near = np.exp(-(x**2 + y**2) / (1.6 * (body.cavity + body.wall)) ** 2)
        angle = body.twist * turning * (1 - 2 * depth) * near
        turned = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
        return np.stack([turned[0] + body.centre[0], turned[1] + body.centre[1], z0], axis=-1)

    @staticmethod
    def _contract(
        x: np.ndarray, y: np.ndarray, middle: tuple[float, float], strength: float, width: float
    ) -> tuple[np.ndarray, np.ndarray]:
        # r (1 + s exp(-q)) with q = (r / w)^2 grows with r as long as s < 0.5 e^1.5 = 2.24.
        dx, dy = x - middle[0], y - middle[1]
        factor = 1 + strength * np.exp(-(dx**2 + dy**2) / width**2)
        return middle[0] + dx * factor, middle[1] + dy * factor

    def _distances(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Signed distances in mm (about, negative inside) to the left cavity, the left ventricle, the right cavity."""
        body = self.anatomy
        x, y, z = points[..., 0] - body.centre[0], points[..., 1] - body.centre[1], points[..., 2]
        long_axis = np.minimum(z - body.base, 0)
        apex = body.length + body.wall
        radius = np.hypot(x, y)
        cavity = np.hypot(radius, long_axis * body.cavity / body.length) - body.cavity
        epicardium = np.hypot(radius, long_axis * (body.cavity + body.wall) / apex) - body.cavity - body.wall
        sideways = np.hypot(x - body.right_offset[0], y - body.right_offset[1])
        right = np.hypot(sideways, long_axis * body.right_radius / (0.85 * body.length)) - body.right_radius
        return cavity, epicardium, np.maximum(right, 2.0 - epicardium)

    def tissue(self, points: np.ndarray, blur: float = 1.0) -> np.ndarray:
        """Intensity in [0, 1] at end-diastolic `points` (..., 3); edges are `blur` mm wide, as a scanner makes them."""
        body = self.anatomy
        cavity, epicardium, right = self._distances(points)
        x, y = points[..., 0], points[..., 1]
        vectors, phases = self._waves
        texture = np.zeros(points.shape[:-1])
        for vector, phase in zip(vectors, phases):
            texture += np.cos(points @ vector + phase)
        texture *= np.sqrt(2.0 / WAVES)

        def inside(distance: np.ndarray) -> np.ndarray:
            return 0.5 * (1 - np.tanh(distance / blur))

        chest = inside(np.hypot(x / 88, y / 70) * 80 - 80)
        lungs = np.maximum(
            inside(np.hypot((x - 62) / 26, y / 40) * 30 - 30), inside(np.hypot((x + 66) / 20, y / 34) * 25 - 25)
        )
        value = chest * (TISSUE + 0.10 * texture)
        value = value * (1 - lungs) + LUNG * lungs
        heart = inside(right - 3.5)
        value = value * (1 - heart) + (MUSCLE + 0.03 * texture) * heart
        for amount, level in ((inside(right), BLOOD), (inside(epicardium), MUSCLE), (inside(cavity), BLOOD)):
            value = value * (1 - amount) + (level + 0.03 * texture) * amount
        for angle in body.papillary:
            along, across = 0.62 * body.cavity * np.cos(angle), 0.62 * body.cavity * np.sin(angle)
            radius = np.hypot(x - body.centre[0] - along, y - body.centre[1] - across)
            muscle = inside(radius - 3.2) * inside(np.abs(points[..., 2]) - 20)
            value = value * (1 - muscle) + MUSCLE * muscle
        return np.clip(value, 0, 1)

    def structures(self, points: np.ndarray) -> np.ndarray:
        """Labels at end-diastolic points as ACDC numbers them: 1 right ventricle, 2 myocardium, 3 left cavity."""
        cavity, epicardium, right = self._distances(points)
        below = points[..., 2] < self.anatomy.base + 12
        labels = np.where(right < 0, 1, 0)
        labels = np.where(epicardium < 0, 2, labels)
        labels = np.where(cavity < 0, 3, labels)
        return np.where(below, labels, 0).astype(np.uint8)
