"""Templates with known answers: the image that everybody was made from, no favour to anyone, work not done twice."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore import build_template
from DiffuseMorphCore.errors import Cancelled, DiffuseMorphError
from DiffuseMorphCore.images import dice_of_each, write_image
from DiffuseMorphCore.linear import affine_transform, linear_map, mean_transform
from DiffuseMorphCore.registration.template.people import people_of, read_table
from DiffuseMorphCore.registration.template.vote import most_frequent

QUICK = {"rounds": 2, "align": "none", "threads": 1, "device": "cpu"}


def field(image: sitk.Image, seed: int, amplitude: float) -> np.ndarray:
    """Random smooth vectors (*spatial, ndim) in mm that vanish at the border."""
    random, n = np.random.default_rng(seed), image.GetDimension()
    grids = np.meshgrid(*(np.linspace(0, np.pi, size) for size in reversed(image.GetSize())), indexing="ij")
    bump = np.prod([np.sin(each) for each in grids], axis=0)
    waves = [
        sum(random.normal() * np.cos(k * grids[random.integers(n)] + random.uniform(0, 6)) for k in (1, 2))
        for _ in range(n)
    ]
    return amplitude * bump[..., None] * np.stack(waves, axis=-1)


def pulled(image: sitk.Image, vectors: np.ndarray, labels: bool = False) -> sitk.Image:
    shifts = sitk.GetImageFromArray(vectors.astype(float), isVector=True)
    shifts.CopyInformation(image)
    how = sitk.sitkNearestNeighbor if labels else sitk.sitkLinear
    return sitk.Resample(image, image, sitk.DisplacementFieldTransform(shifts), how)


@pytest.fixture(scope="module")
def group(pair_2d):
    """One image, its labels, and five people made of it by displacements with the mean 0, with their labels."""
    image = pair_2d[0]
    noise = np.random.default_rng(0).normal(0, 60, tuple(reversed(image.GetSize()))).astype(np.float32)
    texture = sitk.GetImageFromArray(noise)
    texture.CopyInformation(image)
    image = image + sitk.SmoothingRecursiveGaussian(texture, 2.0) * sitk.Cast(image > 60, sitk.sitkFloat32)
    labels = sitk.Cast(pair_2d[0] > 60, sitk.sitkUInt8) + sitk.Cast(pair_2d[0] > 150, sitk.sitkUInt8)
    fields = [field(image, seed, 1.5) for seed in range(5)]
    fields = [each - sum(fields) / 5 for each in fields]
    names = "abcde"
    people = {name: pulled(image, each) for name, each in zip(names, fields)}
    drawn = {name: pulled(labels, each, labels=True) for name, each in zip(names, fields)}
    return image, labels, people, drawn


@pytest.fixture(scope="module")
def template(group):
    return build_template(group[2], labels=group[3], **QUICK)


def on(image: sitk.Image, reference: sitk.Image, labels: bool = False) -> np.ndarray:
    identity = sitk.Transform(reference.GetDimension(), sitk.sitkIdentity)
    how = sitk.sitkNearestNeighbor if labels else sitk.sitkLinear
    return sitk.GetArrayFromImage(sitk.Resample(image, reference, identity, how))


def test_the_template_comes_back_near_what_everybody_was_made_from(group, template):
    truth = sitk.GetArrayFromImage(group[0])
    inside = truth > 60
    found, first = (
        np.corrcoef(on(each, group[0])[inside], truth[inside])[0, 1] for each in (template.image, template.affine_mean)
    )
    assert found > 0.98 and 1 - found < 0.4 * (1 - first)
    assert template.report["sharpness"]["template"] > 1.04 * template.report["sharpness"]["affine_mean"]


def test_labels_are_those_of_the_truth_and_changes_get_smaller(group, template):
    found = dice_of_each(on(template.labels, group[1], labels=True), sitk.GetArrayFromImage(group[1]))
    assert min(found.values()) > 0.93
    assert [row["round"] for row in template.changes] == [0, 1, 2]
    assert template.changes[2]["intensity_change"] < 0.3 * template.changes[1]["intensity_change"]


def test_nobody_is_favoured(template):
    """Everybody's mean way out of the template is none at all, and each transform has its inverse."""
    points = np.random.default_rng(0).uniform(-18, 18, (50, 2)).tolist()
    ends = []
    for _, person in template.registrations():
        there = [person.transform().TransformPoint(point) for point in points]
        back = [person.inverse_transform().TransformPoint(point) for point in there]
        assert np.linalg.norm(np.subtract(back, points), axis=1).max() < 0.1
        assert person.report["folding"]["share"] == 0
        ends.append(np.subtract(there, points))
    assert np.linalg.norm(ends, axis=-1).mean() > 0.5
    assert np.linalg.norm(np.mean(ends, axis=0), axis=-1).max() < 0.1  # mm


