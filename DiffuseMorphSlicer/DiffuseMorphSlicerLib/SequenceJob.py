from slicer.i18n import tr as _

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.job_options import SequenceOptions
from DiffuseMorphCore.options import RegistrationOptions, split_options

from .FrameFields import FrameFields
from .FrameLabels import FrameLabels
from .FrameVolumes import FrameVolumes


class SequenceJob:
    """The registration of a sequence: its nodes are read when it is made, run() computes without them.

    volumes: FrameVolumes. registration: result of DiffuseMorphCore.register_sequence. fields: FrameFields.
    registered: voxels (k, j, i) of every frame on the reference, or None. labels: FrameLabels, or None. carried: their
    labels (k, j, i) on every frame, or None.
    """

    WEIGHTS = {"prepare": 1, "align": 5, "frames": 30, "smooth": 4, "deliver": 3, "display": 4}

    def __init__(
        self,
        browser,
        *,
        sequence=None,
        reference="first",
        makeVolumes=True,
        labels=None,
        labelsFrame="current",
        **options,
    ):
        """reference: "first", "current" for the item that the browser shows, the number of an item from 0, or "mean".
        labels, labelsFrame: segmentation or label map to carry to all frames, and the frame that it was drawn on:
        "current", "reference", or the number of an item.

        options: passed on to DiffuseMorphCore.register_sequence (periodic, smoothing, align, modality, quality,
        device ...).
        Raises DiffuseMorphError for a sequence that cannot be registered, and labels that do not lie on it.
        """
        self.volumes = FrameVolumes(browser, sequence)
        if reference == "current":
            reference = self.volumes.current
        # What would fail later in the background is refused at once.
        shared = split_options(SequenceOptions, {**options, "reference": reference})[1]
        RegistrationOptions(**shared)
        if reference not in ("first", "mean") and int(reference) >= len(self.volumes):
            raise DiffuseMorphError(
                _("The reference is item {number}, counted from 0, but the sequence '{name}' has {count}.").format(
                    number=reference, name=self.volumes.sequence.GetName(), count=len(self.volumes)
                )
            )
        self._options = {**options, "reference": reference}
        self._makeVolumes = makeVolumes
        self.labels = None if labels is None else FrameLabels(labels, self.volumes, labelsFrame, reference)
        self.registration = self.fields = self.registered = self.carried = None

    def run(self, progress):
        """The computation, for another thread. progress: callback (stage, fraction) that answers False to cancel."""
        import SimpleITK as sitk

        from DiffuseMorphCore import register_sequence
        from DiffuseMorphCore.progress import advance

        registration = register_sequence(self.volumes.frames(), progress=progress, **self._options)
        advance(progress, "display", 0.0)
        self.fields = FrameFields(
            registration, self.volumes.first, lambda fraction: advance(progress, "display", fraction / 3)
        )
        if self._makeVolumes:
            self.registered = []
            for image in registration.moved():
                self.registered.append(sitk.GetArrayFromImage(image))
                advance(progress, "display", (1 + len(self.registered) / len(registration)) / 3)
        if self.labels is not None:
            self.carried = []
            for array in self.labels.carried(registration):
                self.carried.append(array)
                advance(progress, "display", (2 + len(self.carried) / len(registration)) / 3)
        advance(progress, "display", 1.0)
        self.registration = registration
        return self
