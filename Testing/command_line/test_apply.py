"""`diffusemorph apply` from files to files: every kind of file takes the right way, and all are written or none."""

from __future__ import annotations

import os

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore import load_result
from DiffuseMorphCore.command_line import main
from DiffuseMorphCore.images import dice, write_image


@pytest.fixture(scope="module")
def place(pair_3d, tmp_path_factory):
    """A folder with a, b, c (bent differently), the results a_b and b_c, and what is carried."""
    folder = tmp_path_factory.mktemp("apply")
    fixed, moving = pair_3d
    third = sitk.Resample(moving, moving, sitk.TranslationTransform(3, (6.0, -3.0, 2.0)), sitk.sitkLinear)
    for name, image in zip("abc", (fixed, moving, third)):
        write_image(sitk.Cast(10 * image, sitk.sitkInt16), folder / f"{name}.nii.gz")
        labels = sitk.Cast(image > 60, sitk.sitkUInt8) + sitk.Cast(image > 150, sitk.sitkUInt8)
        write_image(labels, folder / f"{name}_labels.nii.gz")
    quick = ["--model", "none", "--device", "cpu", "--align", "rigid", "--refine", "20"]
    for one, other in ("ab", "bc"):
        names = [str(folder / f"{each}.nii.gz") for each in (one, other)]
        assert main(["register", *names, "-o", str(folder / f"{one}_{other}"), *quick]) == 0
    return folder


def read(path) -> sitk.Image:
    return sitk.ReadImage(str(path))


def array(path) -> np.ndarray:
    return sitk.GetArrayFromImage(read(path)).astype(float)


def apply(place, *arguments, results=("a_b",)) -> int:
    return main(["apply", *(str(place / each) for each in results), *map(str, arguments)])


def test_image_and_labels_arrive_as_register_delivers_them(place, tmp_path, capsys):
    assert apply(place, "--to", place / "b.nii.gz", place / "b_labels.nii.gz", "-o", tmp_path / "out") == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["b_labels_moved.nii.gz", "b_moved.nii.gz"]
    np.testing.assert_array_equal(array(tmp_path / "out" / "b_moved.nii.gz"), array(place / "a_b" / "moved.nii.gz"))
    text = capsys.readouterr().out
    assert "b_moved.nii.gz (linear interpolation)" in text and "b_labels_moved.nii.gz (label interpolation)" in text
    before, after = (
        dice(read(place / "a_labels.nii.gz"), read(path))["mean"]
        for path in (place / "b_labels.nii.gz", tmp_path / "out" / "b_labels_moved.nii.gz")
    )
    assert after > before + 0.02


def test_a_chain_brings_the_last_image_onto_the_first_grid(place, tmp_path):
    out = tmp_path / "c_on_a.nii.gz"
    assert apply(place, "--to", place / "c.nii.gz", "-o", out, results=("a_b", "b_c")) == 0
    target = array(place / "a.nii.gz")
    assert np.abs(array(out) - target).mean() < 0.4 * np.abs(array(place / "c.nii.gz") - target).mean()


def test_points_take_the_way_back_by_themselves(place, tmp_path):
    """Points of c that belong to points of a come out there; with --inverse those of a come out on c."""
    points = np.random.default_rng(0).uniform(-20, 20, (30, 3))
    forth = [load_result(place / name).transform() for name in ("a_b", "b_c")]
    there = [forth[1].TransformPoint(forth[0].TransformPoint(point)) for point in points.tolist()]
    for name, array_ in (("on_a", points), ("on_c", there)):
        rows = "".join(",".join(map(repr, row)) + "\n" for row in np.asarray(array_).tolist())
        (tmp_path / f"{name}.csv").write_text(f"x,y,z\n{rows}")
    chain = ("a_b", "b_c")
    assert apply(place, "--to", tmp_path / "on_c.csv", "-o", tmp_path / "1.csv", results=chain) == 0
    assert apply(place, "--inverse", "--to", tmp_path / "on_a.csv", "-o", tmp_path / "2.csv", results=chain) == 0
    found = [np.loadtxt(tmp_path / f"{n}.csv", delimiter=",", skiprows=1) for n in (1, 2)]
    errors = np.linalg.norm(found[0] - points, axis=1)
    assert errors.mean() < 0.3 and errors.max() < 1.5  # mm; the voxels are 2 mm
    np.testing.assert_allclose(found[1], there, atol=1e-6)


def test_points_in_ras_come_out_in_ras(place, tmp_path):
    (tmp_path / "lps.csv").write_text("x,y,z\n5,-8,10\n")
    (tmp_path / "ras.csv").write_text("x,y,z\n-5,8,10\n")
    assert apply(place, "--to", tmp_path / "lps.csv", "-o", tmp_path / "1.csv") == 0
    assert apply(place, "--to", tmp_path / "ras.csv", "-o", tmp_path / "2.csv", "--points-in", "RAS") == 0
    one, two = (np.loadtxt(tmp_path / f"{n}.csv", delimiter=",", skiprows=1) for n in (1, 2))
    np.testing.assert_allclose(one * [-1, -1, 1], two)
    expected = load_result(place / "a_b").warp_points([5.0, -8.0, 10.0])
    np.testing.assert_allclose(one, expected, atol=1e-9)


