"""Several volumes measured one after the other by the panel's worker."""

import slicer
from slicer.i18n import tr as _

from VertebralBMDLib import scene
from VertebralBMDLib.report import words


class Queue:
    """The volumes that wait for their turn. A refusal or an error of one does not stop the rest; cancelling stops all."""

    def __init__(self, panel):
        self._panel = panel
        self._waiting, self._current, self._total = [], None, 0
        self._ends = []

    def start(self, volumeNodes):
        """Measure these volumes, each with the chosen settings and what was decided about it."""
        self._waiting = [node.GetID() for node in volumeNodes]
        self._total, self._ends, self._current = len(self._waiting), [], None
        self.proceed()

    def proceed(self, ended=False):
        """Go on with the next volume. ``ended``: the run of the present one has ended, and the panel has said how."""
        if self._current is None and ended:
            return  # A run that the user started alone.
        if ended:
            self._note()
        while self._waiting and self._current is None:
            self._current = self._waiting.pop(0)
            node = slicer.mrmlScene.GetNodeByID(self._current)
            if node is None or not self._panel.measure(node):
                self._note()
        self._panel.refresh()

    def clear(self):
        """Let nothing follow the present run."""
        self._waiting, self._current = [], None

    def sentences(self):
        """What became of each volume, a line each, and how many are to come; "" where none was asked for."""
        lines = list(self._ends)
        if self._current is not None:
            lines.append(_("Measuring {number} of {total}…").format(number=len(self._ends) + 1, total=self._total))
        elif len(self._ends) < self._total:
            lines.append(_("Stopped after {number} of {total}.").format(number=len(self._ends), total=self._total))
        return "\n".join(lines)

    def _note(self):
        """Keep how the present volume ended."""
        node = slicer.mrmlScene.GetNodeByID(self._current)
        document = scene.measurement_of(node)[0] if node and not self._panel.said else None
        if document is not None:
            patient = document["patient"]
            sign = "✗" if patient["refusals"] else "✓"
            said = words.CATEGORIES[patient["category"]]
            if "vbmd_mg_cm3" in patient:
                said = f"{words.number(patient['vbmd_mg_cm3'])} {words.unit(document)}, {said}"
        else:
            sign, said = "✗", self._panel.said or _("The volume is no longer in the scene.")
        self._ends.append(f"{sign} {node.GetName() if node else _('Removed volume')}: {said}")
        self._current = None
