"""What the five steps of the panel have in common."""

from dataclasses import dataclass

import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

#: For each mark: the sign before the step's title, and what it means in words.
_MARKS = {
    "": ("", ""),
    "running": ("…", _("At work.")),
    "pass": ("✓", _("In order.")),
    "warn": ("⚠", _("In order, with reservations.")),
    "fail": ("✗", _("Refused.")),
}


@dataclass(frozen=True)
class PanelState:
    """What the steps show: nodes that may be None, measurement.json of the volume or None, and whether a measurement runs."""

    parameterNode: object = None
    volume: object = None
    document: dict = None
    tableNode: object = None
    segmentationNode: object = None
    running: bool = False


def value_of(qt_property):
    """The value of a Qt property, which is an attribute in PythonQt and a method in PySide6: ``value_of(label.text)``."""
    return qt_property() if callable(qt_property) else qt_property


class Step(VTKObservationMixin):
    """A collapsible button of the panel with the widgets of Resources/UI/<UI>.ui in it.

    Their names are unique in the panel, and ``self.ui`` has them as attributes. Subclasses override ``update``, and
    ``cleanup`` where they hold more than observers.
    """

    UI = ""

    #: Whether the widgets can be used while a measurement runs.
    USABLE_WHILE_RUNNING = False

    def __init__(self, panel, button):
        VTKObservationMixin.__init__(self)
        self.panel, self.button = panel, button
        self._title, self._purpose = value_of(button.text), value_of(button.toolTip)
        self.widget = slicer.util.loadUI(panel.resourcePath(f"UI/{self.UI}.ui"))
        button.layout().addWidget(self.widget)
        self.widget.setMRMLScene(slicer.mrmlScene)
        self.ui = slicer.util.childWidgetVariables(self.widget)

    def update(self, state):
        """Show what is so. Called on every change of the choices, the measurement or the run, with a PanelState; must be quick.

        Observers that were removed by ``cleanup`` come back here.
        """

    def handOver(self, settings, images):
        """The Settings for the next measurement of the chosen volume; label maps that go with them are added to ``images``.

        Raises Refused or ValueError where what was chosen cannot be used.
        """
        return settings

    def setStatus(self, mark, words=""):
        """Say by a sign in the title and by words in its tooltip how the step stands; mark: "", running, pass, warn or fail."""
        sign, meaning = _MARKS[mark]
        self.button.setProperty("text", f"{sign} {self._title}".strip())
        self.button.setToolTip(f"{self._purpose} {words or meaning}".strip())

    def cleanup(self):
        """Let go of the scene. Called when the scene closes, when the panel is left and when it goes; ``update`` may follow."""
        self.removeObservers()
