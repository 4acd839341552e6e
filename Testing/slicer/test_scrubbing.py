"""The live transform: right everywhere, one event a tick, and the slice views show what the core's own warp gives."""

import numpy as np
import pytest

PARENT = np.array([[0.9553, -0.2955, 0, 4], [0.2955, 0.9553, 0, -3], [0, 0, 1, 2], [0, 0, 0, 1.0]])
CASES = {
    "oblique": {"fixed": {}, "moving": {"center": (3, -2, 1), "radius": 13}},
    "left-handed-fixed": {"fixed": {"geometry": "left-handed"}, "moving": {"center": (3, -2, 1), "radius": 13}},
    "parented-moving": {
        "fixed": {"geometry": "axial"},
        "moving": {"center": (3, -2, 1), "radius": 13, "geometry": "left-handed", "parent": PARENT},
    },
    "parented-fixed": {
        "fixed": {"parent": PARENT},
        "moving": {"center": (3, -2, 1), "radius": 13, "geometry": "axial"},
    },
}


@pytest.fixture(params=list(CASES))
def registered(request, logic):
    from ball_volumes import OPTIONS, add_ball

    case = CASES[request.param]
    fixed, moving = add_ball("Fixed", **case["fixed"]), add_ball("Moving", **case["moving"])
    return logic.register(fixed, moving, **OPTIONS)


def from_world(node):
    import vtk

    transform = vtk.vtkGeneralTransform()
    node.GetTransformFromWorld(transform)
    return transform


def test_live_transform_in_every_geometry(logic, registered):
    check_transform_and_views_against_the_core(logic, registered)
    check_eta_back_and_forth_leaves_no_trace(logic, registered)
    check_the_balls_become_alike_and_eta_zero_is_the_alignment(logic, registered)


def check_transform_and_views_against_the_core(logic, registered):
    import slicer
    from DiffuseMorphSlicerLib.VolumeImage import VolumeImage

    job, flip = registered.job, np.array([-1.0, -1.0, 1.0])
    movingFromWorld = np.linalg.inv(job.movingToWorld)
    mapping = from_world(registered.transformNode)
    size = np.array(job.fixed.image.GetSize())
    points = [
        job.fixed.image.TransformContinuousIndexToPhysicalPoint((share * (size - 1)).tolist())
        for share in np.random.default_rng(1).uniform(0.0, 1.0, (40, 3))
    ]
    for eta in (0.0, 0.3, 1.0, 0.55):
        logic.setEta(eta)
        transform = registered.registration.transform(eta)
        for point in points:
            expected = movingFromWorld @ [*(flip * transform.TransformPoint(point)), 1]
            np.testing.assert_allclose(mapping.TransformPoint(flip * point), expected[:3], atol=0.02)
    # The picture of the moving volume under the transform against that of the core's own warped image.
    warped = logic.exporter().volume(0.55)
    np.testing.assert_allclose(VolumeImage.ijkToRAS(warped), VolumeImage.ijkToRAS(registered.fixedNode))
    slicer.util.setSliceViewerLayers(background=registered.fixedNode, fit=True, rotateToVolumePlane=True)
    for view in slicer.app.layoutManager().views.values():
        slicer.util.setSliceViewerLayers(background=registered.movingNode)
        live = view.picture().astype(float)
        slicer.util.setSliceViewerLayers(background=warped)
        core = view.picture().astype(float)
        assert core.max() > 100, "the ball must be in the picture"
        assert np.abs(live - core).mean() / 255 < 0.01


def check_eta_back_and_forth_leaves_no_trace(logic, registered):
    array = registered.etaTransform.array
    logic.setEta(0.7)
    first = array.copy()
    for eta in (0.0, 1.0, 0.33, 0.7):
        logic.setEta(eta)
    assert np.array_equal(first, array)
    logic.setEta(0.0)
    assert registered.etaTransform.eta == 0.0
    logic.setEta(7.0)
    assert registered.etaTransform.eta == 1.0


def check_the_balls_become_alike_and_eta_zero_is_the_alignment(logic, registered):
    import slicer

    fixed = slicer.util.arrayFromVolume(registered.fixedNode).astype(float)
    difference = {}
    for eta in (0.0, 1.0):
        warped = slicer.util.arrayFromVolume(logic.exporter().volume(eta)).astype(float)
        difference[eta] = np.abs(warped - fixed).mean()
    assert difference[1.0] < 0.6 * difference[0.0]
    logic.setEta(0.0)
    alignment, flip = registered.registration.alignment, np.array([-1.0, -1.0, 1.0])
    movingFromWorld = np.linalg.inv(registered.job.movingToWorld)
    for point in ((0.0, 0.0, 0.0), (8.0, -6.0, 5.0)):
        expected = movingFromWorld @ [*(flip * alignment.TransformPoint((flip * point).tolist())), 1]
        np.testing.assert_allclose(from_world(registered.transformNode).TransformPoint(point), expected[:3], atol=1e-3)


