import importlib.util
import logging
import platform
import sys

from slicer.i18n import tr as _

from DiffuseMorphCore.errors import DiffuseMorphError, is_out_of_memory

MINIMUM_VERSION = "2.4"


class TorchProvider:
    """PyTorch, as the PyTorch extension installs it. Nothing is installed or imported before ensure() is called."""

    _installing = False

    @staticmethod
    def imported():
        """The torch module; None while it is not imported, and while a thread is in the middle of importing it."""
        torch = sys.modules.get("torch")
        return None if getattr(getattr(torch, "__spec__", None), "_initializing", False) else torch

    @staticmethod
    def installed():
        """Whether torch could be imported, found out without importing it."""
        return "torch" in sys.modules or importlib.util.find_spec("torch") is not None

    @staticmethod
    def ensure():
        """Make torch importable, asking the user before anything is installed. Call from the main thread.

        Raises DiffuseMorphError when the PyTorch extension is missing, or the installation was declined or is broken.
        """
        if not TorchProvider.installed():
            TorchProvider._install()
        TorchProvider._check()

    @staticmethod
    def _install():
        # The installation lets the application go on, in which the user may ask for it again.
        if TorchProvider._installing:
            raise DiffuseMorphError(_("PyTorch is being installed: wait until that is done."))
        TorchProvider._installing = True
        try:
            TorchProvider._installByExtension()
            importlib.invalidate_caches()
        finally:
            TorchProvider._installing = False

    @staticmethod
    def _installByExtension():
        if sys.platform == "darwin" and platform.machine() == "x86_64":
            raise DiffuseMorphError(
                _(
                    "PyTorch {needed} is not made for Macs with Intel processors, nor for Slicer under Rosetta: use "
                    "Slicer on Linux or Windows, or the Python package on a Mac with an Apple processor."
                ).format(needed=MINIMUM_VERSION)
            )
        try:
            import PyTorchUtils
        except ImportError as error:
            raise DiffuseMorphError(
                _(
                    "PyTorch is not installed: install the PyTorch extension in the Extensions "
                    "Manager, restart Slicer, and press Register again."
                )
            ) from error
        logic = PyTorchUtils.PyTorchUtilsLogic()
        try:
            torch = logic.installTorch(askConfirmation=True, torchVersionRequirement=f">={MINIMUM_VERSION}")
        except Exception as error:
            logging.exception("Installing PyTorch failed")
            raise DiffuseMorphError(
                _(
                    "PyTorch could not be installed: see the application log, then install it in the "
                    "PyTorch Utils module and press Register again."
                )
            ) from error
        if torch is None:
            raise DiffuseMorphError(
                _("PyTorch is needed and was not installed: press Register again to be asked once more.")
            )

    @staticmethod
    def _check():
        try:
            import torch

            version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
        except Exception as error:
            logging.exception("PyTorch cannot be used")
            raise DiffuseMorphError(
                _(
                    "The PyTorch installation is broken: uninstall PyTorch in the PyTorch Utils "
                    "module, restart Slicer, and install it there again."
                )
            ) from error
        if version < tuple(int(part) for part in MINIMUM_VERSION.split(".")):
            raise DiffuseMorphError(
                _(
                    "PyTorch {installed} is too old, {needed} or newer is needed: uninstall PyTorch "
                    "in the PyTorch Utils module, restart Slicer, and press Register again."
                ).format(installed=torch.__version__, needed=MINIMUM_VERSION)
            )

    @staticmethod
    def releaseMemory():
        """Give unused memory of the GPU back."""
        torch = TorchProvider.imported()
        if torch is None:
            return
        import gc

        gc.collect()
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        if torch.backends.mps.is_available():
            torch.mps.empty_cache()

    @staticmethod
    def explain(error):
        """The sentence to show for an exception that stopped the work."""
        if isinstance(error, DiffuseMorphError):
            return str(error)
        if is_out_of_memory(error):
            return _(
                "There was not enough memory: choose the device CPU, close other volumes, or crop the volumes, and "
                "try again."
            )
        return _("The work failed ({kind}: {text}): see the application log for details.").format(
            kind=type(error).__name__, text=error
        )
