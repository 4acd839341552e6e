"""Labels that were drawn on one frame of a sequence come to all, in the same browser."""

import numpy as np
import pytest
from ball_volumes import put_under
from panel_driver import get, wait_for
from scene_files import bundle, read
from sequence_driver import COUNT, OPTIONS, add_beat, sequence_named


def inside(node, threshold=400):
    import slicer

    return slicer.util.arrayFromVolume(node) > threshold


def add_labels(number, kind="segmentation", name="Drawn"):
    """What is bright in a frame, as a segmentation with the segments "upper" and "lower", or as a label map."""
    import slicer
    import vtk

    frame = sequence_named("Beat").GetNthDataNode(number)
    values = inside(frame).astype(np.uint8)
    values[len(values) // 2 :] *= 2
    matrix = vtk.vtkMatrix4x4()
    frame.GetIJKToRASMatrix(matrix)
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    slicer.util.updateVolumeFromArray(labels, values)
    labels.SetIJKToRASMatrix(matrix)
    labels.CreateDefaultDisplayNodes()
    if kind == "label map":
        return labels
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labels, node)
    slicer.mrmlScene.RemoveNode(labels)
    for number, (segment, color) in enumerate((("lower", (1.0, 0.2, 0.1)), ("upper", (0.1, 0.6, 1.0)))):
        found = node.GetSegmentation().GetNthSegment(number)
        found.SetName(segment)
        found.SetColor(color)
    return node


def labels_of(node, reference):
    """The labels that a node shows, on the grid of a volume node: (k, j, i), in its own coordinates."""
    import SimpleITK as sitk
    from DiffuseMorphSlicerLib.LabelImage import LabelImage
    from DiffuseMorphSlicerLib.VolumeImage import VolumeImage

    volume = VolumeImage.fromNode(reference, np.eye(4))
    return sitk.GetArrayFromImage(LabelImage.fromNode(node, volume, {}, np.eye(4)).image)


def overlap(first, second):
    return 2 * (first & second).sum() / (first.sum() + second.sum())


@pytest.mark.parametrize("kind", ["segmentation", "label map"])
@pytest.mark.parametrize("drawn_on", [0, 1])
def test_labels_come_to_every_frame(logic, beat, known, kind, drawn_on):
    frames = sequence_named("Beat")
    beat.SetSelectedItemNumber(drawn_on)
    node = add_labels(drawn_on, kind)
    before = labels_of(node, frames.GetNthDataNode(0))
    result = logic.sequences.register(beat, labels=node, **OPTIONS)
    assert result.labelSequence.GetName() == "Beat labels"
    assert result.labelSequence.GetDataNodeClassName() == node.GetClassName()
    indices = [result.labelSequence.GetNthIndexValue(number) for number in range(COUNT)]
    assert indices == [frames.GetNthIndexValue(number) for number in range(COUNT)]
    shown = beat.GetProxyNode(frames)
    for number in range(COUNT):
        beat.SetSelectedItemNumber(number)
        frame = frames.GetNthDataNode(number)
        carried = labels_of(result.labelNode, frame)
        assert overlap(carried > 0, inside(frame)) > (0.999 if number == drawn_on else 0.93)
        middle = len(carried) // 2
        assert set(np.unique(carried[: middle - 3])) == {0, 1} and set(np.unique(carried[middle + 3 :])) == {0, 2}
        assert result.labelNode.GetParentTransformNode() is shown.GetParentTransformNode() is result.transformNode
    np.testing.assert_array_equal(labels_of(node, frames.GetNthDataNode(0)), before)
    assert node.GetParentTransformNode() is None, "what was drawn stays what and where it was"


def test_segments_keep_their_names_and_colors(logic, beat, known):
    node = add_labels(0)
    result = logic.sequences.register(beat, labels=node, labelsFrame="reference", **OPTIONS)
    for number in range(COUNT):
        found = result.labelSequence.GetNthDataNode(number).GetSegmentation()
        for name in ("lower", "upper"):
            identifier = node.GetSegmentation().GetSegmentIdBySegmentName(name)
            assert found.GetSegmentIdBySegmentName(name) == identifier
            original = node.GetSegmentation().GetSegment(identifier)
            np.testing.assert_allclose(found.GetSegment(identifier).GetColor(), original.GetColor())


def test_registering_again_replaces_them_also_by_labels_of_another_kind(logic, beat, known):
    import slicer

    segmentation, label_map = add_labels(0), add_labels(1, "label map", "Map")
    first = logic.sequences.register(beat, labels=segmentation, **OPTIONS)
    count = slicer.mrmlScene.GetNumberOfNodes()
    again = logic.sequences.register(beat, labels=segmentation, **OPTIONS)
    assert again.labelSequence is first.labelSequence and slicer.mrmlScene.GetNumberOfNodes() == count
    other = logic.sequences.register(beat, labels=label_map, labelsFrame=1, **OPTIONS)
    assert other.labelNode.IsA("vtkMRMLLabelMapVolumeNode") and other.labelSequence.GetName() == "Beat labels"
    browsed = [sequence.GetName() for sequence in list_sequences(beat)]
    assert browsed.count("Beat labels") == 1 and not slicer.mrmlScene.IsNodePresent(first.labelNode)
    assert other.labelNode.GetDisplayNode().GetColorNodeID() == label_map.GetDisplayNode().GetColorNodeID()