@pytest.fixture
def simple(logic):
    from ball_volumes import OPTIONS, add_ball

    return logic.register(add_ball("Fixed"), add_ball("Moving", (3, -2, 1), 13), **OPTIONS)


def test_one_event_a_tick_and_the_same_objects(logic, simple):
    import slicer
    import vtk
    from DiffuseMorphSlicerLib.OutputTransform import OutputTransform

    events = []
    node, transform, grid = simple.transformNode, simple.etaTransform.transform, simple.etaTransform.grid
    node.AddObserver(slicer.vtkMRMLTransformableNode.TransformModifiedEvent, lambda *_: events.append("node"))
    simple.movingNode.AddObserver(
        slicer.vtkMRMLTransformableNode.TransformModifiedEvent, lambda *_: events.append("volume")
    )
    node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: events.append("modified"))
    memory = simple.etaTransform.array.__array_interface__["data"][0]
    for eta in (0.2, 0.4, 0.4, 0.9):
        logic.setEta(eta)
    assert events.count("node") == 3 and events.count("volume") == 3 and events.count("modified") <= 3
    assert node.GetTransformFromParent() is transform and OutputTransform.deformation(node) is grid
    assert grid.GetInterpolationMode() == 1, "linear interpolation"
    assert grid.GetDisplacementGrid().GetScalarTypeAsString() == "float"
    assert simple.etaTransform.array.__array_interface__["data"][0] == memory


@pytest.mark.parametrize("shown", ["volume", "volume and grid"])
def test_each_view_renders_once_a_tick(logic, simple, shown):
    import slicer

    slicer.util.setSliceViewerLayers(
        background=simple.fixedNode, foreground=simple.movingNode, foregroundOpacity=0.5, fit=True
    )
    if shown != "volume":
        logic.showGrid(True)
    layoutManager = slicer.app.layoutManager()
    layoutManager.render()
    assert layoutManager.render() == 0, "nothing happened, nothing is drawn"
    for eta in (0.1, 0.5, 0.9):
        logic.setEta(eta)
        assert layoutManager.render() == 3
        assert layoutManager.render() == 0
    logic.setEta(0.9)
    assert layoutManager.render() == 0, "the same eta again draws nothing"


def test_the_lines_of_the_grid_cannot_be_so_fine_that_they_stall_the_views(logic, simple):
    from DiffuseMorphSlicerLib.FieldDisplay import FieldDisplay

    suggested = FieldDisplay.suggestedSpacing(simple.transformNode)
    for asked in (1e-3, 0.1, 2 * suggested):
        logic.showGrid(True, spacing=asked)
        display = simple.transformNode.GetNodeReference("DiffuseMorph.Display").GetDisplayNode()
        assert display.GetGridSpacingMm() == pytest.approx(max(asked, suggested / 10))
        assert display.GetGlyphSpacingMm() == display.GetGridSpacingMm()
        assert display.GetGridResolutionMm() >= suggested / 10


def test_the_border_fades_and_nothing_tears_or_folds(module, scene):
    """A field that moves the border by many voxels: outside the image it fades to the alignment, without a fold."""
    import SimpleITK as sitk
    import torch
    from ball_volumes import add_ball
    from DiffuseMorphSlicerLib.EtaTransform import EtaTransform
    from DiffuseMorphSlicerLib.FieldTrajectory import FieldTrajectory
    from DiffuseMorphSlicerLib.VolumeImage import VolumeImage

    from DiffuseMorphCore.displacement import Displacement
    from DiffuseMorphCore.registration import Grid, Registration
    from DiffuseMorphCore.samplers import EtaPath
    from DiffuseMorphCore.warp import folding

    fixed = VolumeImage.fromNode(add_ball("Fixed"))
    grid = Grid.of(fixed.image)
    constant = torch.tensor([3.0, -6.0, 5.0]).reshape(1, 3, 1, 1, 1).expand(1, 3, *grid.shape)
    registration = Registration(
        fixed.image, fixed.image, sitk.AffineTransform(3), EtaPath.straight(Displacement(constant, grid)), grid, {}
    )
    trajectory = FieldTrajectory.ofRegistration(registration, fixed, fixed)
    live = EtaTransform(trajectory, 1.0)
    assert np.abs(live.array[[0, -1]]).max() == np.abs(live.array[:, [0, -1]]).max() == 0
    inside = live.array[tuple(slice(trajectory.ring, -trajectory.ring) for _ in range(3))]
    assert inside.shape[:3] == grid.shape
    assert np.ptp(inside.reshape(-1, 3), axis=0).max() < 1e-4, "inside the image the field is what the core gave"
    steps = live.array @ (trajectory.direction / trajectory.spacing)
    voxels = torch.from_numpy(np.ascontiguousarray(np.moveaxis(steps[..., ::-1], -1, 0)))[None].float()
    report = folding(voxels)
    assert report.share == 0 and report.minimum > 0.2


