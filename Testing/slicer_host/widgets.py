"""The widgets of Slicer and CTK that VertebralBMD.ui uses, over PySide6, with only what the panel and its tests touch."""

import xml.etree.ElementTree as ElementTree

import slicer
from path_line_edit import ctkPathLineEdit
from PySide6.QtCore import Property, QFile, QRect, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtUiTools import QUiLoader
from PySide6.QtWidgets import QComboBox, QStyle, QStyleOptionButton, QTableWidget, QTableWidgetItem, QWidget


class qMRMLWidget(QWidget):
    """Hands its scene on to the widgets that the .ui connects to it."""

    mrmlSceneChanged = Signal(object)
    isEntered = False

    def setMRMLScene(self, scene):
        self.mrmlSceneChanged.emit(scene)


class qMRMLNodeComboBox(QComboBox):
    """The nodes of some classes in the scene."""

    currentNodeChanged = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene, self._tags, self._types, self._children, self._none = None, [], [], True, False
        self.currentIndexChanged.connect(lambda index: self.currentNodeChanged.emit(self.currentNode()))
        self.destroyed.connect(lambda: self.setMRMLScene(None))

    nodeTypes = Property("QStringList", lambda self: self._types, lambda self, value: setattr(self, "_types", value))
    showChildNodeTypes = Property(bool, lambda self: self._children, lambda self, value: setattr(self, "_children", value))
    noneEnabled = Property(bool, lambda self: self._none, lambda self, value: setattr(self, "_none", value))
    addEnabled = Property(bool, lambda self: False, lambda self, value: None)
    removeEnabled = Property(bool, lambda self: False, lambda self, value: None)

    def setMRMLScene(self, scene):
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene, self._tags = scene, []
        if scene:
            self._tags = [
                scene.AddObserver(event, self._refill) for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent)
            ]
            self._refill()

    def _refill(self, caller=None, event=None):
        current = self.currentNode()
        nodes = [self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes())]
        shown = [node for node in nodes if any(node.IsA(name) if self._children else node.GetClassName() == name for name in self._types)]
        self.blockSignals(True)
        self.clear()
        for node in [None] * self._none + shown:
            self.addItem(node.GetName() if node else "None", node.GetID() if node else "")
        self.setCurrentNode(current)
        self.blockSignals(False)
        if self.currentNode() is not current:
            self.currentNodeChanged.emit(self.currentNode())

    def currentNode(self):
        return self._scene.GetNodeByID(self.currentData()) if self._scene and self.currentData() else None

    def setCurrentNode(self, node):
        self.setCurrentIndex(max(0, self.findData(node.GetID() if node else "")))


class qMRMLTableView(QTableWidget):
    """A read-only view of a vtkMRMLTableNode: first column and column names as headers, rows and columns swapped if asked."""

    _transposed, _node = False, None

    def _setTransposed(self, value):
        # Slicer's own view ignores this while it has no node.
        if self._node:
            self._transposed = value
            self.setMRMLTableNode(self._node)

    transposed = Property(bool, lambda self: self._transposed, _setTransposed)

    def setMRMLScene(self, scene):
        self.scene = scene

    def setMRMLTableNode(self, node):
        self._node = node
        columns = range(1, node.GetNumberOfColumns()) if node else ()
        rows = range(node.GetNumberOfRows()) if node else ()
        cells = [[node.GetCellText(row, column) for column in columns] for row in rows]
        horizontal, vertical = [node.GetColumnName(column) for column in columns], [node.GetCellText(row, 0) for row in rows]
        if self._transposed:
            cells, horizontal, vertical = list(zip(*cells)), vertical, horizontal
        self.clear()
        self.setColumnCount(len(horizontal))
        self.setRowCount(len(vertical))
        self.setHorizontalHeaderLabels(horizontal)
        self.setVerticalHeaderLabels(vertical)
        for row, texts in enumerate(cells):
            for column, text in enumerate(texts):
                self.setItem(row, column, QTableWidgetItem(text))
        self.horizontalHeader().setMinimumSectionSize(60)
        self.resizeColumnsToContents()


class ctkCollapsibleButton(QWidget):
    """A box below a button that folds it."""

    _HEADER = 24

    def __init__(self, parent=None):
        super().__init__(parent)
        self._text, self._collapsed = "", False
        self.setContentsMargins(0, self._HEADER, 0, 0)

    text = Property(str, lambda self: self._text, lambda self, value: setattr(self, "_text", value))

    def _set_collapsed(self, collapsed):
        self._collapsed = collapsed
        self.setMaximumHeight(self._HEADER if collapsed else 16777215)
        for child in self.findChildren(QWidget, options=Qt.FindDirectChildrenOnly):
            child.setVisible(not collapsed)

    collapsed = Property(bool, lambda self: self._collapsed, _set_collapsed)

    def showEvent(self, event):
        self._set_collapsed(self._collapsed)

    def mousePressEvent(self, event):
        if event.position().y() < self._HEADER:
            self._set_collapsed(not self._collapsed)

    def paintEvent(self, event):
        option = QStyleOptionButton()
        option.initFrom(self)
        option.rect = QRect(0, 0, self.width(), self._HEADER)
        option.text = ("▸  " if self._collapsed else "▾  ") + self._text
        self.style().drawControl(QStyle.CE_PushButton, option, QPainter(self), self)


class UiLoader(QUiLoader):
    """QUiLoader that knows the widgets above and wires the .ui's connections to their Python slots."""

    def __init__(self):
        super().__init__()
        for widget in (qMRMLWidget, qMRMLNodeComboBox, qMRMLTableView, ctkCollapsibleButton, ctkPathLineEdit):
            self.registerCustomWidget(widget)

    def load(self, file: QFile):
        text = bytes(file.readAll().data())
        tree = ElementTree.fromstring(text)
        wires = [[wire.findtext(tag) for tag in ("sender", "signal", "receiver", "slot")] for wire in tree.iter("connection")]
        for connections in tree.findall("connections"):
            tree.remove(connections)  # Qt would look for C++ slots of these names.
        file.close()
        top = super().load(_buffer(ElementTree.tostring(tree)))
        for sender, signal, receiver, slot in wires:
            getattr(_named(top, sender), signal.partition("(")[0]).connect(getattr(_named(top, receiver), slot.partition("(")[0]))
        return top


def _buffer(text):
    from PySide6.QtCore import QBuffer

    buffer = QBuffer()
    buffer.setData(text)
    buffer.open(QBuffer.ReadOnly)
    return buffer


def _named(top, name):
    return top if top.objectName() == name else top.findChild(QWidget, name)


for stand_in in (qMRMLWidget, qMRMLNodeComboBox, qMRMLTableView):
    setattr(slicer, stand_in.__name__, stand_in)
