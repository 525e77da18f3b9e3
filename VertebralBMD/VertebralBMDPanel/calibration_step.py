"""Step 4, Calibration: how Hounsfield units become densities."""

from .step import Step


class CalibrationStep(Step):
    """Step 4, Calibration."""

    UI = "CalibrationStep"
