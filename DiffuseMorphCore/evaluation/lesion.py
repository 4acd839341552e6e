"""Lesions made in one of two healthy brains: how far they mislead a registration, and what ignoring them mends.

The healthy brain is registered, too, so that for every point it is known where it goes without a lesion.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.evaluation.lesion_picture import draw
from DiffuseMorphCore.evaluation.machine import machine
from DiffuseMorphCore.evaluation.metrics import displacement_field, sd_log_jacobian
from DiffuseMorphCore.evaluation.records import Records
from DiffuseMorphCore.evaluation.report import facts, markdown_table
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration import Registration, register
from DiffuseMorphCore.sample_pair import sample_pair

MARGIN = 2.0
"""Millimetres that the ignored region reaches beyond the lesion: its blurred edge belongs to it."""
RINGS = (("within 10 mm", 0.0, 10.0), ("10 to 25 mm", 10.0, 25.0), ("farther", 25.0, np.inf))
PLAIN, IGNORED = "not ignored", "ignored"


@dataclass(frozen=True)
class MadeLesion:
    """A lobed lesion without mass effect: tissue of another intensity where healthy tissue was.

    centre : mm, LPS. radius : mm, of the lobe in the middle. intensity : as a share of bright tissue's.
    """

    name: str
    centre: tuple[float, float, float]
    radius: float
    intensity: float

    def depth(self, image: sitk.Image) -> np.ndarray:
        """In array order: mm by which a voxel lies inside the lesion, below 0 outside."""
        indices = np.indices(image.GetSize()).reshape(3, -1).T  # x, y, z; x runs slowest
        points = Grid.of(image).points(indices)
        random = np.random.default_rng(0)
        found = np.full(len(points), -np.inf)
        for lobe in range(4):
            way = random.normal(size=3)
            middle = np.array(self.centre) + (lobe > 0) * 0.6 * self.radius * way / np.linalg.norm(way)
            radius = self.radius * (1.0 if lobe == 0 else 0.65)
            found = np.maximum(found, radius - np.linalg.norm(points - middle, axis=1))
        return found.reshape(image.GetSize()).T

    def into(self, image: sitk.Image) -> sitk.Image:
        """An image with the lesion in it."""
        array = sitk.GetArrayFromImage(image).astype(np.float32)
        bright = float(np.percentile(array[array > array.mean()], 90))
        amount = 0.5 * (1 + np.tanh(self.depth(image)))
        return _like(image, array * (1 - amount) + self.intensity * bright * amount, np.float32)

    def mask(self, image: sitk.Image, margin: float = 0.0) -> sitk.Image:
        """1 in the lesion and as many mm around it, else 0."""
        return _like(image, self.depth(image) > -margin, np.uint8)


LESIONS = (
    MadeLesion("dark, frontal (a resection)", (-30.0, -15.0, 30.0), 15.0, 0.1),
    MadeLesion("dark, parietal (a resection)", (32.0, 40.0, 32.0), 13.0, 0.1),
    MadeLesion("bright, frontal (a tumour)", (-30.0, -15.0, 30.0), 15.0, 1.2),
    MadeLesion("bright, parietal (a tumour)", (32.0, 40.0, 32.0), 13.0, 1.2),
)


def run_lesion(
    out: str | Path,
    *,
    model: str = "default",
    quality: str = "default",
    threads: int = 2,
    pair: tuple[sitk.Image, sitk.Image] | None = None,
    lesions: tuple[MadeLesion, ...] = LESIONS,
) -> Path:
    """Register a brain with each lesion, ignored and not, and write ``lesion.md``, ``.csv`` and ``.png`` (of the first
    lesion) into ``out``; the path of the first. A run that was stopped goes on, one registration at a time.

    pair : (fixed, moving) 3-D images; the demo's two brains unless given. The lesions are put into the moving one.
    """
    fixed, moving = pair or (sitk.ReadImage(str(path), sitk.sitkFloat32) for path in sample_pair())
    options = {"model": model, "quality": quality, "threads": threads}
    records = Records(out, options)
    kept: dict[str, Registration] = {}

    def healthy() -> Registration:
        if "healthy" not in kept:
            kept["healthy"] = register(fixed, moving, **options)
        return kept["healthy"]

    rows = []
    for lesion in lesions:
        image = lesion.into(moving)
        for way, ignored in ((PLAIN, None), (IGNORED, lesion.mask(moving, MARGIN))):

            def case() -> dict[str, float]:
                start = time.process_time()
                found = register(fixed, image, moving_ignore=ignored, **options)
                seconds = time.process_time() - start
                kept[f"{lesion.name} {way}"] = found
                return {"seconds": seconds, **scores(found, healthy(), lesion.mask(moving))}

            rows.append({"lesion": lesion.name, "": way, **records.row((lesion.name, way), case)})
    records.write_csv("lesion.csv", rows)
    shown = [kept.get(f"{lesions[0].name} {way}") for way in (PLAIN, IGNORED)]
    if all(shown):
        draw(shown[0], shown[1], healthy(), lesions[0].mask(moving), records.folder / "lesion.png")
    return records.write_text("lesion.md", _page(rows, options))


def scores(found: Registration, healthy: Registration, mask: sitk.Image) -> dict[str, float]:
    """How a registration with a lesion departs from that of the healthy image.

    mask : the lesion on the moving image. Errors are in mm, on the fixed image where it shows something, by their
    distance from where the lesion belongs; volume is that of the lesion after the deformation, as a share of that after
    the alignment.
    """
    fixed = found.fixed
    vectors = [sitk.GetArrayFromImage(displacement_field(each.transform(), fixed)) for each in (found, healthy)]
    errors = np.linalg.norm(vectors[0] - vectors[1], axis=-1)
    belongs = healthy.warp_labels(mask)
    away = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(belongs, False, False, True))
    values = sitk.GetArrayViewFromImage(fixed)
    shown = values > values.min()
    lies = sitk.GetArrayFromImage(found.warp_labels(mask)) > 0
    aligned = sitk.GetArrayFromImage(found.warp_labels(mask, eta=0.0)) > 0
    row = {"error inside": float(errors[away <= 0].mean())}
    for name, low, high in RINGS:
        row[f"error {name}"] = float(errors[shown & (away > low) & (away <= high)].mean())
    row["volume"] = float(lies.sum() / aligned.sum())
    row["sd_log_jacobian"] = sd_log_jacobian(sitk.GetArrayFromImage(found.jacobian()), lies) if lies.any() else 0.0
    row["folded"] = float(found.report["folding"]["share"])
    return row


def _page(rows: list[dict[str, Any]], settings: dict[str, Any]) -> str:
    errors = ["error inside", *(f"error {name}" for name, _, _ in RINGS)]
    lines = [
        [
            f"{row['lesion']}: {row['']}",
            *(f"{row[key]:.2f}" for key in errors),
            f"{100 * row['volume']:.0f} %",
            f"{row['sd_log_jacobian']:.3f}",
            f"{row['folded']:g}",
            f"{row['seconds']:.1f}",
        ]
        for row in rows
    ]
    headings = [
        "a lesion in the moving brain",
        "error inside (mm)",
        *(f"{name} (mm)" for name, _, _ in RINGS),
        "its volume",
        "SD of log J inside",
        "folds",
        "processor seconds",
    ]
    text = (
        "A lesion was made in the healthy moving brain (Colin 27), and the brain registered to the fixed one (ICBM "
        "152): the lesion not ignored, and ignored (`--moving-ignore`, drawn 2 mm wider than the lesion). It takes the "
        "place of tissue and has no mass effect, so the registration of the healthy brain says where everything "
        "belongs. Error: mean distance from there, on the fixed image, inside the lesion's place and around it. Its "
        "volume: after the deformation, as a share of that after the alignment. Where volume is kept, tissue that "
        "would have grown or shrunk cannot, so the error inside does not become 0."
    )
    parts = [
        "# A lesion in one of two brains",
        markdown_table(headings, lines),
        text,
        "![a brain with a made lesion, registered without and with ignoring it](lesion.png)",
        "## Measured on",
        facts(settings | machine()),
    ]
    return "\n\n".join(parts) + "\n"


def _like(image: sitk.Image, array: np.ndarray, kind: type) -> sitk.Image:
    result = sitk.GetImageFromArray(array.astype(kind))
    result.CopyInformation(image)
    return result
