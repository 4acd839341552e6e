"""Files of points: what 3D Slicer, VTK and nibabel write is read in LPS, and written again with other positions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.points import is_point_file, landmarks, read_points

POINTS = np.array([[1.0, -2.0, 3.5], [40.0, 5.0, -6.25]])
SHIFT = np.array([10.0, 20.0, -30.0])
RAS = np.array([-1.0, -1.0, 1.0])


def markups(points, space="LPS", kind="Fiducial", **more) -> str:
    control = [
        {"id": str(n), "label": f"P {n}", "position": list(point), "positionStatus": "defined"}
        for n, point in enumerate(points)
    ]
    control.append({"id": "x", "label": "not placed", "positionStatus": "undefined"})
    markup = {"type": kind, "coordinateSystem": space, "controlPoints": control, "measurements": [{"name": "length"}]}
    return json.dumps({"@schema": "x", "markups": [markup | more]})


@pytest.mark.parametrize("space", ["LPS", "RAS"])
def test_markups_are_read_in_their_own_space_and_written_in_it(tmp_path, space):
    path = tmp_path / "a.mrk.json"
    path.write_text(markups(POINTS * (RAS if space == "RAS" else 1), space, locked=True))
    found = read_points(path)
    np.testing.assert_allclose(found.points, POINTS)
    assert found.names == ("P 0", "P 1")
    found.write(tmp_path / "b.mrk.json", found.points + SHIFT, None)
    np.testing.assert_allclose(read_points(tmp_path / "b.mrk.json").points, POINTS + SHIFT)
    written = json.loads((tmp_path / "b.mrk.json").read_text(encoding="utf-8"))["markups"][0]
    assert written["coordinateSystem"] == space and written["locked"] is True
    assert "measurements" not in written and len(written["controlPoints"]) == 3


def test_a_box_is_refused_because_it_does_not_bend(tmp_path):
    path = tmp_path / "a.mrk.json"
    path.write_text(markups(POINTS, kind="ROI"))
    with pytest.raises(DiffuseMorphError, match="of the kind ROI, which does not stay one"):
        read_points(path)


@pytest.mark.parametrize(
    ("header", "space"), [("# CoordinateSystem = LPS\n", "LPS"), ("# CoordinateSystem = 0\n", "RAS"), ("", "LPS")]
)
def test_fcsv_keeps_its_other_columns(tmp_path, header, space):
    path = tmp_path / "a.fcsv"
    columns = "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
    rows = "".join(
        f'{n},{x},{y},{z},0,0,0,1,1,1,0,"a, {n}",,\n'
        for n, (x, y, z) in enumerate(POINTS * (RAS if space == "RAS" else 1))
    )
    path.write_text(f"# Markups fiducial file version = 5.0\n{header}{columns}\n{rows}")
    found = read_points(path)
    np.testing.assert_allclose(found.points, POINTS)
    assert found.names == ("a, 0", "a, 1")
    found.write(tmp_path / "b.fcsv", found.points + SHIFT, None)
    again = read_points(tmp_path / "b.fcsv")
    np.testing.assert_allclose(again.points, POINTS + SHIFT)
    assert again.names == found.names


@pytest.mark.parametrize("space", ["LPS", "RAS"])
def test_a_table_keeps_its_columns_and_its_space(tmp_path, space):
    path = tmp_path / "a.csv"
    path.write_text("name;z;Y;x;t\n" + "".join(f"p{n};{z};{y};{x};7\n" for n, (x, y, z) in enumerate(POINTS)))
    found = read_points(path, space)
    np.testing.assert_allclose(found.points, POINTS * (RAS if space == "RAS" else 1))
    assert found.names == ("p0", "p1")
    found.write(tmp_path / "b.csv", found.points + SHIFT, None)
    np.testing.assert_allclose(read_points(tmp_path / "b.csv", space).points, found.points + SHIFT)
    assert (tmp_path / "b.csv").read_text().startswith("name;z;Y;x;t\np0;")


def test_a_table_without_names_and_one_of_two_dimensions(tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3\n\n4,5,6\n")
    np.testing.assert_array_equal(read_points(tmp_path / "a.csv").points, [[1, 2, 3], [4, 5, 6]])
    (tmp_path / "b.csv").write_text("x,y\n1.5,2\n")
    np.testing.assert_array_equal(read_points(tmp_path / "b.csv").points, [[1.5, 2]])


@pytest.mark.parametrize("extension", [".vtk", ".vtp", ".ply", ".stl", ".obj"])
@pytest.mark.parametrize("space", ["LPS", "RAS"])
def test_surfaces_move_and_keep_their_triangles(tmp_path, extension, space):
    vtk = pytest.importorskip("vtkmodules.all", reason="the package vtk is not installed")
    from DiffuseMorphCore.points.surfaces import _READERS

    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(10, 20, 30)
    sphere.SetRadius(5)
    sphere.Update()
    writer = getattr(vtk, _READERS[extension][1])()
    writer.SetInputData(sphere.GetOutput())
    writer.SetFileName(str(tmp_path / f"a{extension}"))
    writer.Write()
    found = read_points(tmp_path / f"a{extension}", space)
    centre = np.array([10, 20, 30]) * (RAS if space == "RAS" else 1)
    np.testing.assert_allclose(np.linalg.norm(found.points - centre, axis=1), 5, atol=1e-3)
    found.write(tmp_path / f"b{extension}", 2 * found.points, None)
    again = read_points(tmp_path / f"b{extension}", space)
    np.testing.assert_allclose(np.linalg.norm(again.points - 2 * centre, axis=1), 10, atol=1e-3)
    reader = getattr(vtk, _READERS[extension][0])()
    reader.SetFileName(str(tmp_path / f"b{extension}"))
    reader.Update()
    mass = vtk.vtkMassProperties()
    mass.SetInputData(reader.GetOutputDataObject(0))
    before = vtk.vtkMassProperties()
    before.SetInputData(sphere.GetOutput())
    assert mass.GetSurfaceArea() == pytest.approx(4 * before.GetSurfaceArea(), rel=1e-4)


def test_a_surface_that_names_its_space_is_believed(tmp_path):
    vtk = pytest.importorskip("vtkmodules.all", reason="the package vtk is not installed")
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(10, 20, 30)
    writer = vtk.vtkPolyDataWriter()
    writer.SetHeader("3D Slicer output. SPACE=RAS")
    writer.SetInputConnection(sphere.GetOutputPort())
    writer.SetFileName(str(tmp_path / "a.vtk"))
    writer.Write()
    found = read_points(tmp_path / "a.vtk", "LPS")
    np.testing.assert_allclose(found.points.mean(axis=0), [-10, -20, 30], atol=0.1)
    found.write(tmp_path / "b.vtk", found.points, None)
    np.testing.assert_allclose(read_points(tmp_path / "b.vtk").points, found.points, atol=1e-4)
    assert b"SPACE=RAS" in (tmp_path / "b.vtk").read_bytes()[:100]


@pytest.mark.parametrize("extension", [".trk", ".tck"])
def test_streamlines_are_in_their_place(tmp_path, extension):
    nibabel = pytest.importorskip("nibabel", reason="the package nibabel is not installed")
    lines = [POINTS.astype(np.float32), (POINTS[:1] + 1).astype(np.float32), np.vstack([POINTS, POINTS[:1]])]
    tractogram = nibabel.streamlines.Tractogram([line * RAS for line in lines], affine_to_rasmm=np.eye(4))
    nibabel.streamlines.save(tractogram, str(tmp_path / f"a{extension}"))
    found = read_points(tmp_path / f"a{extension}")
    np.testing.assert_allclose(found.points, np.vstack(lines), atol=1e-3)
    grid = Grid((11, 12, 13), (1.0, 2.0, 3.0), (5.0, 6.0, 7.0), (1, 0, 0, 0, 0, 1, 0, -1, 0))
    found.write(tmp_path / f"b{extension}", found.points + SHIFT, grid)
    again = nibabel.streamlines.load(str(tmp_path / f"b{extension}"))
    assert [len(line) for line in again.streamlines] == [2, 1, 3]
    np.testing.assert_allclose(np.vstack(again.streamlines) * RAS, np.vstack(lines) + SHIFT, atol=1e-2)
    if extension == ".trk":
        np.testing.assert_array_equal(again.header["dimensions"], [11, 12, 13])
        corner = again.header["voxel_to_rasmm"] @ [10, 0, 0, 1]
        np.testing.assert_allclose(corner[:3] * RAS, grid.points(np.array([[10, 0, 0]]))[0], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.mrk.json", "{}", "not a markups file"),
        ("a.mrk.json", "nonsense", "not a markups file"),
        ("a.fcsv", "1,2\n", "not a table of points"),
        ("a.csv", "", "is empty"),
        ("a.csv", "x,y,z\n", "holds no point"),
        ("a.csv", "x,y,z\n1,2\n", "Line 2 of"),
        ("a.csv", "x,y,z\n1,2,nan\n", "Line 2 of"),
        ("a.csv", "a,b,c\n1,2,3\n", "Line 1 of"),
        ("a.vtk", "nonsense", "no points of a surface"),
        ("a.ply", "ply\nnonsense", "no points of a surface"),
        ("a.trk", "nonsense", "no streamlines"),
        ("a.txt", "1,2,3", "is no file of points"),
    ],
)
def test_what_is_no_file_of_points_is_refused_by_name(tmp_path, name, content, text):
    (tmp_path / name).write_text(content)
    with pytest.raises(DiffuseMorphError, match=text) as refusal:
        read_points(tmp_path / name)
    assert name in str(refusal.value)


def test_a_vtk_file_of_an_image_holds_no_points(tmp_path, pair_3d):
    import SimpleITK as sitk

    sitk.WriteImage(pair_3d[0], str(tmp_path / "a.vtk"))
    assert not is_point_file(tmp_path / "a.vtk") and is_point_file(tmp_path / "b.vtk")


def test_landmarks_are_paired_by_name_else_by_order(tmp_path):
    def table(name, rows):
        (tmp_path / name).write_text(rows)
        return read_points(tmp_path / name)

    fixed = table("f.csv", "name,x,y,z\na,1,0,0\nb,2,0,0\nc,3,0,0\n")
    moving = table("m.csv", "name,x,y,z\nc,30,0,0\nd,40,0,0\na,10,0,0\n")
    one, other, names = landmarks(fixed, moving, ("fixed landmarks", "moving landmarks"))
    assert names == ("a", "c")
    np.testing.assert_array_equal(one[:, 0] * 10, other[:, 0])
    unnamed = table("u.csv", "1,0,0\n2,0,0\n3,0,0\n")
    one, other, names = landmarks(fixed, unnamed, ("fixed landmarks", "moving landmarks"))
    np.testing.assert_array_equal(one, other)
    assert names == ("a", "b", "c")
    with pytest.raises(DiffuseMorphError, match="fixed landmarks are 3 and the moving landmarks 1"):
        landmarks(fixed, table("s.csv", "1,2,3\n"), ("fixed landmarks", "moving landmarks"))
