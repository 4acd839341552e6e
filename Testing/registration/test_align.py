"""The alignment comes out the same every time, whatever the units of the images."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.align import _rounded, align
from DiffuseMorphCore.registration.prepare import prepare


def test_last_digits_of_the_alignment_and_the_unit_of_the_image_do_not_matter():
    """ITK's sums differ in the last digits from run to run; nanometres far from the origin are aligned as well."""
    for scale in (1.0, 1e-6):
        grid = Grid((40, 36, 32), (2.0 * scale,) * 3, (5000.0 * scale,) * 3, (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
        matrix = np.eye(3) + 0.0123456
        found = [
            _rounded(sitk.AffineTransform((matrix + last).ravel().tolist(), [0.77777 * scale + last * scale] * 3), grid)
            for last in (0.0, 1e-9)
        ]
        assert found[0].GetParameters() == found[1].GetParameters()
        corner = [(5000.0 + 2 * 39) * scale, (5000.0 + 2 * 35) * scale, (5000.0 + 2 * 31) * scale]
        exact = sitk.AffineTransform(matrix.ravel().tolist(), [0.77777 * scale] * 3)
        off = np.subtract(found[0].TransformPoint(corner), exact.TransformPoint(corner))
        assert np.abs(off).max() < 0.02 * 2.0 * scale
        assert _rounded(sitk.AffineTransform(3), grid).GetParameters() == sitk.AffineTransform(3).GetParameters()


def test_one_person_is_aligned_rigidly_and_two_are_scaled_as_well(sample_pair):
    """One brain turned, shifted, and in another contrast with noise: no scale or shear fits that noise."""
    fixed, other = (sitk.ReadImage(str(path), sitk.sitkFloat32) for path in sample_pair)
    turn = sitk.Euler3DTransform(fixed.TransformContinuousIndexToPhysicalPoint([s / 2 for s in fixed.GetSize()]))
    turn.SetRotation(0.08, -0.05, 0.1)
    turn.SetTranslation((6.0, -4.0, 3.0))
    moved = sitk.Resample(fixed, fixed, turn, sitk.sitkLinear, 0.0)
    values = sitk.GetArrayFromImage(moved)
    noise = np.random.default_rng(0).normal(0, 0.05 * values.max(), values.shape)
    moving = sitk.GetImageFromArray(np.where(values > 0, 1.2 * values.max() - values + noise, 0).astype(np.float32))
    moving.CopyInformation(fixed)
    found = align(prepare(fixed, "fixed"), prepare(moving, "moving"), "affine")
    matrix = np.array(found.GetMatrix()).reshape(3, 3)
    np.testing.assert_allclose(np.linalg.svd(matrix)[1], 1, atol=1e-6)
    for index in ((10, 10, 10), [s - 10 for s in fixed.GetSize()]):
        point = fixed.TransformIndexToPhysicalPoint(list(index))
        off = np.subtract(turn.TransformPoint(found.TransformPoint(point)), point)
        assert np.abs(off).max() < 0.5  # of voxels of 2 mm
    two = np.array(align(prepare(fixed, "fixed"), prepare(other, "moving"), "affine").GetMatrix()).reshape(3, 3)
    assert np.ptp(np.linalg.svd(two)[1]) > 0.01
