"""Step 2, Vertebrae: the levels to measure, and those found."""

from .step import Step


class VertebraeStep(Step):
    """Step 2, Vertebrae."""

    UI = "VertebraeStep"
