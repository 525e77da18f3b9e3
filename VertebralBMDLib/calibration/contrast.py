"""Whether a scan was taken with intravenous contrast medium, by the blood in the aorta; the header alone is not believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..scan import Acquisition
from .line import TissueReading

#: Blood below the first reads as it is, above the second it carries iodine (HU). Unenhanced: 29-50 HU in most patients (see
#: `physics`), little changed by the tube voltage (+4 HU at 80 kVp); with medium more than 80-100 HU (qct_facts 4.8), and more at low voltages.
#: What lies between may be much red blood, a badly set scanner or a late phase.
_PLAIN_HU, ENHANCED_HU = 70.0, 80.0


@dataclass(frozen=True)
class ContrastFinding:
    """``contrast``: yes, no or unknown. ``header_disagrees``: the header states something and the blood something else."""

    contrast: str
    header_disagrees: bool


def contrast_of(tissues: Sequence[TissueReading], acquisition: Acquisition) -> ContrastFinding:
    """What the aorta says about contrast medium.

    A median of a cubic centimetre of blood and more: noise and kernel do not move it. Without an aorta, or with blood
    of 70-80 HU, a header that names an agent is believed and silence means unknown, because agents are often not recorded.
    """
    blood = blood_hu(tissues)
    stated = acquisition.contrast
    if blood is None or _PLAIN_HU <= blood <= ENHANCED_HU:
        return ContrastFinding("yes" if stated == "yes" else "unknown", False)
    seen = "yes" if blood > ENHANCED_HU else "no"
    return ContrastFinding(seen, stated in ("yes", "no") and stated != seen)


def blood_hu(tissues: Sequence[TissueReading]) -> float | None:
    """HU of the blood in the aorta, None where it was not found."""
    return next((tissue.hu for tissue in tissues if tissue.name == "blood"), None)
