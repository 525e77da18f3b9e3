"""ctkPathLineEdit over PySide6: a line for a path, without the dialog behind its button."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget


class ctkPathLineEdit(QWidget):
    """What the panel touches of it: ``currentPath``, its signal, and what files are offered."""

    Files = 2
    currentPathChanged = Signal(str)
    filters = nameFilters = None

    def __init__(self, parent=None):
        super().__init__(parent)
        self.edit = QLineEdit(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.edit)
        self.setFocusProxy(self.edit)
        self.edit.textChanged.connect(self.currentPathChanged)

    def currentPath(self):
        return self.edit.text()

    def setCurrentPath(self, path):
        self.edit.setText(path)
