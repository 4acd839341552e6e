import logging
import os

import qt
from slicer.i18n import tr as _

from DiffuseMorphCore.errors import DiffuseMorphError

from .BackgroundRun import BackgroundRun
from .ComputerInformation import ComputerInformation
from .TorchProvider import TorchProvider

POLL_MILLISECONDS = 100
POLL_WAIT_SECONDS = 0.03
EXIT_WAIT_SECONDS = 10.0


class ModelPanel:
    """The choice of model and device, with what each is for and how much memory there is."""

    def __init__(self, ui):
        self._ui = ui
        self._parameterNode = None
        self._reading = None
        self._updating = False
        self._shown = None
        self._information = ComputerInformation.withoutTorch()
        self._timer = qt.QTimer()
        self._timer.interval = POLL_MILLISECONDS
        self._timer.connect("timeout()", self._poll)
        ui.modelComboBox.connect("currentIndexChanged(int)", self._onChosen)
        ui.deviceComboBox.connect("currentIndexChanged(int)", self._onChosen)
        ui.modelPathLineEdit.connect("currentPathChanged(QString)", self._onPath)
        self._fill()

    def readInformation(self):
        """Learn about models and devices in the background, if PyTorch is there and it was not done yet."""
        if self._reading is None and not self._information.devices and TorchProvider.installed():
            self._reading = BackgroundRun(lambda _progress: ComputerInformation.read(), {})
            self._timer.start()

    @property
    def reading(self):
        return self._reading is not None

    def stop(self):
        self._timer.stop()
        if self._reading is not None:
            # The application may exit next, which must not happen in the middle of importing PyTorch.
            self._reading.poll(EXIT_WAIT_SECONDS)
        self._reading = None

    def setParameterNode(self, parameterNode):
        self._parameterNode = parameterNode
        self._shown = None
        self.update()

    def update(self):
        """Show what the parameter node says. Called at every step of eta, so only what is new is worked out."""
        p = self._parameterNode
        if p is None:
            return
        volumes = [node and (node.GetID(), node.GetImageData()) for node in (p.fixedVolume, p.movingVolume)]
        wanted = (p.model, p.device, p.modality, p.quality, *volumes, self._information)
        if wanted == self._shown:
            return
        self._shown = wanted
        self._updating = True
        try:
            self._select(self._ui.modelComboBox, self._modelNames, self._parameterNode.model)
            self._select(self._ui.deviceComboBox, self._deviceNames, self._parameterNode.device)
        finally:
            self._updating = False
        self._explain()

    def _select(self, box, names, value):
        if value not in names:
            names.append(value)
            box.addItem(os.path.basename(value))
        box.currentIndex = names.index(value)

    def _fill(self):
        self._updating = True
        try:
            self._ui.modelComboBox.clear()
            self._modelNames = ["default"] + [name for name, _description in self._information.models] + ["none"]
            for name in self._modelNames:
                words = {"default": _("Default"), "none": _("None (optimization alone)")}.get(name, name)
                if name in self._information.nonCommercial:
                    words = _("{name} (not for commercial use)").format(name=name)
                self._ui.modelComboBox.addItem(words)
            self._ui.deviceComboBox.clear()
            self._deviceNames = ["auto"] + [device[0] for device in self._information.devices or (("cpu", "", 0),)]
            self._ui.deviceComboBox.addItem(_("Automatic"))
            for _name, words, _free in self._information.devices:
                self._ui.deviceComboBox.addItem(words)
            if not self._information.devices:
                self._ui.deviceComboBox.addItem(_("CPU"))
        finally:
            self._updating = False
        self.update()

    def _onChosen(self, *_index):
        if not self._updating and self._parameterNode is not None:
            self._parameterNode.model = self._modelNames[self._ui.modelComboBox.currentIndex]
            self._parameterNode.device = self._deviceNames[self._ui.deviceComboBox.currentIndex]

    def _onPath(self, path):
        if self._parameterNode is not None and os.path.isfile(path):
            self._parameterNode.model = path

    def _explain(self):
        name = self._parameterNode.model
        if name == "none":
            text = _("No network: the deformation is found by optimization alone.")
        elif name == "default":
            text = self._defaultDescription()
        else:
            text = dict(self._information.models).get(name) or ComputerInformation.describeFile(name)
        self._ui.modelDescriptionLabel.text = text
        self._ui.memoryLabel.text = self._memoryText()

    def _defaultDescription(self):
        """The default is another model for volumes than for single slices."""
        volume = self._parameterNode.fixedVolume
        if volume is None or volume.GetImageData() is None:
            return _("The model that comes with the extension for images of this dimension.")
        dimensions = sum(size > 1 for size in volume.GetImageData().GetDimensions())
        name = f"default{dimensions}d"
        if name not in dict(self._information.models) or name in self._information.nonCommercial:
            return _("No model for {dimensions}-D images comes with this version: optimization alone is used.").format(
                dimensions=dimensions
            )
        return dict(self._information.models)[name] or name

    def _memoryText(self):
        if not self._information.devices:
            if TorchProvider.installed():
                return _("Looking for devices.")
            return _("PyTorch is not installed yet; Register asks for it.")
        chosen = self._parameterNode.device
        device = next((d for d in self._information.devices if d[0] == chosen), self._information.devices[0])
        text = _("{device}: {free:.1f} GB free").format(device=device[1], free=device[2] / 1e9)
        p = self._parameterNode
        need = ComputerInformation.estimatedNeed(p.fixedVolume, p.movingVolume, p.modality.value, p.quality.value)
        if need is None:
            return text
        work, computer = (max(amount / 1e9, 0.1) for amount in need)
        if device[0] == "cpu":
            return _("{text}, about {need:.1f} GB needed").format(text=text, need=computer)
        return _("{text}, about {need:.1f} GB needed there and {computer:.1f} GB of the computer's memory").format(
            text=text, need=work, computer=computer
        )

    def _poll(self):
        if self._reading is None or not self._reading.poll(POLL_WAIT_SECONDS):
            return
        reading, self._reading = self._reading, None
        self._timer.stop()
        try:
            self._information = reading.take()
        except Exception as error:
            if not isinstance(error, DiffuseMorphError):
                logging.error(reading.errorDetails)
            self._ui.memoryLabel.text = TorchProvider.explain(error)
            return
        self._fill()
