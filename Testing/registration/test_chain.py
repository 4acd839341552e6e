"""Chains lead points through their links in order, and back; foreign transforms are inverted."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.registration.chain import Chain
from DiffuseMorphCore.registration.inversion import inverted

POINTS = np.random.default_rng(0).uniform(-15, 15, (40, 3)).tolist()


def wave(amplitude: float) -> sitk.DisplacementFieldTransform:
    """A smooth displacement up to ``amplitude`` mm, still well inside its grid."""
    axes = np.meshgrid(*[np.linspace(-1, 1, 41)] * 3, indexing="ij")
    bump = amplitude * np.exp(-4 * sum(axis**2 for axis in axes))
    field = sitk.GetImageFromArray(np.stack([bump, -bump, 0.5 * bump], axis=-1), isVector=True)
    field.SetSpacing((1.5, 1.5, 1.5))
    field.SetOrigin((-30.0, -30.0, -30.0))
    return sitk.DisplacementFieldTransform(field)


def turn() -> sitk.Euler3DTransform:
    return sitk.Euler3DTransform((1.0, 2.0, 3.0), 0.2, -0.1, 0.3, (5.0, -4.0, 2.0))


def test_points_pass_the_files_in_order_and_come_back(tmp_path):
    parts = [turn(), sitk.CompositeTransform([sitk.TranslationTransform(3, (0.0, 9.0, 0.0)), wave(3.0)])]
    for number, part in enumerate(parts):
        sitk.WriteTransform(part, str(tmp_path / f"{number}.h5"))
    chain = Chain.of([tmp_path / "0.h5", tmp_path / "1.h5"])
    forward, backward = chain.forward(), chain.backward()
    for point in POINTS:
        there = parts[1].TransformPoint(parts[0].TransformPoint(point))
        np.testing.assert_allclose(forward.TransformPoint(point), there, atol=1e-6)
        np.testing.assert_allclose(backward.TransformPoint(there), point, atol=0.05)
    assert chain.start is None and chain.end is None


def test_an_inverse_that_a_transform_brings_along_is_not_needed():
    back = inverted(wave(4.0), "transform")
    errors = [np.linalg.norm(np.subtract(back.TransformPoint(wave(4.0).TransformPoint(p)), p)) for p in POINTS]
    assert max(errors) < 0.05


def test_a_field_that_folds_has_no_inverse():
    with pytest.raises(DiffuseMorphError, match="transform 'a.h5' folds space"):
        inverted(wave(60.0), "transform 'a.h5'")


def test_splines_have_no_inverse_that_is_known():
    spline = sitk.BSplineTransformInitializer(sitk.Image(20, 20, 20, sitk.sitkUInt8), [3, 3, 3])
    with pytest.raises(DiffuseMorphError, match="transform 'a.h5' holds a BSplineTransform, whose inverse"):
        inverted(spline, "transform 'a.h5'")


def test_transforms_of_different_dimensions_and_an_eta_for_files_are_refused(tmp_path):
    sitk.WriteTransform(turn(), str(tmp_path / "3.tfm"))
    sitk.WriteTransform(sitk.Euler2DTransform(), str(tmp_path / "2.tfm"))
    with pytest.raises(DiffuseMorphError, match="is 3-D and '.*2.tfm' 2-D"):
        Chain.of([tmp_path / "3.tfm", tmp_path / "2.tfm"])
    with pytest.raises(DiffuseMorphError, match="one eta only"):
        Chain.of([tmp_path / "3.tfm"], 0.5)
    with pytest.raises(DiffuseMorphError, match="There is no file"):
        Chain.of([tmp_path / "gone"])
