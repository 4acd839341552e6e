import slicer
from DiffuseMorphSlicerLib.Logic import DiffuseMorphSlicerLogic
from DiffuseMorphSlicerLib.ParameterNode import DiffuseMorphSlicerParameterNode
from DiffuseMorphSlicerLib.SampleImages import registerSampleImages
from DiffuseMorphSlicerLib.SelfTest import DiffuseMorphSlicerTest
from DiffuseMorphSlicerLib.Widget import DiffuseMorphSlicerWidget
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule

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
        self.parent.dependencies = ["Sequences"]
        self.parent.contributors = ["The DiffuseMorph contributors"]
        self.parent.helpText = _(
            "Deforms one volume into another and lets you watch it happen: choose a fixed and a moving volume, press "
            "Register, and drag eta from 0 (aligned) to 1 (registered). "
            '<a href="https://github.com/DiffuseMorph/SlicerDiffuseMorph'
            '/blob/main/Resources/Documentation/slicer.md">Tutorial and documentation</a>.'
        )
        self.parent.acknowledgementText = _(
            "After Kim, Han and Ye: DiffuseMorph: Unsupervised Deformable Image Registration Using Diffusion Model, "
            'ECCV 2022, <a href="https://doi.org/10.1007/978-3-031-19821-2_20">doi:10.1007/978-3-031-19821-2_20</a>.'
        )
        slicer.app.connect("startupCompleted()", registerSampleImages)
