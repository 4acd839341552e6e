"""Transforms for FreeSurfer: warps byte by byte and as volumes by nibabel, the alignment by nitransforms."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.transform_files import FORMATS, write_transforms

VOXELS = [(3, 4, 5), (10, 12, 9), (17, 18, 12)]
TO_RAS = np.array([-1.0, -1.0, 1.0])


def somewhere(size, spacing, origin, angle) -> sitk.Image:
    image = sitk.Image(size, sitk.sitkFloat32)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(sitk.Euler3DTransform((0, 0, 0), angle, 0.1, -angle).GetMatrix())
    return image


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Both images, the affine map, the whole way there, and the folder with the files."""
    fixed = somewhere((20, 24, 18), (2.0, 1.5, 2.5), (-30.0, 12.0, -25.0), 0.2)
    moving = somewhere((22, 20, 26), (1.8, 2.0, 1.6), (-40.0, 5.0, -20.0), 0.1)
    affine = sitk.AffineTransform((1.05, 0.02, 0, -0.03, 0.97, 0.04, 0, 0.01, 1.0), (3.0, -2.0, 1.0))

    def field(image, seed):
        noise = np.random.default_rng(seed).normal(scale=20, size=(*image.GetSize()[::-1], 3))
        found = sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(noise, isVector=True), 3.0)
        found.CopyInformation(image)
        return sitk.DisplacementFieldTransform(sitk.Cast(found, sitk.sitkVectorFloat64))

    forward = sitk.CompositeTransform([affine, field(fixed, 0)])
    backward = sitk.CompositeTransform([field(moving, 1), affine.GetInverse()])
    folder = tmp_path_factory.mktemp("freesurfer")
    names = write_transforms(folder, forward, backward, Grid.of(fixed), Grid.of(moving), "freesurfer")
    assert names == list(FORMATS["freesurfer"]) and {path.name for path in folder.iterdir()} == set(names)
    return (
        fixed,
        moving,
        affine,
        {"warp.mgz": (forward, fixed, moving), "inverse_warp.mgz": (backward, moving, fixed)},
        folder,
    )


def ends(transform, image):
    """Where voxels of an image are led, in RAS, and the points themselves."""
    points = [image.TransformIndexToPhysicalPoint(voxel) for voxel in VOXELS]
    return np.array([transform.TransformPoint(point) for point in points]) * TO_RAS, np.array(points) * TO_RAS


@pytest.mark.parametrize("name", ["warp.mgz", "inverse_warp.mgz"])
def test_the_bytes_of_a_warp(written, name):
    """Version and intent, (x, y, z, 3) big-endian displacements, then two geometries and a tag."""
    transform, reference, source = written[3][name]
    with gzip.open(written[4] / name) as file:
        content = file.read()
    size = reference.GetSize()
    assert int.from_bytes(content[:4], "big") == 0x0301
    assert tuple(np.frombuffer(content, ">i4", 4, 4)) == (*size, 3)
    nibabel = pytest.importorskip("nibabel", reason="the package nibabel is not installed")
    # nibabel knows no intents: without that it reads the warp as a volume, and where its voxels lie.
    volume = nibabel.MGHImage.from_bytes((1).to_bytes(4, "big") + content[4:])
    seen = nibabel.affines.apply_affine(volume.affine, VOXELS)
    np.testing.assert_allclose(seen, ends(transform, reference)[1], atol=1e-4)
    count = int(np.prod(size)) * 3
    shifts = np.frombuffer(content, ">f4", count, 284).reshape(*size, 3, order="F")
    expected, points = ends(transform, reference)
    np.testing.assert_allclose(points + [shifts[voxel] for voxel in VOXELS], expected, atol=1e-4)
    tail = content[284 + 4 * count + 20 :]
    assert int.from_bytes(tail[:4], "big") == 10
    place = 4
    for image in (source, reference):
        valid, *shape = np.frombuffer(tail, ">i4", 4, place)
        numbers = np.frombuffer(tail, ">f4", 15, place + 16).astype(float)
        assert valid == 1 and tuple(shape) == image.GetSize()
        steps = numbers[3:12].reshape(3, 3, order="F") * numbers[:3]
        led = steps @ (np.array([1, 2, 3]) - np.array(shape) / 2) + numbers[12:]
        np.testing.assert_allclose(led, np.array(image.TransformIndexToPhysicalPoint((1, 2, 3))) * TO_RAS, atol=1e-4)
        place += 16 + 60 + 512
    assert (
        int.from_bytes(tail[place : place + 4], "big") == 13
        and int.from_bytes(tail[place + 4 : place + 12], "big") == 12
    )
    assert int.from_bytes(tail[place + 12 : place + 16], "big") == 3 and len(tail) == place + 24


def test_nitransforms_reads_the_alignment_alike(written):
    nitransforms = pytest.importorskip("nitransforms", reason="the package nitransforms is not installed")
    read = nitransforms.linear.load(str(written[4] / "alignment.lta"), fmt="fs")
    point = np.array([5.0, 6.0, 7.0])
    there = np.array(written[2].TransformPoint(point)) * TO_RAS
    np.testing.assert_allclose(read.map((point * TO_RAS)[None])[0], there, atol=1e-6)


def test_slices_are_refused(tmp_path):
    flat = sitk.AffineTransform(2)
    with pytest.raises(DiffuseMorphError, match="FreeSurfer has no 2-D transforms"):
        write_transforms(tmp_path, flat, flat, None, None, "freesurfer")
    assert not list(tmp_path.iterdir())
