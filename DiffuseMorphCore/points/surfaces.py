"""Surfaces and meshes, by VTK: .vtk, .vtp, .vtu, .ply, .stl and .obj."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.images import printable
from DiffuseMorphCore.points.movable import MovablePoints, factors

_READERS = {
    ".vtk": ("vtkDataSetReader", "vtkDataSetWriter"),
    ".vtp": ("vtkXMLPolyDataReader", "vtkXMLPolyDataWriter"),
    ".vtu": ("vtkXMLUnstructuredGridReader", "vtkXMLUnstructuredGridWriter"),
    ".ply": ("vtkPLYReader", "vtkPLYWriter"),
    ".stl": ("vtkSTLReader", "vtkSTLWriter"),
    ".obj": ("vtkOBJReader", "vtkOBJWriter"),
}
SURFACE_SUFFIXES = tuple(_READERS)
_SPACE = re.compile(r"SPACE\s*=\s*(LPS|RAS)", re.IGNORECASE)


def is_image_vtk(path: Path) -> bool:
    """Whether a .vtk file holds an image and no mesh."""
    with open(path, "rb") as file:
        return b"STRUCTURED_POINTS" in file.read(1024).upper()


def read_surface(path: Path, space: str) -> MovablePoints:
    """Points of a mesh: in the space that the file names, as 3D Slicer writes it (SPACE=LPS), else in ``space``.

    Normals are made anew where the mesh had some.

    Raises DiffuseMorphError where the package vtk is missing, and for a file that holds no mesh.
    """
    try:
        import vtkmodules.all as vtk
        from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    except ImportError as error:
        raise DiffuseMorphError(f"The surface '{printable(path)}' needs the package vtk: pip install vtk.") from error
    kind = path.suffix.lower()
    reader = getattr(vtk, _READERS[kind][0])()
    faults: list[str] = []
    reader.AddObserver("ErrorEvent", lambda *_: faults.append("error"))
    executive = reader.GetExecutive()
    executive.AddObserver("ErrorEvent", lambda *_: faults.append("error"))
    reader.SetFileName(str(path))
    if kind == ".vtk":
        for every in ("ReadAllScalars", "ReadAllVectors", "ReadAllNormals", "ReadAllTensors", "ReadAllFields"):
            getattr(reader, f"{every}On")()
    reader.Update()
    mesh = reader.GetOutputDataObject(0)
    if faults or not isinstance(mesh, vtk.vtkPointSet) or not mesh.GetNumberOfPoints():
        raise DiffuseMorphError(
            f"The file '{printable(path)}' holds no points of a surface that could be read: export it again."
        )
    where = _named_space(kind, reader, mesh, path) or space
    points = vtk_to_numpy(mesh.GetPoints().GetData()).astype(float)

    def write(target: Path, moved: np.ndarray, _: Any) -> None:
        changed = mesh.NewInstance()
        changed.DeepCopy(mesh)
        places = vtk.vtkPoints()
        places.SetDataType(mesh.GetPoints().GetDataType())
        number = np.float64 if mesh.GetPoints().GetDataType() == vtk.VTK_DOUBLE else np.float32
        places.SetData(numpy_to_vtk((moved * factors(where)).astype(number), deep=True))
        changed.SetPoints(places)
        if isinstance(changed, vtk.vtkPolyData) and mesh.GetPointData().GetNormals() is not None:
            changed = _with_normals(vtk, changed)
        writer = getattr(vtk, _READERS[kind][1])()
        _name_space(kind, writer, where)
        if kind in (".vtk", ".ply", ".stl"):
            writer.SetFileTypeToBinary()
        writer.SetInputDataObject(changed)
        writer.SetFileName(str(target))
        if not writer.Write():
            raise DiffuseMorphError(f"The surface '{printable(target.name)}' could not be written.")

    return MovablePoints(points * factors(where), (), write)


def _named_space(kind: str, reader: Any, mesh: Any, path: Path) -> str | None:
    """The space that a file says its points are in."""
    text = ""
    if kind in (".vtk", ".stl"):
        text = reader.GetHeader() or ""
    elif kind == ".ply":
        comments = reader.GetComments()
        text = " ".join(comments.GetValue(number) for number in range(comments.GetNumberOfValues()))
    elif kind == ".obj":
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(1024)
    elif (field := mesh.GetFieldData().GetAbstractArray("SPACE")) is not None and field.GetNumberOfValues():
        text = f"SPACE={field.GetValue(0)}"
    found = _SPACE.search(text)
    return found.group(1).upper() if found else None


def _name_space(kind: str, writer: Any, space: str) -> None:
    """Have the file say the space; VTP and VTU keep the field that says it, if there was one."""
    if kind in (".vtk", ".stl"):
        writer.SetHeader(f"SPACE={space}")
    elif kind == ".ply":
        writer.AddComment(f"SPACE={space}")


def _with_normals(vtk: Any, mesh: Any) -> Any:
    """The surface with normals of its own shape, its points in their order."""
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(mesh)
    normals.SplittingOff()
    normals.ConsistencyOff()
    normals.Update()
    found = normals.GetOutput()
    # The filter drops lines and strips' cell order; only what it computed is taken.
    mesh.GetPointData().SetNormals(found.GetPointData().GetNormals())
    return mesh
