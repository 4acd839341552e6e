"""Stand-ins for the parts of the Slicer application that the slicer-core wheel does not have.

MRML, the logics, the displayable managers and slicer.util are Slicer's own. PySide6 takes the place of PythonQt, small
classes that of a few ctk and qMRML widgets, of parameterNodeWrapper and of ScriptedLoadableModule. They show the
behaviour the module relies on and no more; what only the application can show is not tested with them.
"""

from .installation import install

__all__ = ["install"]