def test_the_inverse_brings_the_fixed_image_onto_the_moving_grid(place, tmp_path):
    out = tmp_path / "a_on_b.nii.gz"
    assert apply(place, "--inverse", "--to", place / "a.nii.gz", "-o", out) == 0
    target = array(place / "b.nii.gz")
    assert np.abs(array(out) - target).mean() < 0.6 * np.abs(array(place / "a.nii.gz") - target).mean()
    other = tmp_path / "by_the_file.nii.gz"
    assert apply(place, "--to", place / "a.nii.gz", "-o", other, results=("a_b/inverse_transform.h5",)) == 0
    np.testing.assert_allclose(array(other), array(out), atol=2)  # of 2000


def test_eta_follows_the_result_unless_it_is_given(place, tmp_path):
    result = load_result(place / "a_b")
    assert apply(place, "--to", place / "b.nii.gz", "-o", tmp_path / "half.nii.gz", "--eta", "0.5") == 0
    np.testing.assert_array_equal(array(tmp_path / "half.nii.gz"), sitk.GetArrayFromImage(result.warp(eta=0.5)))


def test_frames_vectors_and_colours_move_each_by_itself(place, tmp_path):
    moving = read(place / "b.nii.gz")
    frames = sitk.JoinSeries([moving, moving * 2, moving + 7])
    frames.SetSpacing((*moving.GetSpacing(), 2.5))
    vectors = sitk.Compose([sitk.Cast(moving, sitk.sitkFloat32)] * 2 + [sitk.Cast(moving * 2, sitk.sitkFloat32)])
    colours = sitk.Compose([sitk.Cast(moving / 10, sitk.sitkUInt8)] * 3)
    for name, image in (("frames.nii.gz", frames), ("vectors.nrrd", vectors), ("colours.nrrd", colours)):
        write_image(image, tmp_path / name)
    names = [tmp_path / name for name in ("frames.nii.gz", "vectors.nrrd", "colours.nrrd")]
    assert apply(place, "--to", *names, "-o", tmp_path / "out") == 0
    one = array(place / "a_b" / "moved.nii.gz")
    found = read(tmp_path / "out" / "frames_moved.nii.gz")
    assert found.GetSpacing()[3] == 2.5 and found.GetSize()[3] == 3 and found.GetPixelID() == sitk.sitkInt16
    np.testing.assert_array_equal(sitk.GetArrayFromImage(found)[0], one)
    np.testing.assert_allclose(sitk.GetArrayFromImage(found)[1], 2 * one, atol=1.01)
    vector = sitk.GetArrayFromImage(read(tmp_path / "out" / "vectors_moved.nrrd"))
    np.testing.assert_allclose(vector[..., 2], 2 * vector[..., 0], rtol=1e-5)
    np.testing.assert_allclose(vector[..., 1], one, atol=1.01)
    colour = read(tmp_path / "out" / "colours_moved.nrrd")
    assert colour.GetNumberOfComponentsPerPixel() == 3 and colour.GetPixelIDTypeAsString().startswith("vector of 8-bit")


def test_a_segmentation_keeps_the_names_of_its_segments(place, tmp_path):
    labels = read(place / "b_labels.nii.gz")
    told = {"Segment0_Name": "skin", "Segment0_LabelValue": "1", "Segment0_Extent": "3 9 3 9 3 9"}
    for key, value in told.items():
        labels.SetMetaData(key, value)
    sitk.WriteImage(labels, str(tmp_path / "b.seg.nrrd"))
    assert apply(place, "--to", tmp_path / "b.seg.nrrd", "-o", tmp_path / "out") == 0
    moved = read(tmp_path / "out" / "b_moved.seg.nrrd")
    assert moved.GetMetaData("Segment0_Name") == "skin"
    assert moved.GetMetaData("Segment0_Extent") == "0 39 0 35 0 31"
    assert set(np.unique(sitk.GetArrayFromImage(moved))) == {0, 1, 2}


def test_another_grid_is_named_by_like(place, tmp_path):
    like = sitk.Shrink(read(place / "a.nii.gz"), [2, 2, 2])
    write_image(like, tmp_path / "like.nrrd")
    arguments = ["--to", place / "b.nii.gz", "-o", tmp_path / "out.nrrd", "--like", tmp_path / "like.nrrd"]
    assert apply(place, *arguments) == 0
    found = read(tmp_path / "out.nrrd")
    assert found.GetSize() == like.GetSize() and found.GetSpacing() == like.GetSpacing()


