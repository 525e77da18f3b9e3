"""The part of slicer.parameterNodeWrapper that the panel uses: node, str and bounded float parameters, bound to widgets."""

import typing

import slicer
import vtk
from PySide6.QtWidgets import QDoubleSpinBox, QLineEdit, QWidget


class WithinRange:
    """Annotation: a number from ``minimum`` to ``maximum``."""

    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum


def parameterNodeWrapper(cls):
    """Class decorator: typed attributes kept in a vtkMRMLScriptedModuleNode; any other annotation is an error."""
    hints = typing.get_type_hints(cls, include_extras=True)
    for name, hint in hints.items():
        setattr(cls, name, _property(name, hint, getattr(cls, name, None)))
    for method in (__init__, connectGui, disconnectGui, AddObserver, RemoveObserver):
        setattr(cls, method.__name__, method)
    cls._names = tuple(hints)
    return cls


def _property(name, hint, default):
    kind = typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint
    if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode):
        return property(
            lambda self: self._node.GetNodeReference(name),
            lambda self, node: self._node.SetNodeReferenceID(name, node.GetID() if node else None),
        )
    if kind not in (str, float):
        raise TypeError(f"The stand-in does not know parameters of type {kind}.")

    def read(self):
        text = self._node.GetParameter(name)
        return kind(text) if text else default

    return property(read, lambda self, value: self._node.SetParameter(name, str(value)))


def __init__(self, node):  # noqa: N807  (becomes a method)
    self._node, self._bound = node, {}


def AddObserver(self, event, callback, priority=0.0):
    return self._node.AddObserver(event, callback, priority)


def RemoveObserver(self, tag):
    self._node.RemoveObserver(tag)


def connectGui(self, ui):
    """Bind every widget with a SlicerParameterName both ways; returns a tag for ``disconnectGui``."""
    tag = len(self._bound)
    bindings = [
        _bind(self, widget) for widget in vars(ui).values() if isinstance(widget, QWidget) and widget.property("SlicerParameterName")
    ]

    def update(caller=None, event=None):
        for show, disconnect in bindings:
            show()

    update()
    observer = self._node.AddObserver(vtk.vtkCommand.ModifiedEvent, update)
    self._bound[tag] = (observer, bindings)
    return tag


def disconnectGui(self, tag):
    observer, bindings = self._bound.pop(tag)
    self._node.RemoveObserver(observer)
    for show, disconnect in bindings:
        disconnect()


def _bind(self, widget):
    name = widget.property("SlicerParameterName")
    assert name in self._names, f"{name} is not a parameter"
    if isinstance(widget, QLineEdit):
        signal, setter = widget.textChanged, widget.setText
    elif isinstance(widget, QDoubleSpinBox):
        signal, setter = widget.valueChanged, widget.setValue
    else:
        signal, setter = widget.currentNodeChanged, widget.setCurrentNode

    def write(value):
        if getattr(self, name) != value:
            setattr(self, name, value)

    signal.connect(write)
    return lambda: setter(getattr(self, name)), lambda: signal.disconnect(write)
