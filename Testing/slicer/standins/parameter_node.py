"""slicer.parameterNodeWrapper: typed access to a parameter node, and its connection with widgets.

As unkind as Slicer's own in 5.10: a value is read when the wrapper is made and then only on the parameter node's own
ModifiedEvent, so that a reference whose node arrives later stays None; and disconnectGui leaves its observer behind.
"""

from __future__ import annotations

import enum
import pathlib
import types
import typing
import weakref

import slicer
import vtk

NAME = "SlicerParameterName"


class WithinRange:
    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value):
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


class _Parameter:
    """One typed value of the node: how it is checked, written and read."""

    def __init__(self, name, annotation, default):
        stripped = typing.Annotated[annotation, "end"]
        self.name = name
        self.type, *extra = typing.get_args(stripped)
        self.validators = [e for e in extra[:-1]]
        options = typing.get_args(self.type) if typing.get_origin(self.type) is typing.Union else (self.type,)
        self.classes = tuple(o for o in options if o is not type(None))
        self.isNode = issubclass(self.classes[0], slicer.vtkMRMLNode)
        self.isEnum = issubclass(self.classes[0], enum.Enum)
        self.default = default if default is not None or self.isNode else self._first()

    def _first(self):
        return next(iter(self.type)) if self.isEnum else self.type()

    def write(self, node, value):
        if value is None and not self.isNode:
            raise ValueError("Value must not be None")
        accepted = (int, float) if self.classes == (float,) else self.classes
        if value is not None and not isinstance(value, accepted):
            raise TypeError(f"Value must be of type '{self.type}', is type '{type(value)}' value '{value}'")
        for validator in self.validators:
            validator.validate(value)
        if self.isNode:
            wasModifying = node.StartModify()
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
            node.EndModify(wasModifying)
        else:
            node.SetParameter(self.name, value.name if self.isEnum else str(value))

    def isIn(self, node):
        return node.HasParameter(self.name)

    def read(self, node):
        if not self.isIn(node):
            self.write(node, self.default)
        if self.isNode:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if self.isEnum:
            return self.type[text]
        return text == "True" if self.type is bool else self.type(text)


class _Connector:
    """The value of one widget as a parameter has it."""

    def __init__(self, widget, parameter):
        self.widget, self.parameter = widget, parameter
        kind = type(widget).__name__
        if kind in ("QCheckBox", "QPushButton") and parameter.type is bool:
            self.signal, self.property = widget.toggled, "checked"
        elif (
            kind in ("QSpinBox", "QSlider")
            and parameter.type is int
            or (kind in ("QDoubleSpinBox", "ctkSliderWidget") and parameter.type is float)
        ):
            self.signal, self.property = widget.valueChanged, "value"
            for validator in parameter.validators:
                widget.setProperty("minimum", validator.minimum)
                widget.setProperty("maximum", validator.maximum)
        elif kind == "QComboBox" and parameter.isEnum:
            self.signal, self.property = widget.currentIndexChanged, "currentIndex"
            widget.clear()
            for choice in parameter.type:
                widget.addItem(choice.label() if hasattr(choice, "label") else choice.name)
        elif kind == "QLineEdit" and parameter.type is str:
            self.signal, self.property = widget.textChanged, "text"
        elif kind == "ctkPathLineEdit" and parameter.type is pathlib.Path:
            self.signal, self.property = widget.currentPathChanged, "currentPath"
        elif kind == "qMRMLNodeComboBox" and parameter.isNode:
            self.signal, self.property = widget.currentNodeChanged, None
            widget.setProperty("nodeTypes", [c().GetClassName() for c in parameter.classes])
        else:
            raise RuntimeError(f"Unable to create GUI connector from datatype '{parameter.type}' to '{kind}'")

    def read(self):
        if self.property is None:
            return self.widget.currentNode()
        value = self.widget.property(self.property)
        if self.parameter.isEnum:
            return list(self.parameter.type)[value]
        return self.parameter.type(value)

    def write(self, value):
        if self.property is None:
            self.widget.setCurrentNode(value)
        elif self.parameter.isEnum:
            self.widget.setProperty(self.property, list(self.parameter.type).index(value))
        else:
            self.widget.setProperty(self.property, str(value) if isinstance(value, pathlib.Path) else value)


class _Value:
    """A parameter of one node, kept as it was read last."""

    def __init__(self, parameter, node):
        self.parameter, self.node = parameter, node
        self._cached = parameter.read(node)
        self._writing = False
        myself = weakref.ref(self)
        self._tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: myself()._modified())

    def __del__(self):
        self.node.RemoveObserver(self._tag)

    def _modified(self):
        if not self._writing:
            self._cached = self.parameter.read(self.node)

    def read(self):
        # Slicer keeps no value of a choice among several node classes.
        return self.parameter.read(self.node) if len(self.parameter.classes) > 1 else self._cached

    def write(self, value):
        self._writing = True
        try:
            with slicer.util.NodeModify(self.node):
                self.parameter.write(self.node, value)
                self._cached = self.parameter.read(self.node)
        finally:
            self._writing = False


class _Wrapper:
    def __init__(self, parameterNode):
        self.parameterNode = parameterNode
        self._connections, self._nextTag, self._updating = {}, 0, False
        self._values = {}
        for parameter in self.allParameters.values():
            if not parameter.isIn(parameterNode):
                parameter.write(parameterNode, parameter.default)
            self._values[parameter.name] = _Value(parameter, parameterNode)

    def connectGui(self, gui):
        """gui: what slicer.util.childWidgetVariables gives."""
        widgets = {w.property(NAME): w for w in gui.__dict__.values() if w.property(NAME)}
        connections = []
        for name, widget in widgets.items():
            connector = _Connector(widget, self.allParameters[name])
            connector.write(getattr(self, name))

            def changed(*_, name=name, connector=connector):
                with slicer.util.NodeModify(self):
                    if not self._updating:
                        setattr(self, name, connector.read())

            connector.signal.connect(changed)
            connections.append((name, connector, changed))
        tag = self._nextTag
        self._nextTag += 1
        self._connections[tag] = connections
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._update())
        return tag

    def disconnectGui(self, tag):
        for _, connector, changed in self._connections.pop(tag, []):
            connector.signal.disconnect(changed)

    def _update(self):
        if self._updating:
            return
        self._updating = True
        try:
            with slicer.util.NodeModify(self):
                for connections in self._connections.values():
                    for name, connector, _ in connections:
                        connector.write(getattr(self, name))
        finally:
            self._updating = False

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        self.parameterNode.RemoveObserver(tag)

    def StartModify(self):
        return self.parameterNode.StartModify()

    def EndModify(self, wasModifying):
        return self.parameterNode.EndModify(wasModifying)


def parameterNodeWrapper(described):
    hints = typing.get_type_hints(described, include_extras=True)
    parameters = {name: _Parameter(name, hint, getattr(described, name, None)) for name, hint in hints.items()}
    members = {
        name: property(
            lambda self, name=name: self._values[name].read(),
            lambda self, value, name=name: self._values[name].write(value),
        )
        for name in parameters
    }
    members.update(allParameters=parameters, __doc__=described.__doc__, __module__=described.__module__)
    return type(described.__name__, (_Wrapper,), members)


def module() -> types.ModuleType:
    wrapper = types.ModuleType("slicer.parameterNodeWrapper")
    wrapper.parameterNodeWrapper = parameterNodeWrapper
    wrapper.WithinRange = WithinRange
    return wrapper
