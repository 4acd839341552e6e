import os
import tempfile

from slicer.i18n import tr as _

from DiffuseMorphCore.errors import DiffuseMorphError


class AnimationRecorder:
    """Pictures of a view at increasing eta, put together by Slicer's own Screen Capture module.

    A name ending in .png gives numbered pictures; .gif, .mp4 and whatever else Screen Capture writes give one file and
    need the ffmpeg program that Screen Capture uses.
    """

    def __init__(self, setEta, view=None):
        """setEta: function that moves the scene to an eta. view: slice or 3D view widget, None for the whole layout."""
        self._setEta = setEta
        self._view = view

    def record(self, path, etas, framesPerSecond=10.0, progress=None):
        """Write the animation; what was there stays until the new one is complete. Returns the path, or paths for .png.

        progress: function of the fraction done; answering False stops and leaves no file.
        """
        try:
            import ScreenCapture
        except ImportError as error:
            raise DiffuseMorphError(
                _("The Screen Capture module is missing: enable it in the application settings.")
            ) from error
        path = os.path.abspath(os.fspath(path))
        folder, name = os.path.split(path)
        stem, extension = os.path.splitext(name)
        if not os.path.isdir(folder):
            raise DiffuseMorphError(
                _("The folder '{folder}' does not exist: choose another place for the animation.").format(folder=folder)
            )
        capture = ScreenCapture.ScreenCaptureLogic()
        options = None if extension.lower() == ".png" else self._videoOptions(capture, extension)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            pattern = "frame_%05d.png"
            for index, eta in enumerate(etas):
                if progress is not None and progress(index / len(etas)) is False:
                    raise DiffuseMorphError(_("The animation was cancelled and nothing was written."))
                self._setEta(float(eta))
                capture.captureImageFromView(self._view, os.path.join(temporary, pattern % index))
            if options is None:
                paths = [os.path.join(folder, f"{stem}_{index:05d}.png") for index in range(len(etas))]
                for index, target in enumerate(paths):
                    os.replace(os.path.join(temporary, pattern % index), target)
                return paths
            capture.createVideo(framesPerSecond, options, temporary, pattern, name)
            os.replace(os.path.join(temporary, name), path)
        return path

    @staticmethod
    def _videoOptions(capture, extension):
        for preset in capture.videoFormatPresets:
            if "." + preset["fileExtension"] == extension.lower():
                break
        else:
            known = ", ".join(sorted({"." + preset["fileExtension"] for preset in capture.videoFormatPresets}))
            raise DiffuseMorphError(
                _("Animations cannot be written as '{extension}': let the name end in .png, {known}.").format(
                    extension=extension, known=known
                )
            )
        if not capture.isFfmpegPathValid() and not capture.findFfmpeg():
            raise DiffuseMorphError(
                _(
                    "Writing '{extension}' needs ffmpeg: set its place in the Screen Capture module, or "
                    "let the name end in .png for single pictures."
                ).format(extension=extension)
            )
        return preset["extraVideoOptions"]
