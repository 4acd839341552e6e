"""A program's locale with decimal commas does not change what files say."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

# A locale of glibc whose only category says: decimal sign "," and thousands sign ".".
COMMA = bytes.fromhex(
    "1411032006000000200000002200000024000000280000002c000000300000002c002e00030300002c0000002e0000005554462d3800"
)

CODE = """
import locale, sys, threading
import numpy as np
import SimpleITK as sitk
try:
    locale.setlocale(locale.LC_NUMERIC, "comma")
except locale.Error:
    sys.exit(3)
from DiffuseMorphCore.images import decimal_points, read_image, write_image
from DiffuseMorphCore.transforms import read_transform, write_transform
for suffix in ("nrrd", "mha", "vtk"):
    print(*read_image("scan." + suffix).GetSpacing(), *read_image("scan." + suffix).GetOrigin())
write_image(read_image("scan.nrrd"), "again.nrrd")
write_image(read_image("scan.nrrd"), "again.mha")
print(*read_transform("shift.tfm").GetParameters())
write_transform(read_transform("shift.tfm"), "again.tfm")
assert locale.localeconv()["decimal_point"] == ",", "the program's own locale is given back"
inside, done = threading.Event(), threading.Event()
def other():
    with decimal_points():
        inside.set(); done.wait()
thread = threading.Thread(target=other); thread.start(); inside.wait()
print(*read_image("scan.nrrd").GetSpacing())
with decimal_points():
    done.set(); thread.join()
    print(locale.localeconv()["decimal_point"])
print(locale.localeconv()["decimal_point"])
"""


def test_numbers_in_files_have_points(tmp_path, repository):
    image = sitk.GetImageFromArray(np.arange(720, dtype=np.float32).reshape(8, 9, 10))
    image.SetSpacing((2.9, 1.25, 0.75))
    image.SetOrigin((-3.5, 7.25, 0.125))
    for suffix in ("nrrd", "mha", "vtk"):
        sitk.WriteImage(image, str(tmp_path / f"scan.{suffix}"))
    sitk.WriteTransform(sitk.TranslationTransform(3, (0.5, -2.75, 3.125)), str(tmp_path / "shift.tfm"))
    (tmp_path / "locales" / "comma").mkdir(parents=True)
    (tmp_path / "locales" / "comma" / "LC_NUMERIC").write_bytes(COMMA)
    run = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(repository), "LOCPATH": str(tmp_path / "locales"), "LC_ALL": ""},
    )
    if run.returncode == 3:
        pytest.skip("this C library does not take a locale from a folder")
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    for line in lines[:3]:
        np.testing.assert_allclose([float(number) for number in line.split()], (2.9, 1.25, 0.75, -3.5, 7.25, 0.125))
    assert lines[3].split() == ["0.5", "-2.75", "3.125"]
    assert lines[4].split() == ["2.9", "1.25", "0.75"] and lines[5:] == [".", ","]
    for suffix in ("nrrd", "mha"):
        assert sitk.ReadImage(str(tmp_path / f"again.{suffix}")).GetSpacing() == (2.9, 1.25, 0.75)
    assert sitk.ReadTransform(str(tmp_path / "again.tfm")).GetParameters() == (0.5, -2.75, 3.125)
