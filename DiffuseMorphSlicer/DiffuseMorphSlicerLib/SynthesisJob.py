from slicer.i18n import tr as _

from DiffuseMorphCore.errors import DiffuseMorphError

from .RegistrationJob import RegistrationJob


class SynthesisJob:
    """One synthesis: nodes are read when it is made, run() computes without them."""

    WEIGHTS = {"prepare": 1, "align": 3, "synthesize": 20}

    def __init__(self, fixedNode, movingNode, *, model="default", start=200, steps=80, **options):
        """start, steps: as for DiffuseMorphCore.synthesize_image, and options are the rest of what it takes.

        Raises DiffuseMorphError for volumes that cannot be used, no model, and more steps than the start has.
        """
        if model == "none":
            raise DiffuseMorphError(_("Synthesis draws with a model: choose one instead of None."))
        if steps > start + 1:
            raise DiffuseMorphError(
                _("{steps} steps do not go into a start at step {start}: choose at most {most} steps.").format(
                    steps=steps, start=start, most=start + 1
                )
            )
        pair = RegistrationJob(fixedNode, movingNode)
        self._images = pair.fixed.image, pair.moving.image
        self._options = {"model": model, "start": start, "steps": steps, **options}

    def run(self, progress):
        """The computation, for another thread. Returns a SimpleITK image on the fixed grid, intensities 0 to 1."""
        from DiffuseMorphCore import synthesize_image

        return synthesize_image(*self._images, progress=progress, **self._options)
