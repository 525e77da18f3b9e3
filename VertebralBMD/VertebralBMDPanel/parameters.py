"""The user's choices: kept in a parameter node, so that they are saved with the scene, and made into Settings for a measurement."""

import re
from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper


@parameterNodeWrapper
class VertebralBMDParameterNode:
    """What the widgets with a SlicerParameterName show, step by step; lengths in mm."""

    # Scan
    inputVolume: vtkMRMLScalarVolumeNode
    # Vertebrae: the levels as typed
    levels: str = "L1, L2"
    # ROI
    erosionMm: Annotated[float, WithinRange(2, 20)] = 3.0
    # Calibration
    # Result


def settings_of(parameterNode):
    """The VertebralBMDLib.settings.Settings of a parameter node. Raises ValueError for levels that do not exist."""
    from VertebralBMDLib.anatomy import label_of
    from VertebralBMDLib.settings import Settings

    levels = tuple(re.findall(r"\w+", parameterNode.levels.upper()))
    if not [label_of(level) for level in levels]:
        raise ValueError("Name at least one level, for example L1, L2.")
    return Settings(levels=levels, erosion_mm=parameterNode.erosionMm)
