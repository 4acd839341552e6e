import importlib.util
import os
from dataclasses import dataclass

from slicer.i18n import tr as _


@dataclass(frozen=True)
class ComputerInformation:
    """The models and devices there are. models: (name, description). devices: (name, words, free bytes)."""

    models: tuple = ()
    devices: tuple = ()

    @staticmethod
    def withoutTorch():
        """What can be said before PyTorch is imported: the names of the bundled models."""
        folder = os.path.join(os.path.dirname(importlib.util.find_spec("DiffuseMorphCore").origin), "weights")
        names = sorted(name[:-3] for name in os.listdir(folder) if name.endswith(".pt")) if os.path.isdir(folder) else []
        return ComputerInformation(tuple((name, "") for name in names))

    @staticmethod
    def read():
        """Everything; imports PyTorch, which takes seconds, so call it in a thread of its own."""
        import torch
        from DiffuseMorphCore.devices import describe_device, free_memory
        from DiffuseMorphCore.networks import available_models

        names = ["cuda"] if torch.cuda.is_available() else []
        if torch.cuda.is_available() and torch.cuda.device_count() > 1:
            names = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        if torch.backends.mps.is_available():
            names.append("mps")
        names.append("cpu")
        devices = tuple((name, describe_device(torch.device(name)), free_memory(torch.device(name))) for name in names)
        models = tuple((entry.name, _("{ndim}-D images. {description} Terms: {terms}").format(
            ndim=entry.ndim, description=entry.description, terms=entry.terms)) for entry in available_models())
        return ComputerInformation(models, devices)

    @staticmethod
    def estimatedNeed(volumeNode, model):
        """Bytes that registering to a volume is estimated to need, None while PyTorch or the volume is missing."""
        return None
