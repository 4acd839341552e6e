"""What `diffusemorph register` reads besides the two images, and the files of its result."""
from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.images import check_image, image_suffix, read_image, write_image
from DiffuseMorphCore.progress import Progress, advance
from DiffuseMorphCore.registration import Registration, register
from DiffuseMorphCore.registration.uncertainty import summary
from DiffuseMorphCore.transforms import write_transform

_FLAT_FORMATS = (".png", ".tif", ".tiff", ".nii", ".nii.gz", ".nrrd", ".mha")
"""Formats in which a 2-D image is delivered as it came; others lose values or cannot be written, and become PNG."""


@dataclass(frozen=True)
class Request:
    """What the user asked for: `settings` are keywords of register; the labels are read and checked already."""

    fixed: str
    moving: str
    settings: dict[str, Any]
    eta: float
    frames: int | None
    maps: bool
    moving_labels: sitk.Image | None
    fixed_labels: sitk.Image | None
    files: dict[str, str]

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Request:
        """Read and check the label maps. Raises DiffuseMorphError naming the file at fault."""
        settings = {name: getattr(arguments, name) for name in
                    ("model", "device", "align", "refine", "modality", "trajectory", "seed", "threads", "fixed_mask",
                     "moving_mask", "initial_transform")}
        files = {name: getattr(arguments, name) for name in
                 ("fixed", "moving", "fixed_mask", "moving_mask", "moving_labels", "fixed_labels", "initial_transform")}
        return cls(arguments.fixed, arguments.moving, settings, arguments.eta, arguments.frames, arguments.maps,
                   _labels(arguments.moving_labels, "moving label map"),
                   _labels(arguments.fixed_labels, "fixed label map"),
                   {name: str(Path(path).absolute()) for name, path in files.items() if path is not None})

    def register(self, progress: Progress | None) -> Registration:
        """Register the pair; see DiffuseMorphCore.register."""
        # What draws the pictures takes a third of a second to import: it is there when they are due.
        Thread(target=import_module, args=["DiffuseMorphCore.previews"], daemon=True).start()
        return register(self.fixed, self.moving, **self.settings, progress=progress)


def is_result(name: str) -> bool:
    """Whether a file or folder of this name is something that `write_result` writes."""
    stems = ("moved", "moved_labels", "jacobian", "uncertainty")
    images = [f"{stem}{suffix}" for stem in stems for suffix in _FLAT_FORMATS]
    return name in ("report.json", "preview.png", "transform.h5", "inverse_transform.h5", "trajectory",
                    "trajectory.gif", *images)


def write_result(folder: Path, result: Registration, request: Request, progress: Progress | None) -> dict[str, Any]:
    """Write all files of a registration into `folder` and return the report that went into report.json."""
    report = dict(result.report)
    eta = request.eta
    # Drawing is Python on one processor; inverting, resampling and writing meanwhile leave Python alone.
    with ThreadPoolExecutor(1) as beside:
        preview = beside.submit(_draw_preview, result, folder / "preview.png", eta, request.settings["modality"])
        moved = result.warp(eta=eta)
        write_image(moved, folder / f"moved{_suffix(moved, request.moving)}")
        advance(progress, "write", 0.2)
        if request.moving_labels is not None:
            labels = result.warp_labels(request.moving_labels, eta=eta)
            write_image(labels, folder / f"moved_labels{_suffix(labels, request.files['moving_labels'])}")
            if request.fixed_labels is not None:
                before = result.warp_labels(request.moving_labels, eta=0.0)
                report["dice"] = {"aligned": dice(request.fixed_labels, before),
                                  "moved": dice(request.fixed_labels, labels)}
        write_transform(result.transform(eta), folder / "transform.h5")
        advance(progress, "write", 0.3)
        write_transform(result.inverse_transform(eta), folder / "inverse_transform.h5")
        advance(progress, "write", 0.6)
        preview.result()
    advance(progress, "write", 0.7)
    if request.maps:
        report["uncertainty_mm"] = _write_maps(folder, result, request, progress)
    if request.frames:
        _write_frames(folder, result, request, progress)
    report |= {"files": request.files, "eta": eta,
               "results": sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())}
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    advance(progress, "write", 1.0)
    return report


