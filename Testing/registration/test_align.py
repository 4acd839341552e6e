"""The alignment comes out the same every time, whatever the units of the images."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.align import _rounded


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
