"""Volume nodes as images: positions, parents, slices, and what is refused."""

import numpy as np
import pytest
from ball_volumes import put_under

pytestmark = pytest.mark.usefixtures("scene")

ROTATION = np.array([[0.8, -0.6, 0.0], [0.48, 0.64, -0.6], [0.36, 0.48, 0.8]])


def add_volume(shape=(5, 6, 7), axes=np.eye(3), origin=(0.0, 0.0, 0.0), dtype=np.int16, name="Volume"):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    values = np.random.default_rng(0).integers(-50, 900, shape).astype(dtype)
    slicer.util.updateVolumeFromArray(node, values)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = axes, origin
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    return node


@pytest.mark.parametrize(
    "axes",
    [
        pytest.param(np.diag([-1.0, -1.0, 1.0]), id="as-most-files"),
        pytest.param(ROTATION * [0.7, 1.5, 3.0], id="oblique-anisotropic"),
        pytest.param(ROTATION * [0.7, 1.5, -3.0], id="left-handed"),
    ],
)
@pytest.mark.parametrize("parented", [False, True])
def test_every_voxel_is_where_slicer_has_it(module, axes, parented):
    import slicer
    import vtk
    from DiffuseMorphSlicerLib.VolumeImage import VolumeImage

    node = add_volume(axes=axes, origin=(10.0, -20.0, 5.0))
    if parented:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = 1.3 * ROTATION.T, (4.0, 5.0, -6.0)
        put_under(node, matrix)
    volume = VolumeImage.fromNode(node)
    toWorld = vtk.vtkGeneralTransform()
    if parented:
        node.GetParentTransformNode().GetTransformToWorld(toWorld)
    ijkToRAS = VolumeImage.ijkToRAS(node)
    for index in [(0, 0, 0), (6, 0, 0), (0, 5, 0), (2, 3, 4)]:
        world = volume.toWorld @ [*volume.image.TransformIndexToPhysicalPoint(index), 1]
        expected = toWorld.TransformPoint((ijkToRAS @ [*index, 1])[:3])
        np.testing.assert_allclose(world[:3], expected, atol=1e-9)
        assert volume.image[index] == slicer.util.arrayFromVolume(node)[index[::-1]]
    assert volume.image.GetPixelIDTypeAsString() == "16-bit signed integer"


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_slice_is_an_image_in_its_plane(module, axis):
    from DiffuseMorphSlicerLib.VolumeImage import VolumeImage

    shape = [5, 6, 7]
    shape[2 - axis] = 1
    node = add_volume(shape=tuple(shape), axes=ROTATION * [0.7, 1.5, 3.0], origin=(1.0, 2.0, 3.0))
    volume = VolumeImage.fromNode(node)
    assert volume.dimensions == volume.image.GetDimension() == 2
    index = [4, 3, 2]
    index[axis] = 0
    inPlane = [value for position, value in enumerate(index) if position != axis]
    world = volume.toWorld @ [*volume.image.TransformIndexToPhysicalPoint(inPlane), 1]
    np.testing.assert_allclose(world, VolumeImage.ijkToRAS(node) @ [*index, 1], atol=1e-9)


def test_the_image_is_a_copy(module):
    import slicer
    from DiffuseMorphSlicerLib.VolumeImage import VolumeImage

    node = add_volume()
    image = VolumeImage.fromNode(node).image
    before = image[1, 2, 3]
    slicer.util.arrayFromVolume(node)[3, 2, 1] = before + 7
    assert image[1, 2, 3] == before


def refused(action):
    from DiffuseMorphCore.errors import DiffuseMorphError

    with pytest.raises(DiffuseMorphError) as caught:
        action()
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text
    return text


def test_what_cannot_be_registered_is_refused_by_name(module):
    import slicer
    from DiffuseMorphSlicerLib.VolumeImage import VolumeImage

    sheared = add_volume(axes=[[1, 0.3, 0], [0, 1, 0], [0, 0, 1]], name="Sheared")
    assert "'Sheared' has axes that are not at right angles" in refused(lambda: VolumeImage.fromNode(sheared))
    line = add_volume(shape=(1, 1, 9), name="Line")
    assert "'Line' is a single line" in refused(lambda: VolumeImage.fromNode(line))
    color = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "Color")
    slicer.util.updateVolumeFromArray(color, np.zeros((4, 4, 4, 3), np.uint8))
    assert "'Color' has 3 components" in refused(lambda: VolumeImage.fromNode(color))
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    assert "'Empty' has no voxels" in refused(lambda: VolumeImage.fromNode(empty))


def test_a_non_linear_parent_is_refused_and_named(module):
    import slicer
    import vtk
    from DiffuseMorphSlicerLib.VolumeImage import VolumeImage

    node = add_volume(name="Bent")
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "Warp")
    spline = vtk.vtkThinPlateSplineTransform()
    parent.SetAndObserveTransformToParent(spline)
    node.SetAndObserveTransformNodeID(parent.GetID())
    text = refused(lambda: VolumeImage.fromNode(node))
    assert "'Bent'" in text and "'Warp'" in text and "harden" in text


def test_a_slice_and_a_volume_are_not_registered_together(logic):
    volume, single = add_volume(name="Whole"), add_volume(shape=(1, 6, 7), name="Slice")
    assert "'Slice' is a single slice and 'Whole' is a volume" in refused(
        lambda: logic.startRegistration(volume, single)
    )


def test_initial_transforms_are_checked(logic):
    import slicer
    import vtk

    fixed, moving = add_volume(name="F"), add_volume(name="M")
    bent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "Bent")
    bent.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    assert "'Bent' is not linear" in refused(lambda: logic.startRegistration(fixed, moving, initialTransform=bent))
    applied = put_under(moving, np.eye(4))
    assert "already applied" in refused(lambda: logic.startRegistration(fixed, moving, initialTransform=applied))
