"""The part of slicer.parameterNodeWrapper that the panel uses: node, str, float, int, bool and Choice parameters, bound to widgets."""

import typing

import slicer
import vtk
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLineEdit, QSpinBox, QWidget


class WithinRange:
    """Annotation: a number from ``minimum`` to ``maximum``."""

    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum


class Choice:
    """Annotation: one of the texts in ``choices``, which become the items of the combo box."""

    def __init__(self, choices):
        self.choices = choices


def parameterNodeWrapper(cls):
    """Class decorator: typed attributes kept in a vtkMRMLScriptedModuleNode; any other annotation is an error."""
    hints = typing.get_type_hints(cls, include_extras=True)
    for name, hint in hints.items():
        setattr(cls, name, _property(name, hint, getattr(cls, name, None)))
    for method in (__init__, connectGui, disconnectGui, AddObserver, RemoveObserver):
        setattr(cls, method.__name__, method)
    cls._hints = hints
    return cls


def _property(name, hint, default):
    kind = typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint
    if _node_types(kind):
        return property(
            lambda self: self._node.GetNodeReference(name),
            lambda self, node: self._node.SetNodeReferenceID(name, node.GetID() if node else None),
        )
    if kind not in _READERS:
        raise TypeError(f"The stand-in does not know parameters of type {kind}.")

    def read(self):
        return _READERS[kind](self._node.GetParameter(name)) if name in self._node.GetParameterNames() else default

    return property(read, lambda self, value: self._node.SetParameter(name, str(value)))


def _node_types(hint):
    """Class names of a node class, or of a union of some; none for anything else."""
    kinds = typing.get_args(hint) if typing.get_origin(hint) is typing.Union else (hint,)
    are_nodes = all(isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode) for kind in kinds)
    return [kind.__name__ for kind in kinds] if are_nodes else []


_READERS = {str: str, float: float, int: int, bool: lambda text: text == "True"}


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
    assert name in self._hints, f"{name} is not a parameter"
    if type(widget) is QLineEdit:
        signal, setter = widget.textChanged, widget.setText
    elif type(widget) in (QDoubleSpinBox, QSpinBox):
        signal, setter = widget.valueChanged, widget.setValue
    elif type(widget) is QCheckBox:
        signal, setter = widget.toggled, widget.setChecked
    elif type(widget) is QComboBox:
        choices = next(note for note in self._hints[name].__metadata__ if isinstance(note, Choice)).choices
        widget.clear()
        widget.addItems(list(choices))
        signal, setter = widget.currentTextChanged, widget.setCurrentText
    else:
        widget.setProperty("nodeTypes", _node_types(self._hints[name]))  # As Slicer does, whatever the .ui says.
        signal, setter = widget.currentNodeChanged, widget.setCurrentNode

    def write(value):
        if getattr(self, name) != value:
            setattr(self, name, value)

    signal.connect(write)
    return lambda: setter(getattr(self, name)), lambda: signal.disconnect(write)


API = {each.__name__: each for each in (parameterNodeWrapper, WithinRange, Choice)}
