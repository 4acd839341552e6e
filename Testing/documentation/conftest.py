"""A folder with every file that the pages' commands and examples name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.images import write_image

PEOPLE = ("a", "b", "c")


@pytest.fixture(scope="session")
def files(tmp_path_factory, textured_pair_3d, pair_2d, write_series) -> Path:
    """Small images under the names that the pages use. Not to be changed."""
    folder = tmp_path_factory.mktemp("files")
    fixed, moving = (sitk.BinShrink(image, (2, 2, 2)) for image in textured_pair_3d)
    for name, image in {
        "fixed": fixed,
        "moving": moving,
        "third": moving,
        "ct": fixed,
        "mr": sitk.Cast(moving > 5, sitk.sitkFloat32) * (250 - moving),
        "flair": moving,
        "t2_fixed": 200 - fixed,
        "t2_moving": 200 - moving,
    }.items():
        write_image(image, folder / f"{name}.nii.gz")
    for name, image, threshold in (
        ("fixed_labels", fixed, 60),
        ("moving_labels", moving, 60),
        ("a_labels", fixed, 60),
        ("tumour", moving, 170),
        ("fixed_mask", fixed, -1e6),
    ):
        write_image(sitk.Cast(image > threshold, sitk.sitkUInt8), folder / f"{name}.nii.gz")
    cine = [fixed, sitk.Resample(fixed, sitk.TranslationTransform(3, (1.5, 0.0, 0.0)), sitk.sitkLinear), moving, fixed]
    sitk.WriteImage(sitk.JoinSeries(cine, 0.0, 0.1), str(folder / "cine.nii.gz"))
    write_image(sitk.Cast(fixed > 170, sitk.sitkUInt8), folder / "ventricle.nii.gz")
    for name, image in zip(("slide1", "slide2"), pair_2d):
        write_image(sitk.Cast(sitk.Clamp(image, sitk.sitkFloat32, 0, 255), sitk.sitkUInt8), folder / f"{name}.png")
    for name, image in (("dicom_a", fixed), ("dicom_b", moving)):
        write_series(folder / name, image, tilt=0.2)
    points = np.array([[10.0, -8.0, 6.0], [-12.0, 5.0, -4.0], [0.0, 9.0, 12.0], [6.0, 4.0, -10.0]])
    for name in ("fixed", "moving", "points"):
        controls = [{"id": str(k), "label": f"P{k}", "position": list(point)} for k, point in enumerate(points)]
        markup = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": controls}
        (folder / f"{name}.mrk.json").write_text(json.dumps({"markups": [markup]}), encoding="utf-8")
    sitk.WriteTransform(sitk.TranslationTransform(3, (0.5, 0.0, 0.0)), str(folder / "known.tfm"))
    (folder / "images").mkdir()
    for name, image in zip(PEOPLE, (fixed, moving, fixed)):
        for copy in (folder / f"{name}.nii.gz", folder / "images" / f"{name}.nii.gz"):
            write_image(image, copy)
    rows = "\n".join(f"{name},{name}.nii.gz" for name in PEOPLE)
    (folder / "people.csv").write_text(f"name,image\n{rows}\n", encoding="utf-8")
    pairs = ("visit1,fixed.nii.gz,moving.nii.gz,moving_labels.nii.gz,", "visit2,fixed.nii.gz,third.nii.gz,,same")
    table = "\n".join(["name,fixed,moving,moving_labels,modality", *pairs])
    (folder / "pairs.csv").write_text(f"{table}\n", encoding="utf-8")
    return folder


@pytest.fixture
def at_work(files, tmp_path, monkeypatch) -> Path:
    """A copy of these files, as the current folder."""
    folder = tmp_path / "work"
    shutil.copytree(files, folder)
    monkeypatch.chdir(folder)
    return folder
