"""Transforms for other programs say the same in those programs."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore import register
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import write_image
from DiffuseMorphCore.registration.chain import Chain
from DiffuseMorphCore.registration.transform_files import FORMATS, write_transforms
from DiffuseMorphCore.transforms import read_transform


def tilted(image: sitk.Image, angle: float, origin: tuple[float, ...]) -> sitk.Image:
    """The image lying elsewhere in space, in another direction."""
    image = sitk.Image(image)
    ndim = image.GetDimension()
    turn = sitk.Euler2DTransform((0, 0), angle) if ndim == 2 else sitk.Euler3DTransform((0, 0, 0), angle, 0.1, -angle)
    image.SetDirection(turn.GetMatrix())
    image.SetOrigin(origin[:ndim])
    return image


@pytest.fixture(scope="module", params=[2, 3])
def result(request, pair_2d, pair_3d):
    fixed, moving = pair_2d if request.param == 2 else pair_3d
    fixed, moving = tilted(fixed, 0.2, (-30.0, 12.0, -25.0)), tilted(moving, 0.1, (-40.0, 5.0, -20.0))
    return register(fixed, moving, model="none", align="rigid", refine=10, device="cpu")


def close(found: np.ndarray, expected: sitk.Image) -> bool:
    values = sitk.GetArrayFromImage(expected)
    difference = np.abs(found - values)
    return difference.mean() < 1e-3 * np.ptp(values) and difference.max() < 0.05 * np.ptp(values)


def test_ants_moves_the_images_alike(result, tmp_path):
    ants = pytest.importorskip("ants", reason="the package antspyx is not installed")
    assert result.write_transforms(tmp_path, "ants") == list(FORMATS["ants"])
    for name, image in (("fixed", result.fixed), ("moving", result.moving)):
        write_image(sitk.Cast(image, sitk.sitkFloat32), tmp_path / f"{name}.nrrd")
    fixed, moving = (ants.image_read(str(tmp_path / f"{name}.nrrd")) for name in ("fixed", "moving"))
    affine, warp, inverse = (str(tmp_path / name) for name in FORMATS["ants"])
    moved = ants.apply_transforms(fixed, moving, [warp, affine])
    assert close(moved.numpy().T, result.warp())
    back = ants.apply_transforms(moving, fixed, [affine, inverse], whichtoinvert=[True, False])
    assert close(back.numpy().T, result.apply(result.fixed, inverse=True, interpolation="linear"))


def test_a_warp_of_ants_is_read_as_a_transform(result, tmp_path):
    result.write_transforms(tmp_path, "ants")
    chain = Chain.of([tmp_path / "1Warp.nii.gz", tmp_path / "0GenericAffine.mat"])
    middle = result.fixed.TransformContinuousIndexToPhysicalPoint([0.4 * n for n in result.fixed.GetSize()])
    there = result.transform().TransformPoint(middle)
    np.testing.assert_allclose(chain.forward().TransformPoint(middle), there, atol=1e-3)
    np.testing.assert_allclose(chain.backward().TransformPoint(there), middle, atol=0.1)
    write_image(result.fixed, tmp_path / "grey.nrrd")
    with pytest.raises(DiffuseMorphError, match="grey.nrrd' holds no displacements"):
        read_transform(tmp_path / "grey.nrrd")


@pytest.mark.parametrize("mirrored", [False, True])
def test_fsl_reads_the_warps_alike(pair_3d, tmp_path, mirrored):
    """FSL's own library leads voxels of the fixed image to the points to which the transform does, whichever way the
    first axis of an image runs."""
    fnirt = pytest.importorskip("fsl.transform.fnirt", reason="the package fslpy is not installed")
    from fsl.data.image import Image

    fixed, moving = tilted(pair_3d[0], 0.2, (-30.0, 12.0, -25.0)), tilted(pair_3d[1], 0.1, (-40.0, 5.0, -20.0))
    if mirrored:
        fixed = sitk.Flip(fixed, [True, False, False])
    result = register(fixed, moving, model="none", align="rigid", refine=5, device="cpu")
    assert result.write_transforms(tmp_path, "fsl") == list(FORMATS["fsl"])
    for name, image in (("fixed", fixed), ("moving", moving)):
        write_image(image, tmp_path / f"{name}.nii.gz")
    images = [Image(str(tmp_path / f"{name}.nii.gz")) for name in ("fixed", "moving")]
    voxels = np.array([[3, 4, 5], [20, 18, 16], [33, 7, 20]])
    ways = ((fixed, images, result.transform()), (moving, images[::-1], result.inverse_transform()))
    for name, (image, (reference, source), transform) in zip(FORMATS["fsl"], ways):
        field = fnirt.readFnirt(str(tmp_path / name), source, reference, defType="relative")
        found = field.transform(voxels, from_="voxel", to="world") * [-1, -1, 1]
        points = [image.TransformIndexToPhysicalPoint(voxel) for voxel in voxels.tolist()]
        np.testing.assert_allclose(found, [transform.TransformPoint(point) for point in points], atol=2e-3)


def test_flat_images_and_unknown_formats_are_refused(pair_2d, tmp_path):
    result = register(*pair_2d, model="none", align="none", refine=1, device="cpu")
    with pytest.raises(DiffuseMorphError, match="FSL has no 2-D transforms"):
        result.write_transforms(tmp_path, "fsl")
    with pytest.raises(DiffuseMorphError, match="format 'spm' is unknown"):
        result.write_transforms(tmp_path, "spm")


def test_a_chain_of_files_says_no_grid_for_one_field(tmp_path):
    parts = sitk.CompositeTransform([sitk.Euler3DTransform(), sitk.Euler3DTransform()])
    with pytest.raises(DiffuseMorphError, match="name the folders of results"):
        write_transforms(tmp_path, parts, parts.GetInverse(), None, None, "ants")


def test_the_command_line_offers_these_formats():
    import argparse

    from DiffuseMorphCore.command_line.arguments import add_format

    parser = argparse.ArgumentParser()
    add_format(parser, "itk")
    assert [parser.parse_args(["--format", name]).format for name in FORMATS] == list(FORMATS)
    (action,) = (each for each in parser._actions if each.dest == "format")
    assert set(action.choices) == set(FORMATS)
