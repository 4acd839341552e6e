import numpy as np
from slicer.i18n import tr as _

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.options import RegistrationOptions

from .FieldTrajectory import FieldTrajectory
from .LabelImage import LabelImage
from .LandmarkNodes import LandmarkNodes
from .OutputTransform import OutputTransform
from .RegionImage import RegionImage
from .SequenceFrame import SequenceFrame
from .VolumeImage import LPS_TO_RAS, VolumeImage


class RegistrationJob:
    """One registration: nodes are read when it is made, run() computes without them, the results are kept here.

    registration: result of DiffuseMorphCore.register. trajectory: FieldTrajectory for the transform node.
    notes: sentences for the user about what was registered. warped: moving image on the fixed grid, or None.
    dice: {label name: (before, after)} when both labels were given.
    """

    WEIGHTS = {"prepare": 1, "align": 4, "predict": 4, "refine": 12, "deliver": 12, "display": 2}

    def __init__(
        self,
        fixedNode,
        movingNode,
        *,
        fixedMask=None,
        movingMask=None,
        initialTransform=None,
        fixedLandmarks=None,
        movingLandmarks=None,
        movingLabels=None,
        fixedLabels=None,
        makeVolume=True,
        eta=1.0,
        **options,
    ):
        """options: passed on to DiffuseMorphCore.register as they are (model, device, align, refine, modality, ...).

        Raises DiffuseMorphError, naming the node, for input that cannot be registered.
        """
        if fixedNode is None or movingNode is None:
            raise DiffuseMorphError(_("Choose a fixed volume and a moving volume."))
        if fixedNode == movingNode:
            raise DiffuseMorphError(
                _("'{name}' is the fixed and the moving volume: choose two different volumes.").format(
                    name=fixedNode.GetName()
                )
            )
        RegistrationOptions(**options)  # refuses at once what would fail later in the background
        self.fixedNode, self.movingNode = fixedNode, movingNode
        self.movingLabelsNode = movingLabels
        self.movingParentNode = OutputTransform.originalParent(movingNode)
        self.movingToWorld = OutputTransform.originalMatrix(movingNode)
        self._checkMovingVolume()
        self.fixed = VolumeImage.fromNode(fixedNode, OutputTransform.originalMatrix(fixedNode))
        self.moving = VolumeImage.fromNode(movingNode, self.movingToWorld)
        if self.fixed.dimensions != self.moving.dimensions:
            single, other = sorted((self.fixed, self.moving), key=lambda volume: volume.dimensions)
            raise DiffuseMorphError(
                _("'{single}' is a single slice and '{other}' is a volume: choose two slices or two volumes.").format(
                    single=single.node.GetName(), other=other.node.GetName()
                )
            )
        self._options = options
        self._options["fixed_mask"] = RegionImage.fromNode(fixedMask, self.fixed)
        self._options["moving_mask"] = RegionImage.fromNode(movingMask, self.moving)
        self._options["fixed_landmarks"], self._options["moving_landmarks"] = LandmarkNodes.pair(
            fixedLandmarks, movingLandmarks, self.fixed
        )
        self._options["initial_transform"] = self._initial(initialTransform)
        self._readLabels(fixedLabels, movingLabels)
        self._makeVolume, self._eta = makeVolume, eta
        self.notes = SequenceFrame.notes(movingNode)
        self.registration = self.trajectory = self.warped = self.warpedLabels = self.dice = None

    def _checkMovingVolume(self):
        if self.movingNode.IsA("vtkMRMLLabelMapVolumeNode"):
            raise DiffuseMorphError(
                _(
                    "'{name}' is a label map, and labels cannot be blended: choose the scan it was drawn on as the "
                    "moving volume and '{name}' as the moving labels."
                ).format(name=self.movingNode.GetName())
            )

    def _readLabels(self, fixedLabels, movingLabels):
        if (
            fixedLabels is not None
            and movingLabels is not None
            and (fixedLabels.IsA("vtkMRMLSegmentationNode") != movingLabels.IsA("vtkMRMLSegmentationNode"))
        ):
            raise DiffuseMorphError(
                _("'{fixed}' and '{moving}' cannot be compared: give two segmentations or two label maps.").format(
                    fixed=fixedLabels.GetName(), moving=movingLabels.GetName()
                )
            )
        if movingLabels is not None and not np.allclose(
            OutputTransform.originalMatrix(movingLabels), self.movingToWorld, atol=1e-6
        ):
            raise DiffuseMorphError(
                _("'{labels}' is under another transform than '{moving}': put both under the same one.").format(
                    labels=movingLabels.GetName(), moving=self.movingNode.GetName()
                )
            )
        values = {}
        self.fixedLabels, self.movingLabels = (
            node and LabelImage.fromNode(node, volume, values, OutputTransform.originalMatrix(node))
            for node, volume in ((fixedLabels, self.fixed), (movingLabels, self.moving))
        )

    def _initial(self, node):
        """The transform from fixed to moving points that a linear transform node on the moving volume stands for."""
        if node is None:
            return None
        if OutputTransform.isOutput(node) or not node.IsTransformToWorldLinear():
            raise DiffuseMorphError(
                _("The initial transform '{name}' is not linear: choose a linear transform.").format(
                    name=node.GetName()
                )
            )
        if self.movingParentNode == node:
            raise DiffuseMorphError(
                _("The initial transform '{name}' is already applied to '{moving}': choose none.").format(
                    name=node.GetName(), moving=self.movingNode.GetName()
                )
            )
        if self.fixed.dimensions == 2:
            raise DiffuseMorphError(
                _("Single slices take no initial transform: choose none and put '{moving}' in place by hand.").format(
                    moving=self.movingNode.GetName()
                )
            )
        import SimpleITK as sitk

        worldToMoving = np.linalg.inv(VolumeImage.transformMatrix(node, self.movingNode.GetName()))
        matrix = LPS_TO_RAS @ worldToMoving @ LPS_TO_RAS
        initial = sitk.AffineTransform(3)
        initial.SetMatrix(matrix[:3, :3].ravel().tolist())
        initial.SetTranslation(matrix[:3, 3].tolist())
        return initial

    def run(self, progress):
        """The computation, for another thread. progress: callback (stage, fraction) that answers False to cancel."""
        from DiffuseMorphCore import register
        from DiffuseMorphCore.progress import advance

        registration = register(self.fixed.image, self.moving.image, progress=progress, **self._options)
        advance(progress, "display", 0.0)
        self.trajectory = FieldTrajectory.ofRegistration(
            registration, self.fixed, self.moving, np.linalg.inv(self.movingToWorld)
        )
        advance(progress, "display", 0.5)
        if self._makeVolume:
            self.warped = registration.warp(eta=self._eta)
        if self.movingLabels is not None:
            self.warpedLabels = registration.warp_labels(self.movingLabels.image, eta=1.0)
        if self.fixedLabels is not None and self.movingLabels is not None:
            before = self.fixedLabels.dice(registration.warp_labels(self.movingLabels.image, eta=0.0))
            after = self.fixedLabels.dice(self.warpedLabels)
            self.dice = {name: (before.get(name, 0.0), value) for name, value in after.items()}
        advance(progress, "display", 1.0)
        self.registration = registration
        return self
