import vtk


class ParameterConnection:
    """The widgets of a .ui file bound to a parameter node, and a call at every change of it, until end() is called."""

    def __init__(self, parameters, ui, onModified):
        """parameters: a parameter node wrapper. onModified: called after the widgets, without arguments."""
        self._node = parameters.parameterNode
        self._parameters = parameters
        self._tags = []
        # Slicer 5.10 never removes the observer that connectGui adds, so that every visit to the module would make each
        # step of the slider slower. The wrapper adds it with its own AddObserver, which is looked at meanwhile.
        parameters.AddObserver = self._observe
        try:
            self._guiTag = parameters.connectGui(ui)
        finally:
            del parameters.AddObserver
        self._observe(vtk.vtkCommand.ModifiedEvent, lambda caller, event: onModified())

    def _observe(self, event, callback, priority=0.0):
        self._tags.append(self._node.AddObserver(event, callback, priority))
        return self._tags[-1]

    def end(self):
        self._parameters.disconnectGui(self._guiTag)
        for tag in self._tags:
            self._node.RemoveObserver(tag)
