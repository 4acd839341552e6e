import importlib.util
import math
import os
from dataclasses import dataclass

from slicer.i18n import tr as _

from .TorchProvider import TorchProvider

# What the whole images take beside the work on the coarser grid, measured with volumes of 16-bit voxels: the copies
# that are held while the work goes on, and the most there is when the results are made.
BYTES_PER_VOXEL_HELD = 12
BYTES_PER_VOXEL_DELIVERED = 23


@dataclass(frozen=True)
class ComputerInformation:
    """The models and devices there are. models: (name, description). devices: (name, words, free bytes).
    nonCommercial: names of the models whose terms forbid commercial use."""

    models: tuple = ()
    devices: tuple = ()
    nonCommercial: frozenset = frozenset()

    @staticmethod
    def withoutTorch():
        """What can be said before PyTorch is imported: the names of the bundled models."""
        folder = os.path.join(os.path.dirname(importlib.util.find_spec("DiffuseMorphCore").origin), "weights")
        names = (
            sorted(name[:-3] for name in os.listdir(folder) if name.endswith(".pt")) if os.path.isdir(folder) else []
        )
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
        entries = available_models()
        models = tuple((entry.name, ComputerInformation.describe(entry)) for entry in entries)
        return ComputerInformation(models, devices, frozenset(entry.name for entry in entries if entry.non_commercial))

    @staticmethod
    def describe(entry):
        """What a model's file says about itself, terms included; entry: the core's ModelEntry."""
        text = _("{ndim}-D images. {description} Terms: {terms}").format(
            ndim=entry.ndim, description=entry.description, terms=entry.terms or _("none stated")
        )
        return _("Not for commercial use. {text}").format(text=text) if entry.non_commercial else text

    @staticmethod
    def describeFile(path):
        """The same of a model file; while PyTorch is not imported, and for a file that is none, its name."""
        name = _("Model from a file: {path}").format(path=path)
        if TorchProvider.imported() is None or not os.path.isfile(path):
            return name
        from DiffuseMorphCore.errors import DiffuseMorphError
        from DiffuseMorphCore.networks import model_entry

        try:
            return _("{name}. {text}").format(name=name, text=ComputerInformation.describe(model_entry(path)))
        except DiffuseMorphError as error:
            return str(error)

    @staticmethod
    def estimatedNeed(fixedNode, movingNode, modality, quality):
        """What a registration is estimated to need: (bytes of the device, bytes of the computer's memory).

        The first is for the work on the working grid; where the device is the CPU, the second has it in it. None
        while a volume or PyTorch is missing. modality: "auto", "same" or "different". quality: "fast", "default" or
        "best".
        """
        if TorchProvider.imported() is None or None in (fixedNode, movingNode):
            return None
        if fixedNode.GetImageData() is None or movingNode.GetImageData() is None:
            return None
        from DiffuseMorphCore.grid import Grid
        from DiffuseMorphCore.registration import working_grid

        sides = [
            (size, step)
            for size, step in zip(fixedNode.GetImageData().GetDimensions(), fixedNode.GetSpacing())
            if size > 1
        ]
        if len(sides) not in working_grid.DELIVERED_VOXELS:
            return None
        size, spacing = zip(*sides)
        grid = Grid(
            size,
            spacing,
            (0.0,) * len(sides),
            tuple(float(i == j) for i in range(len(sides)) for j in range(len(sides))),
        )
        voxels = math.prod(working_grid.wanted_shape(grid, quality))
        work = voxels * working_grid.BYTES_PER_VOXEL[modality]
        images = sum(math.prod(node.GetImageData().GetDimensions()) for node in (fixedNode, movingNode)) / 2
        return work, max(work + BYTES_PER_VOXEL_HELD * images, BYTES_PER_VOXEL_DELIVERED * images)