def dice(first: sitk.Image, second: sitk.Image) -> dict[str, Any]:
    """Dice overlap of two label maps, the first resampled to the grid of the second: mean and each label."""
    identity = sitk.Transform(first.GetDimension(), sitk.sitkIdentity)
    first = sitk.Cast(sitk.Resample(first, second, identity, sitk.sitkNearestNeighbor), sitk.sitkInt32)
    second = sitk.Cast(second, sitk.sitkInt32)
    labels = np.union1d(sitk.GetArrayViewFromImage(first), sitk.GetArrayViewFromImage(second))
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(first, second)
    each = {str(label): measures.GetDiceCoefficient(int(label)) for label in labels if label != 0}
    return {"mean": sum(each.values()) / len(each) if each else None, "labels": each}


def summarize(output: str, report: dict[str, Any]) -> None:
    """Print what came out in a few lines."""
    similarity, folding, displacement = report["similarity"], report["folding"], report["displacement_mm"]
    words = {"initial": "before", "aligned": "aligned", "network": "by the network", "registered": "registered"}
    steps = [f"{similarity[key]:.3f} {word}" for key, word in words.items() if similarity.get(key) is not None]
    print(f"Registered in {sum(report['seconds'].values()):.1f} s on {report['device']}.")
    print(f"Similarity (0 to 1): {', '.join(steps)}.")
    print(f"Displacement: {displacement['mean']:.1f} mm on average, {displacement['max']:.1f} mm at most; "
          f"folded voxels: {100 * folding['share']:.3g} %.")
    if "uncertainty_mm" in report:
        print(f"Uncertainty: {report['uncertainty_mm']['mean']:.1f} mm on average inside the object.")
    if "dice" in report:
        print(f"Dice of the labels: {report['dice']['aligned']['mean']:.3f} aligned, "
              f"{report['dice']['moved']['mean']:.3f} moved.")
    for note in report.get("notes", []):
        print(f"Note: {note}")
    print(f"Open {Path(output) / 'preview.png'} to see it.")


def _draw_preview(result: Registration, path: Path, eta: float, modality: str) -> None:
    from DiffuseMorphCore.previews import save_preview

    save_preview(result, path, eta, modality)


def _labels(path: str | None, role: str) -> sitk.Image | None:
    return None if path is None else check_image(read_image(path), f"{role} '{path}'", labels=True)


def _suffix(image: sitk.Image, source: str) -> str:
    """The extension to write `image` with, which came from the file `source`."""
    if image.GetDimension() == 3:
        return ".nii.gz"
    suffix = image_suffix(source)
    return suffix if suffix in _FLAT_FORMATS else ".png"


def _write_maps(folder: Path, result: Registration, request: Request, progress: Progress | None) -> dict[str, float]:
    """Write the maps and return what the report says of the uncertainty."""
    suffix = _suffix(result.fixed, request.moving)
    suffix = ".tif" if suffix == ".png" else suffix  # PNG holds no fractions
    write_image(result.jacobian(request.eta), folder / f"jacobian{suffix}")
    uncertainty = result.uncertainty(progress=progress)
    write_image(uncertainty, folder / f"uncertainty{suffix}")
    return summary(uncertainty, result.fixed)


def _write_frames(folder: Path, result: Registration, request: Request, progress: Progress | None) -> None:
    from DiffuseMorphCore.previews import TrajectoryPicture

    (folder / "trajectory").mkdir()
    picture = TrajectoryPicture(result)
    width = len(str(request.frames))
    for number, eta in enumerate(np.linspace(0.0, 1.0, request.frames).tolist(), start=1):
        frame = result.warp(eta=eta)
        name = f"frame_{number:0{width}d}_eta_{eta:.3f}{_suffix(frame, request.moving)}"
        write_image(frame, folder / "trajectory" / name)
        picture.add(eta, frame)
        advance(progress, "frames", number / (request.frames + 1))
    picture.save(folder / "trajectory.gif")


def _plain(value: Any) -> Any:
    """Numbers of numpy and torch as those of JSON."""
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"the report holds a {type(value).__name__}, which is neither number nor text")
