import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from DiffuseMorphCore.errors import DiffuseMorphError

from .AnimationRecorder import AnimationRecorder


class ExportPanel:
    """The buttons that turn the current result into nodes and files."""

    def __init__(self, ui, logic, startExport, say):
        """startExport: function of a kind and a function to call with the finished node. say: shows one sentence."""
        self._ui, self._logic, self._startExport, self._say = ui, logic, startExport, say
        self._parameterNode = None
        for button, kind in (
            (ui.exportTransformButton, "transform"),
            (ui.exportInverseButton, "inverse"),
            (ui.exportVolumeButton, "volume"),
            (ui.exportLabelsButton, "labels"),
            (ui.exportTrajectoryButton, "trajectory"),
        ):
            button.connect("clicked(bool)", lambda *_clicked, kind=kind: self._startExport(kind, self._onExported))
        ui.openReportButton.connect("clicked(bool)", lambda *_clicked: self._startExport("page", self._onPage))
        ui.exportAnimationButton.connect("clicked(bool)", lambda *_clicked: self._recordAnimation())
        ui.animationPathLineEdit.connect("currentPathChanged(QString)", self._onPath)
        self._fillViews()

    def setParameterNode(self, parameterNode):
        self._parameterNode = parameterNode
        self.update()

    def update(self):
        parameters = self._parameterNode
        if parameters is None:
            return
        ready = self._logic.hasTrajectory(parameters.outputTransform)
        for name in (
            "openReportButton",
            "exportTransformButton",
            "exportInverseButton",
            "exportVolumeButton",
            "exportTrajectoryButton",
            "exportAnimationButton",
        ):
            getattr(self._ui, name).enabled = ready
        carried = ready and self._logic.result(parameters.outputTransform).job.movingLabels is not None
        self._ui.exportLabelsButton.enabled = carried
        if self._ui.animationPathLineEdit.currentPath != parameters.animationFile:
            self._ui.animationPathLineEdit.currentPath = parameters.animationFile

    def _onExported(self, node):
        self._say(_("Created '{name}'. Save it with File / Save data.").format(name=node.GetName()))

    def _onPage(self, path):
        if qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(path)):
            self._say(_("Opened the report in the browser."))
        else:
            self._say(_("No browser could be opened: the report is '{path}'.").format(path=path))

    def _recordAnimation(self):
        with slicer.util.tryWithErrorDisplay(_("The animation could not be recorded."), waitCursor=True):
            parameters = self._parameterNode
            before = parameters.eta
            try:
                if not parameters.animationFile:
                    raise DiffuseMorphError(_("Choose a file for the animation first."))
                recorder = AnimationRecorder(
                    lambda eta: self._logic.setEta(eta, parameters.outputTransform), self._view()
                )
                written = recorder.record(
                    parameters.animationFile,
                    np.linspace(0.0, 1.0, parameters.frames),
                    parameters.frames / parameters.playSeconds,
                )
            except DiffuseMorphError as error:
                self._say(str(error))
                return
            finally:
                self._logic.setEta(before, parameters.outputTransform)
            first = written if isinstance(written, str) else written[0]
            self._say(_("Recorded '{path}'.").format(path=first))

    def _fillViews(self):
        self._ui.animationViewComboBox.clear()
        self._ui.animationViewComboBox.addItem(_("All views"))
        layoutManager = slicer.app.layoutManager()
        self._viewNames = list(layoutManager.sliceViewNames()) if layoutManager is not None else []
        for name in self._viewNames:
            self._ui.animationViewComboBox.addItem(name)

    def _view(self):
        index = self._ui.animationViewComboBox.currentIndex
        if index <= 0:
            return None
        return slicer.app.layoutManager().sliceWidget(self._viewNames[index - 1]).sliceView()

    def _onPath(self, path):
        if self._parameterNode is not None:
            self._parameterNode.animationFile = path