def test_files_without_output_go_into_the_current_folder(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert apply(place, "--to", place / "b.nii.gz") == 0
    assert os.listdir(tmp_path) == ["b_moved.nii.gz"]


@pytest.mark.parametrize(
    ("results", "arguments", "text"),
    [
        (("a_b",), ["--to", "gone.nii.gz"], "There is no file or folder 'gone.nii.gz'"),
        (("a_b",), ["--to", "{p}/b.nii.gz", "{p}/a_b/../b.nii.gz"], "would both become"),
        (("a_b",), ["--to", "{p}/b.nii.gz", "-o", "{p}/b.nii.gz", "--overwrite"], "is one of the inputs"),
        (("a_b",), ["--to", "{p}/b.nii.gz", "-o", "full.nii.gz"], "exists: name another output, or give --overwrite"),
        (("a_b",), ["--to", "{p}/b.nii.gz", "{p}/a.nii.gz", "-o", "full.nii.gz"], "is a file: name a folder"),
        (("a_b",), ["--to", "p.csv", "-o", "q.vtk"], "stay in their format"),
        (("a_b",), ["--to", "{p}/b.nii.gz", "-o", "q.csv"], "cannot become points"),
        (("a_b",), ["--to", "p2.csv"], "are 2-D, but the transform is 3-D"),
        (("a_b",), ["--to", "flat.png"], "is 2-D, but the transform is 3-D"),
        (("a_b/transform.h5",), ["--to", "{p}/b.nii.gz", "--eta", "0.5"], "one eta only"),
        (("shift.tfm",), ["--to", "{p}/b.nii.gz"], "give --like IMAGE"),
        ((".",), ["--to", "{p}/b.nii.gz"], "holds no result of a registration"),
        (("a_b",), ["--to", "p.csv", "damaged.csv", "-o", "new"], "Line 1 of 'damaged.csv'"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_written(
    place, tmp_path, monkeypatch, capsys, results, arguments, text
):
    monkeypatch.chdir(tmp_path)
    write_image(sitk.Image(9, 9, sitk.sitkUInt8), "flat.png")
    (tmp_path / "full.nii.gz").write_text("mine")
    (tmp_path / "p.csv").write_text("1,2,3\n")
    (tmp_path / "p2.csv").write_text("1,2\n")
    (tmp_path / "damaged.csv").write_text("1,2,x\n")
    sitk.WriteTransform(sitk.TranslationTransform(3), "shift.tfm")
    before = sorted(os.listdir(tmp_path))
    results = [each if each in (".", "shift.tfm") else str(place / each) for each in results]
    assert main(["apply", *results, *(each.format(p=place) for each in arguments)]) == 1
    error = capsys.readouterr().err
    assert text in error and error.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == before and (tmp_path / "full.nii.gz").read_text() == "mine"


def test_python_applies_the_same(place):
    result = load_result(place / "a_b")
    moved = result.apply(place / "b.nii.gz")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(moved), array(place / "a_b" / "moved.nii.gz"))
    labels = result.apply(place / "b_labels.nii.gz")
    assert set(np.unique(sitk.GetArrayFromImage(labels))) == {0, 1, 2}
    points = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    np.testing.assert_allclose(result.apply(points), result.warp_points(points))
    there = result.apply(points, inverse=True)
    np.testing.assert_allclose(there[0], result.transform().TransformPoint(points[0].tolist()))
    back = result.apply(place / "a.nii.gz", inverse=True, like=place / "b.nii.gz")
    assert back.GetSize() == read(place / "b.nii.gz").GetSize()


def test_a_chain_becomes_one_transform_of_ants(place, tmp_path):
    """One field on the first image's grid moves the last image as the chain does."""
    assert apply(place, "--format", "ants", "-o", tmp_path / "out", results=("a_b", "b_c")) == 0
    names = ["0GenericAffine.mat", "1InverseWarp.nii.gz", "1Warp.nii.gz"]
    assert sorted(os.listdir(tmp_path / "out")) == names
    out = tmp_path / "c.nii.gz"
    assert apply(place, "--to", place / "c.nii.gz", "-o", out, results=("a_b", "b_c")) == 0
    files = [str(tmp_path / "out" / name) for name in ("1Warp.nii.gz", "0GenericAffine.mat")]
    like = ["--like", str(place / "a.nii.gz")]
    assert main(["apply", *files, "--to", str(place / "c.nii.gz"), "-o", str(tmp_path / "d.nii.gz"), *like]) == 0
    difference = np.abs(array(tmp_path / "d.nii.gz") - array(out))
    assert difference.max() < 3  # of 2000


def test_register_writes_the_files_of_ants(place, tmp_path):
    names = [str(place / f"{each}.nii.gz") for each in "ab"]
    quick = ["--model", "none", "--device", "cpu", "--align", "rigid", "--refine", "1"]
    assert main(["register", *names, "-o", str(tmp_path / "out"), "--format", "ants", *quick]) == 0
    found = os.listdir(tmp_path / "out")
    assert {"0GenericAffine.mat", "1Warp.nii.gz", "1InverseWarp.nii.gz", "deformation.npz"} <= set(found)
    assert "transform.h5" not in found
    # A second one in other files leaves none of these behind.
    assert main(["register", *names, "-o", str(tmp_path / "out"), "--overwrite", *quick]) == 0
    assert "1Warp.nii.gz" not in os.listdir(tmp_path / "out")
