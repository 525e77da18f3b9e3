"""Step 3, ROI: bodies and regions of interest as segments, and their rule."""

from .step import Step


class RoiStep(Step):
    """Step 3, ROI."""

    UI = "RoiStep"
