"""No name ends the process: what the image library cannot open is refused before it sees it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import itk_name, read_image

CODE = """
import os, sys
import SimpleITK as sitk
from DiffuseMorphCore import DiffuseMorphError, register
from DiffuseMorphCore.images import check_writable, read_image, write_image
from DiffuseMorphCore.command_line.result_folder import complete_folder
from DiffuseMorphCore.transforms import read_transform, write_transform

name = os.fsdecode(b"M\\xfcller")
image = sitk.Image([9, 9], sitk.sitkUInt8)
image[3, 3] = 1
def folder():
    with complete_folder(name, True, bool): pass
for call in (lambda: read_image(name + ".nrrd"), lambda: read_image(name), lambda: read_image("a\\0b.nrrd"),
             lambda: write_image(image, name + ".nrrd"), lambda: check_writable(name + ".nrrd"), folder,
             lambda: read_transform(name + ".h5"),
             lambda: write_transform(sitk.Transform(2, sitk.sitkIdentity), name + ".h5"),
             lambda: register(name + ".nrrd", image), lambda: register(image, image, fixed_mask=name),
             lambda: read_image("series")):
    try:
        call()
    except DiffuseMorphError as error:
        print(str(error).encode("utf-8").decode())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="file systems that take any bytes for a name")
def test_names_that_are_not_utf8_are_refused_in_one_sentence_and_the_process_lives(
    tmp_path, repository, pair_3d, write_series
):
    image = sitk.Cast(pair_3d[0], sitk.sitkInt16)
    for suffix in (".nrrd", ".h5"):
        (tmp_path / os.fsdecode(b"M\xfcller" + os.fsencode(suffix))).write_bytes(b"something")
    (tmp_path / os.fsdecode(b"M\xfcller")).mkdir()
    write_series(tmp_path / "series", image[:, :, :3])
    for path in list((tmp_path / "series").iterdir()):
        path.rename(path.with_name(os.fsdecode(b"\xfc") + path.name))
    run = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 11
    assert all(line.endswith(".") and ("UTF-8" in line or "zero character" in line) for line in lines), "\n".join(lines)


@pytest.mark.parametrize("name", ["", None, 3, ["a"]])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(DiffuseMorphError, match=r"^A file name is expected.*\.$"):
        itk_name(name)


@pytest.mark.skipif(os.name != "posix", reason="pipes with names")
def test_pipes_and_names_that_are_too_long_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.nii.gz")
    with pytest.raises(DiffuseMorphError, match="neither a file nor a folder"):
        read_image(tmp_path / "pipe.nii.gz")
    with pytest.raises(DiffuseMorphError, match=r"cannot be read.*\.$"):
        read_image(tmp_path / ("long" * 100 + ".nii.gz"))
