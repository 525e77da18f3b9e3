"""The user's choices: kept in a parameter node, so that they are saved with the scene, and made into Settings for a measurement."""

import re
from typing import Annotated, Union

from slicer import vtkMRMLLabelMapVolumeNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper


@parameterNodeWrapper
class VertebralBMDParameterNode:
    """What the widgets with a SlicerParameterName show, step by step; lengths in mm."""

    # Scan
    inputVolume: vtkMRMLScalarVolumeNode
    # Vertebrae: the levels as typed, the engine, the user's own bodies instead of it and what their numbers mean, views in the
    # body's own planes
    levels: str = "L1, L2"
    engine: str = "bundled"
    ownBodies: Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode]  # noqa: UP007  (Slicer's selector takes its types from here)
    bodiesNumbering: str = "auto"
    obliqueViews: bool = False
    # ROI
    erosionMm: Annotated[float, WithinRange(2, 20)] = 3.0
    erosionShape: Annotated[str, Choice(["box", "vertebra", "ball"])] = "box"
    region: Annotated[str, Choice(["eroded", "ellipse"])] = "eroded"
    centralFraction: Annotated[float, WithinRange(0.1, 1)] = 0.5
    # Calibration: a request as VertebralBMDLib.calibration.request describes it; a material to convert to or ""; a name of limits
    calibration: str = "auto"
    convertTo: str = ""
    convertFactor: Annotated[float, WithinRange(0.5, 2)] = 1.0
    thresholds: str = "acr"
    # Result: an earlier study to compare with, and the site's own precision in per cent (0: as published)
    earlierStudy: vtkMRMLScalarVolumeNode
    precisionPercent: Annotated[float, WithinRange(0, 20)] = 0.0


def settings_of(parameterNode, volumeNode=None):
    """The VertebralBMDLib.settings.Settings of a parameter node, with what was decided about the volume (default: the chosen one).

    Raises ValueError for levels that do not exist.
    """
    from VertebralBMDLib.anatomy import label_of
    from VertebralBMDLib.calibration_choice import calibration_settings
    from VertebralBMDLib.scene.choices import Choices, choices_of
    from VertebralBMDLib.settings import Settings

    levels = tuple(re.findall(r"\w+", parameterNode.levels.upper()))
    if not [label_of(level) for level in levels]:
        raise ValueError("Name at least one level, for example L1, L2.")
    volumeNode = volumeNode or parameterNode.inputVolume
    choices = choices_of(volumeNode) if volumeNode else Choices()
    settings = Settings(
        levels=levels,
        engine=parameterNode.engine,
        bodies_numbering=parameterNode.bodiesNumbering,
        erosion_mm=parameterNode.erosionMm,
        erosion_shape=parameterNode.erosionShape,
        region=parameterNode.region,
        central_fraction=round(parameterNode.centralFraction, 2),
        **calibration_settings(parameterNode.calibration, parameterNode.convertTo, parameterNode.convertFactor, parameterNode.thresholds),
    )
    return choices.added_to(settings)
