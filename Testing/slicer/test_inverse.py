"""What lies under the output transform goes the inverse way: right however the moving scan is turned or mirrored."""

import numpy as np
import pytest

FLIP = np.diag([-1.0, -1.0, 1.0])
AXES = {"x": 0, "y": 1, "z": 2}


def turn(axis, degrees):
    angle, matrix = np.deg2rad(degrees), np.eye(3)
    first, second = [k for k in range(3) if k != AXES[axis]]
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def mirror(axis):
    return np.diag([-1.0 if k == AXES[axis] else 1.0 for k in range(3)])


CASES = {
    f"turned {degrees} about {axis}": (turn(axis, degrees), (5.0, -7.0, 3.0))
    for degrees in (60, 90, 180)
    for axis in AXES
}
CASES |= {f"mirrored {axis}": (mirror(axis), (0.0, 0.0, 0.0)) for axis in AXES}
CASES |= {
    "as it is": (np.eye(3), (0.0, 0.0, 0.0)),
    "shifted": (np.eye(3), (400.0, -250.0, 90.0)),
    "turned, shifted and larger": (1.2 * turn("x", 90) @ turn("z", 40), (400.0, 0.0, -300.0)),
}


@pytest.fixture(params=list(CASES))
def linear(request):
    matrix, shift = CASES[request.param]
    return matrix, np.array(shift)


def bent_registration(fixed, alignment):
    """A registration with a smooth field of some 6 mm in closed form that vanishes at the border."""
    import torch

    from DiffuseMorphCore.registration import Grid, Registration
    from DiffuseMorphCore.samplers import EtaPath

    grid = Grid.of(fixed.image)
    waves = np.ix_(*(np.sin(np.pi * np.linspace(0, 1, length)) for length in grid.shape))
    bump = torch.from_numpy((waves[0] * waves[1] * waves[2]).astype(np.float32))
    voxels = torch.stack([2.0 * bump, -2.5 * bump, 3.0 * bump])
    keyframes = torch.stack([0.0 * voxels, voxels])
    return Registration(fixed.image, fixed.image, alignment, EtaPath((0.0, 1.0), keyframes, grid), grid, {})


def affine(matrix, shift):
    """The map as Slicer has it (RAS) for SimpleITK (LPS)."""
    import SimpleITK as sitk

    transform = sitk.AffineTransform(3)
    transform.SetMatrix((FLIP @ matrix @ FLIP).ravel().tolist())
    transform.SetTranslation((FLIP @ shift).tolist())
    return transform


def both_ways(node):
    import vtk

    there, back = vtk.vtkGeneralTransform(), vtk.vtkGeneralTransform()
    node.GetTransformFromWorld(there)
    node.GetTransformToWorld(back)
    return there, back


def fixed_points(fixed, margin=2.0):
    size = np.array(fixed.image.GetSize())
    shares = np.random.default_rng(3).uniform(0.0, 1.0, (60, 3))
    return [
        FLIP @ fixed.image.TransformContinuousIndexToPhysicalPoint((margin + share * (size - 1 - 2 * margin)).tolist())
        for share in shares
    ]


def check_against_the_core(node, registration, points, tolerance):
    there, back = both_ways(node)
    forward, inverse = registration.transform(1.0), registration.inverse_transform(1.0)
    for point in points:
        moved = np.array(there.TransformPoint(point))
        np.testing.assert_allclose(moved, FLIP @ forward.TransformPoint((FLIP @ point).tolist()), atol=tolerance)
        returned = back.TransformPoint(moved)
        np.testing.assert_allclose(returned, point, atol=0.02)
        np.testing.assert_allclose(returned, FLIP @ inverse.TransformPoint((FLIP @ moved).tolist()), atol=0.1)


@pytest.fixture
def delivered(module, scene, linear):
    """A transform node over a closed-form registration, and the registration."""
    import slicer
    from ball_volumes import add_ball
    from DiffuseMorphSlicerLib.EtaTransform import EtaTransform
    from DiffuseMorphSlicerLib.FieldTrajectory import FieldTrajectory
    from DiffuseMorphSlicerLib.VolumeImage import VolumeImage

    fixed = VolumeImage.fromNode(add_ball("Fixed"))
    registration = bent_registration(fixed, affine(*linear))
    live = EtaTransform(FieldTrajectory.ofRegistration(registration, fixed, fixed), 1.0)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "Transform")
    node.SetAndObserveTransformFromParent(live.transform)
    return node, registration, fixed


def test_points_go_there_and_back_as_in_the_core(delivered):
    node, registration, fixed = delivered
    check_against_the_core(node, registration, fixed_points(fixed), 1e-3)


