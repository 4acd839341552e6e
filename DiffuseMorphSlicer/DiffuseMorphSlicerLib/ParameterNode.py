import enum
from typing import Annotated, Union

from slicer import (
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLMarkupsROINode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLSequenceBrowserNode,
    vtkMRMLTransformNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from DiffuseMorphCore.job_options import SequenceOptions
from DiffuseMorphCore.options import default_of

LabelsNode = Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode, None]
MaskNode = Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode, vtkMRMLMarkupsROINode, None]


class Alignment(enum.Enum):
    affine = "affine"
    rigid = "rigid"
    center = "center"
    none = "none"

    def label(self):
        return {"affine": _("affine"), "rigid": _("rigid"), "center": _("centers only"), "none": _("none")}[self.value]


class Modality(enum.Enum):
    auto = "auto"
    same = "same"
    different = "different"

    def label(self):
        return {"auto": _("automatic"), "same": _("same (MR to MR, CT to CT)"), "different": _("different (MR to CT)")}[
            self.value
        ]


class Quality(enum.Enum):
    fast = "fast"
    default = "default"
    best = "best"

    def label(self):
        return {"fast": _("fast, for a look"), "default": _("default"), "best": _("best, as fine as the volumes")}[
            self.value
        ]


class TrajectoryForm(enum.Enum):
    anchored = "anchored"
    faithful = "faithful"

    def label(self):
        return {"anchored": _("starts at the aligned image"), "faithful": _("as in the paper")}[self.value]


class FieldMode(enum.Enum):
    off = "off"
    grid = "grid"
    glyphs = "glyphs"

    def label(self):
        return {"off": _("off"), "grid": _("grid"), "glyphs": _("arrows")}[self.value]


class ViewMode(enum.Enum):
    keep = "keep"
    blend = "blend"
    checkerboard = "checkerboard"
    difference = "difference"
    jacobian = "jacobian"
    uncertainty = "uncertainty"

    def label(self):
        return {
            "keep": _("as it is"),
            "blend": _("blend"),
            "checkerboard": _("checkerboard"),
            "difference": _("difference"),
            "jacobian": _("Jacobian in color"),
            "uncertainty": _("uncertainty in color"),
        }[self.value]


class SequenceReference(enum.Enum):
    first = "first"
    current = "current"
    mean = "mean"

    def label(self):
        return {"first": _("first frame"), "current": _("the frame shown"), "mean": _("mean of all frames")}[self.value]


class FrameAlignment(enum.Enum):
    none = "none"
    rigid = "rigid"
    affine = "affine"

    def label(self):
        return Alignment(self.value).label()


class LabelsFrame(enum.Enum):
    current = "current"
    reference = "reference"

    def label(self):
        return {"current": _("the frame shown"), "reference": _("the reference")}[self.value]


@parameterNodeWrapper
class DiffuseMorphSlicerParameterNode:
    """Everything the panel shows, kept in the scene. Names of widgets' SlicerParameterName properties are these."""

    fixedVolume: vtkMRMLScalarVolumeNode
    movingVolume: vtkMRMLScalarVolumeNode
    fixedMask: MaskNode = None
    movingMask: MaskNode = None
    initialTransform: vtkMRMLTransformNode
    fixedLandmarks: vtkMRMLMarkupsFiducialNode
    movingLandmarks: vtkMRMLMarkupsFiducialNode
    movingLabels: LabelsNode = None
    fixedLabels: LabelsNode = None

    model: str = default_of("model")
    device: str = default_of("device")
    alignment: Alignment = Alignment(default_of("align"))
    modality: Modality = Modality(default_of("modality"))
    quality: Quality = Quality(default_of("quality"))
    trajectoryForm: TrajectoryForm = TrajectoryForm(default_of("trajectory"))
    refinement: Annotated[int, WithinRange(-1, 1000)] = -1
    seed: Annotated[int, WithinRange(0, 999999)] = default_of("seed")

    makeTransform: bool = True
    outputTransform: vtkMRMLTransformNode
    makeVolume: bool = True
    outputVolume: vtkMRMLScalarVolumeNode

    eta: Annotated[float, WithinRange(0.0, 1.0)] = 1.0
    playSeconds: Annotated[float, WithinRange(0.5, 60.0)] = 4.0
    playLoop: bool = True
    playThereAndBack: bool = True
    fieldMode: FieldMode = FieldMode.off
    fieldSpacing: Annotated[float, WithinRange(0.1, 100.0)] = 10.0
    fieldColorBySize: bool = False
    fieldColor: str = "#ffd93b"
    viewMode: ViewMode = ViewMode.keep
    blend: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    checkerSize: Annotated[float, WithinRange(1.0, 200.0)] = 20.0
    report: str = ""

    frames: Annotated[int, WithinRange(2, 500)] = 21
    animationFile: str = ""

    synthesisStart: Annotated[int, WithinRange(1, 1999)] = 200
    synthesisSteps: Annotated[int, WithinRange(1, 2000)] = 80
    synthesisSeed: Annotated[int, WithinRange(0, 999999)] = 0
    synthesizedVolume: vtkMRMLScalarVolumeNode

    sequenceBrowser: vtkMRMLSequenceBrowserNode
    sequenceReference: SequenceReference = SequenceReference.first
    sequenceSmoothing: Annotated[int, WithinRange(0, 20)] = default_of("smoothing", SequenceOptions)
    sequenceAlignment: FrameAlignment = FrameAlignment(default_of("align", SequenceOptions))
    sequencePeriodic: bool = default_of("periodic", SequenceOptions)
    sequenceVolumes: bool = True
    sequenceLabels: LabelsNode = None
    sequenceLabelsFrame: LabelsFrame = LabelsFrame.current
    sequenceEta: Annotated[float, WithinRange(0.0, 1.0)] = 1.0
    sequenceReport: str = ""
