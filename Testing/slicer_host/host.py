"""A process that looks like Slicer to VertebralBMD.py. See README.md; call ``start`` before importing the module."""

import ctypes
import importlib.util
import os
import sys
import types
import unittest
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "VertebralBMD" / "VertebralBMD.py"

#: What modules have connected to signals of the application: (signal, slot).
STARTUP = []


def start():
    """Put the stand-ins where Slicer has the real things. Idempotent; returns the slicer module."""
    import slicer

    if hasattr(slicer, "app"):
        return slicer
    _use_readable_fonts()
    _keep_singletons_alive()
    from PySide6 import QtCore, QtGui, QtWidgets

    slicer.qtApplication = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    sys.path[:0] = [str(Path(__file__).parent), str(MODULE.parent)]  # Slicer, too, has the folder of a module on its path.
    import parameter_node
    import segment_editor
    import widgets

    names = {name: getattr(module, name) for module in (QtCore, QtGui, QtWidgets) for name in dir(module) if not name.startswith("_")}
    _module("qt", **names | {"QUiLoader": widgets.UiLoader})
    _module("ctk", ctkCollapsibleButton=widgets.ctkCollapsibleButton, ctkPathLineEdit=widgets.ctkPathLineEdit)
    _module("slicer.i18n", tr=lambda text: text, translate=lambda context, text: text)
    _module("slicer.parameterNodeWrapper", **parameter_node.API)
    _module(
        "slicer.ScriptedLoadableModule",
        ScriptedLoadableModule=ScriptedLoadableModule,
        ScriptedLoadableModuleWidget=ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic=ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest=unittest.TestCase,
    )
    slicer.app = types.SimpleNamespace(
        layoutManager=lambda: None,
        testingEnabled=lambda: True,
        applicationName="Stand-in",
        applicationVersion="5.13.0",
        connect=lambda signal, slot: STARTUP.append((signal, slot)),
    )
    slicer.qMRMLSegmentEditorWidget = segment_editor.qMRMLSegmentEditorWidget
    slicer.app.processEvents = slicer.qtApplication.processEvents
    slicer.modules = types.SimpleNamespace()
    slicer.util.getModuleWidget = lambda name: getattr(slicer.modules, f"{name}Widget")
    slicer.util.childWidgetVariables = lambda top: types.SimpleNamespace(
        **{child.objectName(): child for child in top.findChildren(QtWidgets.QWidget) if child.objectName()}
    )
    slicer.mrmlScene = slicer.vtkMRMLScene()
    slicer.segmentationsLogic = slicer.vtkSlicerSegmentationsModuleLogic()
    slicer.segmentationsLogic.SetMRMLScene(slicer.mrmlScene)
    return slicer


def _use_readable_fonts():
    """The offscreen platform brings no fonts; matplotlib does."""
    import matplotlib

    os.environ.setdefault("QT_QPA_FONTDIR", str(Path(matplotlib.get_data_path()) / "fonts" / "ttf"))


def _keep_singletons_alive():
    """PySide6 6.12 returns None, True and False without a reference of their own, which before Python 3.12 uses them up."""
    if sys.version_info < (3, 12):
        for singleton in (None, True, False):
            ctypes.c_ssize_t.from_address(id(singleton)).value += 1 << 40


def _module(name, **content):
    module = types.ModuleType(name)
    vars(module).update(content)
    sys.modules[name] = module
    parent, dot, child = name.rpartition(".")
    if dot:
        setattr(sys.modules[parent], child, module)


def load_module():
    """Execute VertebralBMD.py anew, as Slicer does when it starts and when the user reloads the module."""
    spec = importlib.util.spec_from_file_location("VertebralBMD", MODULE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["VertebralBMD"] = module
    spec.loader.exec_module(module)
    return module


def open_panel(module):
    """The module's widget, set up and entered, in a window of its own."""
    import slicer

    parent = slicer.qMRMLWidget()
    parent.setLayout(sys.modules["qt"].QVBoxLayout())
    parent.isEntered = True
    widget = module.VertebralBMDWidget(parent)
    slicer.modules.VertebralBMDWidget = widget
    widget.setup()
    widget.enter()
    return widget


class ScriptedLoadableModule:
    """Holds what the module says about itself."""

    def __init__(self, parent):
        self.parent = parent


class ScriptedLoadableModuleWidget:
    """The base of a panel: its parent widget, its layout, its resources, reloading."""

    def __init__(self, parent=None):
        super().__init__()
        self.parent = parent
        self.layout = parent.layout()

    def setup(self):
        pass

    def resourcePath(self, name):
        return str(MODULE.parent / "Resources" / name)

    def onReload(self):
        """In Slicer's order: the new code is loaded, the old panel cleaned up, a new one set up."""
        module = load_module()
        self.cleanup()
        open_panel(module)


class ScriptedLoadableModuleLogic:
    """Keeps the module's singleton parameter node."""

    def __init__(self, parent=None):
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self):
        import slicer

        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(self.moduleName)
            node.SetAttribute("ModuleName", self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        return node
