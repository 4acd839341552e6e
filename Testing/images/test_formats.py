"""An image is delivered in a format that keeps it, and a file that could not be written whole is not there."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import check_writable, keeps, suffix_for, write_image
from DiffuseMorphCore.images.formats import DELIVERED_2D
from DiffuseMorphCore.images.geometry import shift_in_voxels


def image(shape=(8, 9, 10), kind=np.int16, spacing=1.0, origin=0.0, channels=0, shear=0.0) -> sitk.Image:
    values = np.random.default_rng(0).integers(1, 100, (*shape, channels) if channels else shape).astype(kind)
    result = sitk.GetImageFromArray(values, isVector=channels > 0)
    n = len(shape)
    result.SetSpacing([spacing] * n)
    result.SetOrigin([origin] * n)
    axes = np.eye(n)
    axes[0, 1] = shear
    result.SetDirection(axes.ravel().tolist())
    return result


FLAT = {"shape": (9, 10)}
CASES = [
    ({}, "a.nrrd", ".nii.gz"),
    ({"origin": 123456789.3}, "a.nrrd", ".nrrd"),
    ({"origin": 90.0, "spacing": 0.003}, "a.nrrd", ".nii.gz"),
    ({"origin": 90.1, "spacing": 1e-5}, "a.nrrd", ".nrrd"),
    ({"shear": 3e-3}, "a.mha", ".nrrd"),
    ({"kind": np.uint64}, "a.mha", ".nii.gz"),
    ({"kind": np.uint8, "channels": 3}, "a.mha", ".nii.gz"),
    ({**FLAT, "kind": np.uint8}, "a.png", ".png"),
    ({**FLAT, "kind": np.uint16}, "a.jpg", ".png"),
    ({**FLAT, "kind": np.uint8, "channels": 3}, "a.bmp", ".png"),
    ({**FLAT, "kind": np.uint8, "channels": 4}, "a.png", ".png"),
    ({**FLAT, "kind": np.uint8, "origin": 10.0}, "a.mhd", ".nrrd"),
    ({**FLAT, "kind": np.float32}, "a.mhd", ".nrrd"),
    ({**FLAT}, "a.vtk", ".nrrd"),
    ({**FLAT}, "a.nhdr", ".nrrd"),
    ({**FLAT}, "a.hdr", ".nrrd"),
    ({**FLAT}, "folder", ".nrrd"),
    ({**FLAT, "kind": np.float32}, "a.tif", ".tif"),
    ({**FLAT, "kind": np.float64}, "a.tif", ".nrrd"),
    ({**FLAT, "kind": np.float32, "origin": 10.0}, "a.tif", ".nrrd"),
    ({**FLAT, "kind": np.float64, "origin": 10.0}, "a.mha", ".mha"),
]


@pytest.mark.parametrize(("content", "source", "suffix"), CASES, ids=[f"{case[1]}{case[0]}" for case in CASES])
def test_the_format_keeps_numbers_type_and_place(tmp_path, content, source, suffix):
    given = image(**content)
    assert suffix_for(given, source) == suffix
    write_image(given, tmp_path / f"moved{suffix}")
    back = sitk.ReadImage(str(tmp_path / f"moved{suffix}"))
    assert back.GetPixelID() == given.GetPixelID()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(given))
    assert shift_in_voxels(given, back) < 0.011


@pytest.mark.parametrize("suffix", DELIVERED_2D)
@pytest.mark.parametrize(
    "kind", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64]
)
def test_what_a_format_is_said_to_keep_it_keeps(tmp_path, suffix, kind):
    limits = np.iinfo(kind) if np.dtype(kind).kind in "iu" else np.finfo(kind)
    given = sitk.GetImageFromArray(np.array([[limits.min, limits.max, 1], [2, 3, 5]], kind))
    if keeps(suffix, given):
        write_image(given, tmp_path / f"x{suffix}")
        np.testing.assert_array_equal(
            sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"x{suffix}"))), sitk.GetArrayFromImage(given)
        )
    else:
        assert suffix in (".png", ".tif", ".tiff") and np.dtype(kind) not in (np.uint8, np.uint16)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.foo", "'.foo' is unknown"),
        ("x", "'' is unknown"),
        ("x.mhd", "takes two files"),
        ("x.hdr", "takes two files"),
        ("x.jp2", "'.jp2' is unknown"),
        ("x.jpg", "choose .png"),
        ("x.bmp", "choose .png"),
        ("x.nia", "'.nia' is unknown"),
        ("x.png", "A volume cannot be written as 'x.png'"),
        ("nowhere/x.nrrd", "There is no folder"),
        (".", "is a folder"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch, name, text):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DiffuseMorphError, match=rf"{text}[^\n]*\.$"):
        check_writable(name, 3)


FULL = """
import resource, signal, sys
import numpy as np
import SimpleITK as sitk
from DiffuseMorphCore import DiffuseMorphError
from DiffuseMorphCore.images import write_image
from DiffuseMorphCore.transforms import write_transform
values = np.random.default_rng(0).integers(0, 250, (20, 40, 50)).astype(np.uint8)
image = sitk.GetImageFromArray(values)
flat = sitk.GetImageFromArray(values.reshape(200, 200))
field = sitk.DisplacementFieldTransform(sitk.Cast(sitk.Compose([image] * 3), sitk.sitkVectorFloat64))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
for suffix in ("nii", "nii.gz", "nrrd", "mha", "vtk", "gipl", "mrc", "tif", "png", "h5"):
    try:
        write_image(flat if suffix in ("tif", "png") else image, "x." + suffix)
        print("WROTE", suffix)
    except DiffuseMorphError as error:
        print(error)
try:
    write_transform(field, "t.h5")
    print("WROTE h5")
except DiffuseMorphError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX systems")
def test_without_room_nothing_is_written_and_the_reason_is_said(tmp_path, repository):
    """A limit on the size of files stops every library in the midst of its file, as a full disk does."""
    (tmp_path / "x.nii").write_text("what was there")
    run = subprocess.run(
        [sys.executable, "-c", FULL],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 11
    for line in lines:
        assert "cannot be written: file too large." in line and ".diffusemorph" not in line, line
    assert os.listdir(tmp_path) == ["x.nii"] and (tmp_path / "x.nii").read_text() == "what was there"