def test_the_order_of_people_does_not_matter(group, template):
    names = list(reversed(group[2]))
    other = build_template({name: group[2][name] for name in names}, **QUICK)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(other.image), sitk.GetArrayFromImage(template.image))
    assert other.names == tuple(names)


def test_what_is_done_is_not_done_again_unless_something_changed(group, tmp_path, monkeypatch):
    from DiffuseMorphCore.registration.template import rounds

    done = []
    real = rounds.register
    monkeypatch.setattr(rounds, "register", lambda *images, **options: done.append(1) or real(*images, **options))
    people = dict(list(group[2].items())[:3])
    options = QUICK | {"folder": tmp_path / "kept"}
    with pytest.raises(Cancelled):
        build_template(people, progress=lambda stage, fraction: len(done) < 2, **options)
    assert 0 < len(done) <= 2
    first = build_template(people, **options)
    # Only the one that was stopped in its midst began twice.
    assert len(done) in (6, 7)
    done.clear()
    again = build_template(people, **options)
    assert not done
    np.testing.assert_array_equal(sitk.GetArrayFromImage(first.image), sitk.GetArrayFromImage(again.image))
    build_template(people, **options | {"rounds": 3})
    assert len(done) == 3  # the round that is new
    done.clear()
    build_template(people | {"a": group[2]["e"]}, **options)
    assert len(done) == 6


def test_sizes_and_turns_of_people_are_averaged(group):
    """Of two people, one 20 % larger and turned, the template has the mean size and turn, whoever comes first."""
    image = group[0]
    ways = []
    for scale, angle in ((1.2, 0.15), (1 / 1.2, -0.15), (1.0, 0.0)):
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        ways.append(affine_transform(turn, np.zeros(2)))
    people = [sitk.Resample(image, image, way, sitk.sitkLinear) for way in ways]
    found = build_template(people, rounds=0, align="affine", threads=1)
    inside = sitk.GetArrayFromImage(image) > 60
    assert np.corrcoef(on(found.image, image)[inside], sitk.GetArrayFromImage(image)[inside])[0, 1] > 0.97


def test_the_mean_of_linear_transforms_is_that_of_the_group():
    random = np.random.default_rng(1)
    maps = [
        affine_transform(np.eye(3) + 0.2 * random.normal(size=(3, 3)), random.normal(size=3) * 30) for _ in range(4)
    ]
    inverse = mean_transform([each.GetInverse() for each in maps])
    there = mean_transform(maps)
    for one, other in zip(linear_map(there), linear_map(inverse.GetInverse())):
        np.testing.assert_allclose(one, other, atol=1e-6)
    double = affine_transform(2 * np.eye(2), np.zeros(2))
    matrix, _ = linear_map(mean_transform([double, affine_transform(0.5 * np.eye(2), np.zeros(2))]))
    np.testing.assert_allclose(matrix, np.eye(2), atol=1e-9)


def test_votes_go_to_the_most_frequent_and_at_a_draw_to_the_smallest():
    values = np.array([[1, 3, 0], [2, 3, 7], [2, 1, 7], [1, 0, 7]])
    np.testing.assert_array_equal(most_frequent(values), [1, 3, 7])


def test_people_that_make_no_group_are_refused_in_a_sentence(group, pair_3d, tmp_path):
    people = group[2]
    for images, options, text in (
        ({"a": people["a"]}, {}, "at least two people"),
        ({"a": people["a"], "b": pair_3d[0]}, {}, "'a' is 2-D and that of 'b' 3-D"),
        (people, {"rounds": -1}, "The option rounds is '-1'"),
        (people, {"spacing": "fine"}, "The option spacing is 'fine'"),
        (people, {"labels": {"a": group[3]["a"]}}, "no pair of an image and labels for 'b'"),
    ):
        with pytest.raises(DiffuseMorphError, match=text):
            build_template(images, **QUICK | options)
    with pytest.raises(DiffuseMorphError, match="There is no option fill"):
        build_template(people, fill=3)
    assert [person.name for person in people_of([people["a"], people["b"]])] == ["person_1", "person_2"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "needs a first line"),
        ("file\na.nii.gz\n", "column 'image'"),
        ("image\nmissing.nii.gz\n", "no file .*missing.nii.gz', line 2"),
        ("image,labels\na.nii.gz,\n", "In line 2 .* 'labels' is empty"),
        ("name,image\nx,a.nii.gz\nx,a.nii.gz\n", "'x' comes twice"),
    ],
)
def test_tables_that_say_too_little_are_refused(group, tmp_path, text, says):
    write_image(group[0], tmp_path / "a.nii.gz")
    (tmp_path / "people.csv").write_text(text)
    with pytest.raises(DiffuseMorphError, match=says):
        read_table(tmp_path / "people.csv")
