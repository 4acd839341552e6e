"""What the latents of the bundled 3-D models hold, on T1 and FLAIR of real heads: no training, the models as they are.

Fixed is a person's T1, or the same person's FLAIR on the same grid; moving is another person's T1, aligned.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.brain_t1_flair import BrainT1Flair
from DiffuseMorphCore.evaluation.datasets.geometry import scale_whole
from DiffuseMorphCore.evaluation.datasets.scan import Scan
from DiffuseMorphCore.evaluation.machine import machine
from DiffuseMorphCore.evaluation.records import Records, write_text
from DiffuseMorphCore.evaluation.report import facts, markdown_table, number, values
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.networks.model import DiffuseMorph
from DiffuseMorphCore.networks.model_file import load_model
from DiffuseMorphCore.registration import register
from DiffuseMorphCore.registration.canonical import with_canonical
from DiffuseMorphCore.registration.predict import network_images, trajectory
from DiffuseMorphCore.similarity import ImagePair, local_correlation

MODELS = ("default3d", "canonical3d")
ETAS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
BRIGHTEST, WINDOW = 99.5, 5
LATENT_LINES = (
    ("two_contrasts", "the same person's other contrast: latents"),
    ("two_images", "the same: the images themselves"),
    ("two_contrasts_locally", "the same, squared, in windows of 5 voxels: latents"),
    ("two_images_locally", "in windows: the images themselves"),
    ("with_fixed", "the fixed T1 with its latent"),
    ("with_moving", "the moving T1 with that latent"),
    ("with_difference", "fixed - moving with that latent"),
)


def run_released_latents(
    data: str | Path | None,
    out: str | Path,
    pairs: int | None = None,
    models: tuple[str, ...] = MODELS,
    device: str = "cpu",
) -> Path:
    """Write `latents.md` and `latents.csv`; what the folder holds is not run again.

    data : the folder of brain-t1-flair. pairs : at most so many; by default every person is fixed once. models : names
    or files of 3-D models. Raises DiffuseMorphError for data or models that cannot be read, or a model in 2-D.
    """
    loaded = {name: load_model(name, device) for name in models}
    for name, model in loaded.items():
        if model.ndim != 3 or model.diffusion is None:
            raise DiffuseMorphError(f"The model '{name}' has no latent of volumes: give 3-D models with --models.")
    people = _people(BrainT1Flair(data))
    records = Records(out, {"models": list(models), "etas": list(ETAS)})
    rows = []
    for fixed, moving in list(zip(people, [*people[1:], people[0]]))[:pairs]:
        found = records.row(
            ("latents", f"{moving[0].name}_to_{fixed[0].name}"), partial(_measured, loaded, fixed, moving)
        )
        rows += found["rows"]
    records.write_csv("latents.csv", rows)
    page = Path(out) / "latents.md"
    write_text(page, _page(rows, models))
    return page


def _people(data_set: BrainT1Flair) -> list[tuple[Scan, Scan]]:
    """(T1, FLAIR) of everybody."""
    found = []
    for split in data_set.splits:
        scans = data_set.scans(split)
        half = len(scans) // 2
        found += list(zip(scans[:half], scans[half:]))
    return found


def _measured(
    models: dict[str, DiffuseMorph], fixed: tuple[Scan, Scan], moving: tuple[Scan, Scan]
) -> dict[str, list[dict]]:
    """The row of each model for one pair of people."""
    t1, grid = fixed[0].image(), Grid.of(fixed[0].image())
    flair = _onto(t1, fixed[1].image(), "rigid")
    other = _onto(t1, moving[0].image(), "affine")
    same, different = ImagePair(_tensor(t1), _tensor(other)), ImagePair(_tensor(flair), _tensor(other))
    case = f"{moving[0].name}_to_{fixed[0].name}"
    return {
        "rows": [
            {"case": case, "model": name, **_model_row(model, same, different, grid)} for name, model in models.items()
        ]
    }


def _onto(fixed: sitk.Image, moving: sitk.Image, align: str) -> sitk.Image:
    # The alignment takes any contrast; what the modality adds to it is for what comes after.
    found = register(fixed, moving, model=None, refine=0, align=align, modality="same", keep="always").alignment
    return sitk.Resample(moving, fixed, found, sitk.sitkLinear, 0.0, sitk.sitkFloat32)


def _tensor(image: sitk.Image) -> Tensor:
    """(1, 1, *spatial) in [0, 1]."""
    scaled = sitk.GetArrayFromImage(scale_whole(sitk.Cast(image, sitk.sitkFloat32), BRIGHTEST))
    return torch.from_numpy((scaled + 1) / 2)[None, None]


@torch.no_grad()
def _model_row(model: DiffuseMorph, same: ImagePair, different: ImagePair, grid: Grid) -> dict[str, float]:
    if model.is_canonical:
        same, different = (with_canonical(model, pair, grid) for pair in (same, different))
    forms = {form: trajectory(model, same, form) for form in ("faithful", "anchored")}
    other = trajectory(model, different, "faithful")
    latent = forms["faithful"].latent
    moving, fixed = network_images(model, same)
    _, fixed_flair = network_images(model, different)
    head = fixed > float(fixed.amin()) + 0.1
    row = {
        "two_contrasts": _correlation(latent, other.latent, head),
        "two_images": _correlation(fixed, fixed_flair, head),
        "two_contrasts_locally": float(local_correlation(latent, other.latent, WINDOW, head.to(fixed))),
        "two_images_locally": float(local_correlation(fixed, fixed_flair, WINDOW, head.to(fixed))),
        "with_fixed": _correlation(latent, fixed, head),
        "with_moving": _correlation(latent, moving, head),
        "with_difference": _correlation(latent, fixed - moving, head),
    }
    for eta in ETAS:
        for form, found in forms.items():
            row[f"{form}_{eta:g}"] = _length(found.exact(eta), head)
    end = forms["faithful"].exact(1.0)
    row["other_end"] = _length(other.exact(1.0) - end, head) / row["faithful_1"]
    return row


def _length(field: Tensor, head: Tensor) -> float:
    return float(field.norm(dim=1, keepdim=True)[head].mean())


def _correlation(first: Tensor, second: Tensor, head: Tensor) -> float:
    found = np.corrcoef(first[head].float().cpu().numpy(), second[head].float().cpu().numpy())[0, 1]
    return float(found) if np.isfinite(found) else 0.0


def _page(rows: list[dict], models: tuple[str, ...]) -> str:
    by_model = {name: [row for row in rows if row["model"] == name] for name in models}

    def line(text: str, key: str) -> list[str]:
        return [text, *(number(float(values(by_model[name], key).mean()), 2) for name in models)]

    parts = [
        "# What the latents of the bundled models hold: T1 and FLAIR of real heads",
        f"Mean over {len(rows) // len(models)} pairs of people, on each model's first grid, inside the head. Fixed is "
        "a T1, or the same person's FLAIR on its grid; moving is another person's T1, aligned.",
        "## Correlations",
        markdown_table(["correlation of", *models], [line(text, key) for key, text in LATENT_LINES]),
        "## Along eta",
        markdown_table(
            ["mean length of the field (voxels of the grid)", *(f"eta {eta:g}" for eta in ETAS)],
            [
                [
                    f"{name}, {text}",
                    *(number(float(values(by_model[name], f"{form}_{eta:g}").mean()), 2) for eta in ETAS),
                ]
                for name in models
                for form, text in (("faithful", "as in the paper"), ("anchored", "anchored"))
            ],
        ),
        "## Another contrast of the fixed image",
        markdown_table(["", *models], [line("how far the field changes, as a share of its length", "other_end")]),
        "## Made with",
        facts({"data": BrainT1Flair.title, **machine()}),
    ]
    return "\n\n".join(parts) + "\n"