def test_a_slice_pair_is_registered_in_its_plane(logic):
    import slicer
    from ball_volumes import OPTIONS, add_ball
    from DiffuseMorphSlicerLib.VolumeImage import VolumeImage

    nodes = []
    for name, center, radius in (("Fixed", (0, 0, 0), 11), ("Moving", (3, -2, 0), 13)):
        node = add_ball(name, center, radius)
        matrix = VolumeImage.ijkToRAS(node)
        matrix[:3, 3] += 12 * matrix[:3, 2]
        slicer.util.updateVolumeFromArray(node, slicer.util.arrayFromVolume(node)[12:13].copy())
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
        nodes.append(node)
    result = logic.register(*nodes, **OPTIONS)
    fixed = slicer.util.arrayFromVolume(nodes[0]).astype(float)
    warped = slicer.util.arrayFromVolume(result.volumeNode)
    assert warped.shape == fixed.shape and warped.dtype == np.int16
    before = slicer.util.arrayFromVolume(logic.exporter().volume(0.0)).astype(float)
    assert np.abs(warped - fixed).mean() < 0.6 * np.abs(before - fixed).mean()
    slicer.util.setSliceViewerLayers(background=nodes[0], fit=True, rotateToVolumePlane=True)
    slicer.util.setSliceViewerLayers(background=nodes[1])
    view = slicer.app.layoutManager().views["Red"]
    live = view.picture().astype(float)
    slicer.util.setSliceViewerLayers(background=result.volumeNode)
    core = view.picture().astype(float)
    assert core.max() > 100
    assert np.abs(live - core).mean() / 255 < 0.01


def test_an_initial_transform_brings_a_volume_from_far_away(logic):
    """The two volumes do not overlap at all; the initial transform is composed with the moving volume's own parent."""
    import slicer
    from ball_volumes import OPTIONS, add_ball

    parent = PARENT.copy()
    parent[:3, 3] = 150.0, -80.0, 40.0
    fixed, moving = add_ball("Fixed"), add_ball("Moving", parent[:3, 3] + [2, -1, 1], 12.5, parent=parent)
    initial = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Initial")
    back = np.eye(4)
    back[:3, 3] = -parent[:3, 3]
    initial.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(back))
    result = logic.register(fixed, moving, initialTransform=initial, **(OPTIONS | {"align": "none"}))
    expected = slicer.util.arrayFromVolume(fixed).astype(float)
    warped = [slicer.util.arrayFromVolume(logic.exporter().volume(eta)) for eta in (0.0, 1.0)]
    difference = [np.abs(array - expected).mean() for array in warped]
    assert difference[0] < expected.mean() and difference[1] < 0.6 * difference[0]
    logic.setEta(0.0)
    point = (3.0, 4.0, -5.0)
    inMoving = np.linalg.inv(parent) @ np.linalg.inv(back) @ [*point, 1]
    np.testing.assert_allclose(from_world(result.transformNode).TransformPoint(point), inMoving[:3], atol=1e-3)


def test_real_images_with_labels(logic, shared_data):
    """Two hippocampi of two people, with their label maps, as loaded from their files."""
    import slicer
    from ball_volumes import OPTIONS
    from panel_driver import load_volume

    folder, kind = shared_data / "hippocampus", "vtkMRMLLabelMapVolumeNode"
    volumes = [load_volume(folder / f"hippocampus_{person}_t1.nii.gz") for person in ("001", "003")]
    labels = [load_volume(folder / f"hippocampus_{person}_labels.nii.gz", kind) for person in ("001", "003")]
    result = logic.register(
        *volumes, fixedLabels=labels[0], movingLabels=labels[1], **(OPTIONS | {"align": "affine", "refine": 40})
    )
    before, after = (np.mean(values) for values in zip(*result.dice.values()))
    assert set(result.dice) == {"1", "2"} and after > before + 0.03
    assert all(later > earlier for earlier, later in result.dice.values())
    slicer.util.setSliceViewerLayers(background=volumes[0], fit=True)
    views = slicer.app.layoutManager().views.values()
    for node in (volumes[1], result.volumeNode):
        node.GetDisplayNode().SetAutoWindowLevel(False)
        node.GetDisplayNode().SetWindowLevelMinMax(*volumes[1].GetImageData().GetScalarRange())
    pictures = []
    for node in (volumes[1], result.volumeNode):
        slicer.util.setSliceViewerLayers(background=node)
        pictures.append(np.stack([view.picture() for view in views]).astype(float))
    assert np.abs(pictures[0] - pictures[1]).mean() / 255 < 0.01
