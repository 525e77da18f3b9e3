"""What decides whether a calibration may be used: one check each for the line, its rods and the patient's tissues.

Limits are the policy of qct_facts 2.10 unless a constant says otherwise. A check that warns or fails carries its remedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .line import RodReading, TissueReading

#: Expected slope in mg/cm³ per HU by tube voltage (qct_facts 2.9); between these voltages the band is interpolated.
_SLOPE_BANDS = {80: (0.42, 0.55), 100: (0.53, 0.67), 120: (0.62, 0.82), 140: (0.70, 0.90)}
_SLOPE_LIMITS = (0.35, 1.15)
#: What HU per mg/cm³ look like (qct_facts 1.13).
_INVERTED_BELOW = 3.0
_INTERCEPT_WARN, _INTERCEPT_FAIL = 15.0, 40.0
_R_SQUARED_PASS, _R_SQUARED_FAIL = 0.998, 0.990
#: In mg/cm³; from _WIDE_MG_CM3 on relative to the densest rod, because an 800 rod cannot be made to 3 mg/cm³.
_RMSE_PASS, _RMSE_FAIL, _RMSE_RELATIVE, _WIDE_MG_CM3 = 3.0, 6.0, (0.01, 0.02), 450.0
_NOISE_SOFT_HU, _NOISE_SHARP_HU, _DRIFT_HU = 30.0, 80.0, 5.0

#: HU gates of the tissues (qct_facts 4.4). Twice as far from its middle as the gate reaches, a tissue is something else (our choice).
_TISSUE_GATES = {
    "air": (-1030.0, -980.0),
    "fat": (-130.0, -70.0),
    "muscle": (-5.0, 65.0),
    "blood": (-20.0, 60.0),
    "cortical_bone": (950.0, 1450.0),
}
#: The physics method needs three tissues (qct_facts 4.3); with no more than that nothing is left to check it by.
_FEWEST_TISSUES = 3


@dataclass(frozen=True)
class Check:
    """One calibration check.

    ``status``: pass, warn or fail; ``value``: what was found, None where it is no number or the scan does not say;
    ``limit``: in words, what was asked; ``remedy``: what to do, empty when the check passed.
    """

    code: str
    status: str
    value: float | None
    limit: str
    message: str
    remedy: str = ""


def line_checks(slope: float, intercept: float, kvp: float | None = None) -> tuple[Check, ...]:
    """SLOPE (or SLOPE_INVERTED) and INTERCEPT of a line in mg/cm³ per HU and mg/cm³ (qct_facts 1.13, 2.9, 2.10)."""
    return _slope_check(slope, intercept, kvp), _intercept_check(intercept)


def _slope_check(slope: float, intercept: float, kvp: float | None) -> Check:
    low, high = _SLOPE_LIMITS
    if high < slope <= _INVERTED_BELOW:
        sign = "+" if intercept < 0 else "-"
        return Check(
            "SLOPE_INVERTED",
            "fail",
            slope,
            f"at most {high} mg/cm³ per HU",
            f"A slope of {slope:.4f} looks like HU per mg/cm³: the line is inverted. "
            f"Turned round it is density = {1 / slope:.4f} × HU {sign} {abs(intercept / slope):.2f} mg/cm³.",
            "Invert it: fit density on HU, not HU on density.",
        )
    if not low <= slope <= high:
        limit = f"{low} to {high} mg/cm³ per HU"
        return Check("SLOPE", "fail", slope, limit, "The slope is physically impossible.", "Check the rods and the phantom's certificate.")
    band = slope_band(kvp)
    if band is None:
        message = f"No usual slopes are known for {kvp:g} kVp."
        return Check("SLOPE", "warn", slope, "a tube voltage of 80 to 140 kVp", message, "Judge the slope yourself.")
    voltage = f"{kvp:.0f} kVp" if kvp else "120 kVp, assumed because the header gives none"
    limit = f"{band[0]:.2f} to {band[1]:.2f} at {voltage}"
    if band[0] <= slope <= band[1]:
        return Check("SLOPE", "pass", slope, limit, "The slope agrees with the tube voltage.")
    message = "The slope is unusual for this tube voltage" + (" and may be HU per mg/cm³, an inverted line." if slope > 1.0 else ".")
    return Check("SLOPE", "warn", slope, limit, message, "Check the tube voltage, the rods and the phantom's certificate.")


def slope_band(kvp: float | None) -> tuple[float, float] | None:
    """Lowest and highest usual slope in mg/cm³ per HU (qct_facts 2.9); unknown is taken for 120 kVp; None outside 80-140 kVp."""
    voltages = list(_SLOPE_BANDS)
    # Headers say 119.8 or 140.4 for the nominal voltage.
    nominal = float(round(kvp)) if kvp else 120.0
    if not voltages[0] <= nominal <= voltages[-1]:
        return None
    low, high = (float(np.interp(nominal, voltages, side)) for side in zip(*_SLOPE_BANDS.values()))
    return low, high


def _intercept_check(intercept: float) -> Check:
    return _graded(
        "INTERCEPT",
        intercept,
        _worse_above(abs(intercept), _INTERCEPT_WARN, _INTERCEPT_FAIL),
        f"within ±{_INTERCEPT_WARN:g}, at most ±{_INTERCEPT_FAIL:g} mg/cm³",
        "The intercept is plausible.",
        "Water does not read near zero.",
        "Check the rods, the certificate and the scanner's water calibration.",
    )


def fit_checks(count: int, r_squared: float | None, rmse_mg_cm3: float | None, largest_mg_cm3: float) -> tuple[Check, ...]:
    """ROD_COUNT, R_SQUARED and RMSE of a fit through ``count`` rods of at most ``largest_mg_cm3``; two rods have only the first."""
    rods = _graded(
        "ROD_COUNT",
        count,
        "pass" if count >= 3 else "warn" if count == 2 else "fail",
        "at least 3 rods, fails below 2",
        "There are enough rods to judge the line.",
        "Two rods give a line but no measure of its quality." if count == 2 else "One rod or none gives no line.",
        "Use a phantom of three or more rods, or have all of its rods in the field.",
    )
    if r_squared is None or rmse_mg_cm3 is None:
        return (rods,)
    wide = largest_mg_cm3 > _WIDE_MG_CM3
    good, bad = (part * largest_mg_cm3 for part in _RMSE_RELATIVE) if wide else (_RMSE_PASS, _RMSE_FAIL)
    fitted = _graded(
        "R_SQUARED",
        r_squared,
        "pass" if r_squared >= _R_SQUARED_PASS else "warn" if r_squared >= _R_SQUARED_FAIL else "fail",
        f"at least {_R_SQUARED_PASS}, fails below {_R_SQUARED_FAIL:.3f}",
        "Rods and line agree.",
        "The rods do not lie on one line.",
        "Check the phantom's name, the order of its rods and its certificate.",
    )
    residuals = _graded(
        "RMSE",
        rmse_mg_cm3,
        _worse_above(rmse_mg_cm3, good, bad),
        f"at most {good:.1f}, fails above {bad:.1f} mg/cm³",
        "Residuals are small.",
        "The rods lie far from their line.",
        "Check the rods for artefacts and the phantom's certificate.",
    )
    return rods, fitted, residuals


def reading_checks(readings: Sequence[RodReading], sharp_kernel: bool) -> tuple[Check, ...]:
    """ROD_NOISE and ROD_DRIFT of the worst rod; drift only where it was measured. They warn and never fail (qct_facts 2.10)."""
    if not readings:
        return ()
    limit = _NOISE_SHARP_HU if sharp_kernel else _NOISE_SOFT_HU
    noisy = max(readings, key=lambda reading: reading.sd_hu)
    noise = _graded(
        "ROD_NOISE",
        noisy.sd_hu,
        "warn" if noisy.sd_hu > limit else "pass",
        f"SD at most {limit:g} HU with a {'sharp' if sharp_kernel else 'soft'} kernel",
        "The rods are even.",
        f"Rod {noisy.rod.id} is noisy or uneven.",
        "Look for streaks, air bubbles or a wrongly placed rod; use a softer kernel or more dose.",
    )
    drifts = [reading for reading in readings if reading.drift_hu is not None]
    if not drifts:
        return (noise,)
    drifting = max(drifts, key=lambda reading: abs(reading.drift_hu))
    drift = _graded(
        "ROD_DRIFT",
        drifting.drift_hu,
        "warn" if abs(drifting.drift_hu) > _DRIFT_HU else "pass",
        f"at most ±{_DRIFT_HU:g} HU along the rod",
        "The rods read the same along the scan.",
        f"Rod {drifting.rod.id} changes along the scan.",
        "Look for a tilted phantom, streaks or the end of the phantom beside the vertebrae.",
    )
    return noise, drift


def tissue_checks(readings: Sequence[TissueReading]) -> tuple[Check, ...]:
    """TISSUE_COUNT, and a TISSUE_GATE for each tissue in the order given (HU gates of qct_facts 4.4).

    Raises ValueError for a tissue that has no gate or is given twice.
    """
    names = [reading.name for reading in readings]
    wrong = sorted({name for name in names if name not in _TISSUE_GATES or names.count(name) > 1})
    if wrong:
        raise ValueError(f"tissues must be one each of {', '.join(_TISSUE_GATES)}, not {', '.join(wrong)}")
    count = _graded(
        "TISSUE_COUNT",
        len(names),
        "pass" if len(names) > _FEWEST_TISSUES else "warn" if len(names) == _FEWEST_TISSUES else "fail",
        f"at least {_FEWEST_TISSUES + 1} tissues, fails below {_FEWEST_TISSUES}",
        "Enough tissues were read.",
        f"Only {len(names)} of the patient's tissues could be read.",
        "Use a wider field of view, or a phantom.",
    )
    return (count, *(_gate_check(reading) for reading in readings))


def _gate_check(reading: TissueReading) -> Check:
    low, high = _TISSUE_GATES[reading.name]
    name = reading.name.replace("_", " ")
    return _graded(
        "TISSUE_GATE",
        reading.hu,
        _worse_above(abs(reading.hu - (low + high) / 2), (high - low) / 2, high - low),
        f"{name} {low:g} to {high:g} HU",
        f"The HU of {name} are usual.",
        f"The HU of {name} are unusual.",
        "Check where the tissue was read and whether contrast was given; use a phantom.",
    )


def _worse_above(size: float, warn: float, fail: float) -> str:
    """The status of something that should be small."""
    return "pass" if size <= warn else "warn" if size <= fail else "fail"


def _graded(code: str, value: float | None, status: str, limit: str, good: str, bad: str, remedy: str) -> Check:
    """A check that says ``good`` when it passed, otherwise ``bad`` with the remedy."""
    return Check(code, status, value, limit, good) if status == "pass" else Check(code, status, value, limit, bad, remedy)
