import os
import sys

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule

_moduleFolder = os.path.dirname(os.path.abspath(__file__))
# Installed, DiffuseMorphCore lies beside this file. In the source tree, added to Additional module paths, it is one up.
# It goes first, so that a copy of another version in site-packages is not mistaken for it.
for _folder in (os.path.dirname(_moduleFolder), _moduleFolder):
    if os.path.isfile(os.path.join(_folder, "DiffuseMorphCore", "__init__.py")) and sys.path[:1] != [_folder]:
        sys.path.insert(0, _folder)
if _moduleFolder not in sys.path:
    sys.path.append(_moduleFolder)

from DiffuseMorphSlicerLib.Logic import DiffuseMorphSlicerLogic
from DiffuseMorphSlicerLib.ParameterNode import DiffuseMorphSlicerParameterNode
from DiffuseMorphSlicerLib.SampleImages import registerSampleImages
from DiffuseMorphSlicerLib.SelfTest import DiffuseMorphSlicerTest
from DiffuseMorphSlicerLib.Widget import DiffuseMorphSlicerWidget

__all__ = [
    "DiffuseMorphSlicer",
    "DiffuseMorphSlicerLogic",
    "DiffuseMorphSlicerParameterNode",
    "DiffuseMorphSlicerTest",
    "DiffuseMorphSlicerWidget",
]


class DiffuseMorphSlicer(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("DiffuseMorph")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.dependencies = []
        self.parent.contributors = ["The DiffuseMorph contributors"]
        self.parent.helpText = _(
            "Deforms one volume into another and lets you watch it happen: choose a fixed and a moving volume, press "
            "Register, and drag eta from 0 (aligned) to 1 (registered)."
        )
        self.parent.acknowledgementText = _(
            "After Kim, Han and Ye: DiffuseMorph: Unsupervised Deformable Image Registration Using Diffusion Model, "
            "ECCV 2022."
        )
        slicer.app.connect("startupCompleted()", registerSampleImages)