def test_markups_and_bounds_under_the_transform(delivered, linear):
    import slicer
    import vtk
    from ball_volumes import add_ball

    node, registration, fixed = delivered
    matrix, shift = linear
    inverse = registration.inverse_transform(1.0)
    markup = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    points = [matrix @ point + shift for point in fixed_points(fixed)]
    for point in points:
        markup.AddControlPoint(vtk.vtkVector3d(*point))
    markup.SetAndObserveTransformNodeID(node.GetID())
    for index, point in enumerate(points):
        world = [0.0, 0.0, 0.0]
        markup.GetNthControlPointPositionWorld(index, world)
        np.testing.assert_allclose(world, FLIP @ inverse.TransformPoint((FLIP @ point).tolist()), atol=0.1)
    # The corners of the moving volume lie where the deformation is nothing.
    moving = add_ball("Moving")
    local = np.eye(4)
    local[:3, :3], local[:3, 3] = matrix, shift
    geometry = vtk.vtkMatrix4x4()
    moving.GetIJKToRASMatrix(geometry)
    moving.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(local @ slicer.util.arrayFromVTKMatrix(geometry)))
    moving.SetAndObserveTransformNodeID(node.GetID())
    bounds, expected = [0.0] * 6, [0.0] * 6
    moving.GetRASBounds(bounds)
    fixed.node.GetRASBounds(expected)
    np.testing.assert_allclose(bounds, expected, atol=6.0)


@pytest.mark.parametrize("extension", [".h5", ".tfm"])
def test_files_keep_both_parts(module, scene, tmp_path, extension):
    import SimpleITK as sitk
    import slicer
    from ball_volumes import add_ball
    from DiffuseMorphSlicerLib.EtaTransform import EtaTransform
    from DiffuseMorphSlicerLib.FieldTrajectory import FieldTrajectory
    from DiffuseMorphSlicerLib.OutputTransform import OutputTransform
    from DiffuseMorphSlicerLib.VolumeImage import VolumeImage

    matrix, shift = CASES["turned, shifted and larger"]
    fixed = VolumeImage.fromNode(add_ball("Fixed", geometry="left-handed"))
    registration = bent_registration(fixed, affine(matrix, np.array(shift)))
    live = EtaTransform(FieldTrajectory.ofRegistration(registration, fixed, fixed), 1.0)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "Transform")
    node.SetAndObserveTransformFromParent(live.transform)
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(tmp_path / f"transform{extension}"))
    assert storage.WriteData(node)
    copy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "Copy")
    assert storage.ReadData(copy)
    # Slicer reads grids with cubic interpolation.
    OutputTransform.deformation(copy).SetInterpolationModeToLinear()
    check_against_the_core(copy, registration, fixed_points(fixed), 1e-3)
    read, core = sitk.ReadTransform(str(tmp_path / f"transform{extension}")), registration.transform(1.0)
    for point in fixed_points(fixed):
        np.testing.assert_allclose(
            read.TransformPoint((FLIP @ point).tolist()), core.TransformPoint((FLIP @ point).tolist()), atol=1e-3
        )


def test_a_moving_scan_under_a_turned_parent_and_what_is_exported(logic):
    """The whole way: registered under a parent that turns by 90 degrees; live, exported and exported inverse agree."""
    from ball_volumes import OPTIONS, add_ball

    parent = np.eye(4)
    parent[:3, :3], parent[:3, 3] = turn("z", 90) @ turn("x", 90), (40.0, -20.0, 10.0)
    fixed, moving = add_ball("Fixed"), add_ball("Moving", parent[:3, 3] + [3, -2, 1], 13, parent=parent)
    result = logic.register(fixed, moving, **OPTIONS)
    exported, inverse = logic.exporter().transform(), logic.exporter().transform(inverse=True)
    toParent = np.linalg.inv(parent)
    (there, back), (exportedThere, exportedBack) = both_ways(result.transformNode), both_ways(exported)
    inverseThere, inverseBack = both_ways(inverse)
    core = result.registration.transform(1.0)
    for point in np.random.default_rng(2).uniform(-9, 9, (25, 3)):
        moved = np.array(there.TransformPoint(point))
        world = FLIP @ core.TransformPoint((FLIP @ point).tolist())
        np.testing.assert_allclose(moved, (toParent @ [*world, 1])[:3], atol=0.02)
        np.testing.assert_allclose(back.TransformPoint(moved), point, atol=0.02)
        np.testing.assert_allclose(exportedThere.TransformPoint(point), moved, atol=1e-4)
        np.testing.assert_allclose(exportedBack.TransformPoint(moved), point, atol=0.02)
        np.testing.assert_allclose(inverseThere.TransformPoint(world), point, atol=0.3)
        np.testing.assert_allclose(inverseThere.TransformPoint(inverseBack.TransformPoint(point)), point, atol=0.02)