def list_sequences(browser):
    from DiffuseMorphSlicerLib.SequenceOutput import SequenceOutput

    return SequenceOutput.sequences(browser)


def test_frames_and_labels_under_transforms_of_their_own(logic, beat, known):
    """Labels are taken where they are seen: under the transform of the frames, or turned as much by themselves."""
    import slicer

    frames = sequence_named("Beat")
    turned = np.array([[0.8, -0.6, 0, 4], [0.6, 0.8, 0, 0], [0, 0, 1, -2], [0, 0, 0, 1.0]])
    parent = put_under(beat.GetProxyNode(frames), turned)
    node = add_labels(0)
    node.SetAndObserveTransformNodeID(parent.GetID())
    result = logic.sequences.register(beat, labels=node, labelsFrame=0, **OPTIONS)
    assert overlap(labels_of(result.labelNode, frames.GetNthDataNode(0)) > 0, inside(frames.GetNthDataNode(0))) > 0.999
    node.SetAndObserveTransformNodeID(None)
    node.ApplyTransformMatrix(slicer.util.vtkMatrixFromArray(turned))
    result = logic.sequences.register(beat, labels=node, labelsFrame=0, **OPTIONS)
    assert overlap(labels_of(result.labelNode, frames.GetNthDataNode(0)) > 0, inside(frames.GetNthDataNode(0))) > 0.9


@pytest.mark.parametrize(
    "options, text",
    [
        ({"labelsFrame": 9}, "drawn on item 9"),
        ({"labelsFrame": "last"}, "drawn on item last"),
        ({"labelsFrame": "reference", "reference": "mean"}, "mean of all frames is nothing to draw on"),
        ({"labels": "volume"}, "Labels are a segmentation or a label map"),
        ({"labels": "elsewhere"}, "'Far' marks nothing inside the volume 'Beat'"),
    ],
)
def test_refusals_come_at_once(logic, beat, options, text):
    from DiffuseMorphCore.errors import DiffuseMorphError

    labels = options.pop("labels", None)
    if labels == "volume":
        node = beat.GetProxyNode(sequence_named("Beat"))
    else:
        node = add_labels(0, "label map", "Far")
        if labels == "elsewhere":
            node.SetOrigin(500, 500, 500)
    with pytest.raises(DiffuseMorphError, match=text):
        logic.sequences.start(beat, labels=node, **options)
    assert not logic.running


def test_segments_of_one_name_are_refused_as_labels_and_do_as_a_region(logic, beat):
    import SimpleITK as sitk
    from DiffuseMorphSlicerLib.RegionImage import RegionImage
    from DiffuseMorphSlicerLib.VolumeImage import VolumeImage

    from DiffuseMorphCore.errors import DiffuseMorphError

    node = add_labels(0)
    whole = labels_of(node, sequence_named("Beat").GetNthDataNode(0)) > 0
    for number in range(2):
        node.GetSegmentation().GetNthSegment(number).SetName("ventricle")
    with pytest.raises(DiffuseMorphError, match="'Drawn' has two segments named 'ventricle'"):
        logic.sequences.start(beat, labels=node)
    assert not logic.running
    frame = VolumeImage.fromNode(beat.GetProxyNode(sequence_named("Beat")))
    assert ((sitk.GetArrayFromImage(RegionImage.fromNode(node, frame)) > 0) == whole).all()


def test_the_panel(panel):
    ui, parameters = panel.ui, panel.logic.getParameterNode()
    beat = add_beat()
    beat.SetSelectedItemNumber(1)
    ui.sequenceBrowserSelector.setCurrentNode(beat)
    ui.sequenceLabelsSelector.setCurrentNode(add_labels(1))
    assert get(ui.sequenceLabelsFrameComboBox, "currentText") == "the frame shown"
    parameters.refinement, parameters.device = OPTIONS["refine"], "cpu"
    ui.registerSequenceButton.click()
    wait_for(lambda: not panel.runPanel.busy)
    assert get(ui.statusLabel) == "Done."
    frames, carried = sequence_named("Beat"), beat.GetProxyNode(sequence_named("Beat labels"))
    assert overlap(labels_of(carried, frames.GetNthDataNode(1)) > 0, inside(frames.GetNthDataNode(1))) > 0.999


@pytest.mark.parametrize("kind", ["segmentation", "label map"])
def test_they_come_back_with_a_saved_scene(logic, beat, known, tmp_path, kind):
    import slicer

    logic.sequences.register(beat, labels=add_labels(0, kind), **OPTIONS)
    path = bundle(tmp_path)
    read(path)
    browser = next(n for n in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode") if "Beat" in n.GetName())
    frames = sequence_named("Beat")
    for number in (0, 2, 1):
        browser.SetSelectedItemNumber(number)
        carried = labels_of(browser.GetProxyNode(sequence_named("Beat labels")), frames.GetNthDataNode(number))
        assert overlap(carried > 0, inside(frames.GetNthDataNode(number))) > 0.93
