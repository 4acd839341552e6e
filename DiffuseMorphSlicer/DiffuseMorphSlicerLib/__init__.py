"""The parts of the DiffuseMorph module, one class a file. Nothing here imports torch with the module."""

from .CorePackage import importCore

importCore()
