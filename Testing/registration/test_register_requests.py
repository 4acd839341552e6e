"""register: what may be asked of it, and what is refused in a sentence."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore import Cancelled, DiffuseMorphError, register


def difference(fixed, other):
    a, b = (sitk.GetArrayFromImage(image).astype(float) for image in (fixed, other))
    return float(np.sqrt(np.mean((a - b) ** 2)))


def test_progress_runs_through_the_stages_and_can_cancel(pair_3d):
    seen = []
    register(*pair_3d, model=None, refine=3, progress=lambda stage, fraction: seen.append((stage, fraction)))
    assert [stage for stage, _ in itertools.groupby(stage for stage, _ in seen)] == [
        "prepare",
        "align",
        "refine",
        "deliver",
    ]
    assert all(0 <= fraction <= 1 for _, fraction in seen)
    with pytest.raises(Cancelled):
        register(*pair_3d, model=None, progress=lambda stage, fraction: stage != "refine")


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"align": "bspline"}, "align"),
        ({"refine": -1}, "refine"),
        ({"refine": "much"}, "refine"),
        ({"modality": "ct"}, "modality"),
        ({"trajectory": "straight"}, "trajectory"),
        ({"keyframes": 1}, "keyframes"),
        ({"model": "nobody"}, "nobody"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_options_that_do_not_exist_are_refused(pair_3d, options, sentence):
    with pytest.raises(DiffuseMorphError, match=sentence):
        register(*pair_3d, **options)


def test_images_that_do_not_fit_together_are_refused(pair_2d, pair_3d):
    with pytest.raises(DiffuseMorphError, match="same dimension"):
        register(pair_3d[0], pair_2d[0])
    with pytest.raises(DiffuseMorphError, match="single slice"):
        register(pair_3d[0], sitk.JoinSeries(pair_2d[0]))
    far = sitk.Image(pair_3d[1])
    far.SetOrigin((5000.0, 0.0, 0.0))
    with pytest.raises(DiffuseMorphError, match="overlap"):
        register(pair_3d[0], far, align="none")
    with pytest.raises(DiffuseMorphError, match="mask"):
        register(*pair_3d, fixed_mask=sitk.Image([4, 4, 4], sitk.sitkUInt8) + 1)
    with pytest.raises(DiffuseMorphError, match="linear"):
        register(*pair_3d, initial_transform=sitk.DisplacementFieldTransform(3))
    with pytest.raises(DiffuseMorphError, match="eta"):
        register(*pair_3d, model=None, refine=1).warp(eta=1.2)


def test_initial_transform_replaces_the_search(pair_3d):
    fixed, moving = pair_3d
    shifted = sitk.Image(moving)
    shifted.SetOrigin([value + 90 for value in moving.GetOrigin()])
    result = register(
        fixed,
        shifted,
        model=None,
        align="none",
        refine=5,
        initial_transform=sitk.TranslationTransform(3, (90.0, 90.0, 90.0)),
    )
    assert difference(fixed, result.warp()) < difference(fixed, moving)


def test_rigid_alignment_improves_an_initial_transform(pair_3d):
    fixed, moving = pair_3d
    shifted = sitk.Image(moving)
    shifted.SetOrigin([value + 90 for value in moving.GetOrigin()])
    rough = sitk.TranslationTransform(3, (100.0, 84.0, 88.0))
    kept, improved = (
        register(fixed, shifted, model=None, align=align, refine=0, initial_transform=rough)
        for align in ("none", "rigid")
    )
    assert difference(fixed, improved.warp()) < 0.8 * difference(fixed, kept.warp())
    matrix = np.array(improved.alignment.GetMatrix()).reshape(3, 3)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-4)
