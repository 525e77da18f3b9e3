"""Whether a phantom that was scanned alone speaks for a patient's scan: the checks of asynchronous calibration.

Limits are the policy of qct_facts 2.10. What a header does not say is a warning by name, never a silent pass.
"""

from __future__ import annotations

from datetime import date

from ..scan import Acquisition
from .checks import Check

_AGE_WARN_DAYS, _AGE_FAIL_DAYS = 30, 90
_TABLE_HEIGHT_MM = 30.0
#: Headers say 119.8 for 120.
_SAME_KVP = 1.0
#: Scanners have one scan field for heads and limbs and one for bodies; a wider reconstruction needs the body's (our choice).
_BODY_FIELD_MM = 250.0
_SAME_PROTOCOL = "Scan the phantom with the patients' protocol."


def matching_checks(phantom_scan: Acquisition, scan: Acquisition) -> tuple[Check, ...]:
    """SCANNER, TUBE_VOLTAGE, KERNEL_CLASS, TABLE_HEIGHT, FIELD_OF_VIEW and PHANTOM_AGE of ``scan`` against the phantom's."""
    return (
        _scanner(phantom_scan, scan),
        _tube_voltage(phantom_scan, scan),
        _kernel_class(phantom_scan, scan),
        _table_height(phantom_scan, scan),
        _field_of_view(phantom_scan, scan),
        _phantom_age(phantom_scan, scan),
    )


def _scanner(phantom_scan: Acquisition, scan: Acquisition) -> Check:
    limit = "the same scanner"
    for name, what in (("manufacturer", "maker"), ("model", "model"), ("device_serial", "serial number")):
        there, here = (getattr(each, name) for each in (phantom_scan, scan))
        if there and here and there.strip().casefold() != here.strip().casefold():
            message = f"The phantom was scanned on another scanner: its {what} is not that of this scan."
            return Check("SCANNER", "fail", None, limit, message, "Scan the phantom on the patient's scanner.")
    if not (phantom_scan.device_serial and scan.device_serial):
        return _unknown("SCANNER", limit, "device_serial", "serial number of the scanner", phantom_scan, scan)
    return Check("SCANNER", "pass", None, limit, "Phantom and patient were scanned on the same scanner.")


def _tube_voltage(phantom_scan: Acquisition, scan: Acquisition) -> Check:
    if not (phantom_scan.kvp and scan.kvp):
        return _unknown("TUBE_VOLTAGE", "the same tube voltage", "kvp", "tube voltage", phantom_scan, scan)
    limit = f"{phantom_scan.kvp:g} kVp as in the phantom scan"
    if abs(phantom_scan.kvp - scan.kvp) <= _SAME_KVP:
        return Check("TUBE_VOLTAGE", "pass", scan.kvp, limit, "The tube voltages agree.")
    message = f"The phantom was scanned at {phantom_scan.kvp:g} kVp and the patient at {scan.kvp:g} kVp."
    return Check("TUBE_VOLTAGE", "fail", scan.kvp, limit, message, _SAME_PROTOCOL)


def _kernel_class(phantom_scan: Acquisition, scan: Acquisition) -> Check:
    if not (phantom_scan.kernel and scan.kernel):
        return _unknown("KERNEL_CLASS", "the same class of kernel", "kernel", "reconstruction kernel", phantom_scan, scan)
    there, here = ("sharp" if each.sharp_kernel else "soft" for each in (phantom_scan, scan))
    limit = f"a {there} kernel as in the phantom scan"
    if there == here:
        return Check("KERNEL_CLASS", "pass", None, limit, "The kernels are of one class.")
    message = f"The phantom was reconstructed with the {there} kernel {phantom_scan.kernel}, the patient with the {here} {scan.kernel}."
    return Check("KERNEL_CLASS", "fail", None, limit, message, "Reconstruct both with kernels of one class.")


def _table_height(phantom_scan: Acquisition, scan: Acquisition) -> Check:
    limit = f"within ±{_TABLE_HEIGHT_MM:g} mm of the phantom scan"
    if phantom_scan.table_height_mm is None or scan.table_height_mm is None:
        return _unknown("TABLE_HEIGHT", limit, "table_height_mm", "table height", phantom_scan, scan)
    difference = scan.table_height_mm - phantom_scan.table_height_mm
    if abs(difference) <= _TABLE_HEIGHT_MM:
        return Check("TABLE_HEIGHT", "pass", difference, limit, "The table heights agree.")
    message = f"The table heights differ by {abs(difference):.0f} mm."
    return Check("TABLE_HEIGHT", "fail", difference, limit, message, "Scan the phantom at the table height of the patients.")


def _field_of_view(phantom_scan: Acquisition, scan: Acquisition) -> Check:
    if not (phantom_scan.reconstruction_diameter_mm and scan.reconstruction_diameter_mm):
        return _unknown("FIELD_OF_VIEW", "a field of the same class", "reconstruction_diameter_mm", "field of view", phantom_scan, scan)
    there, here = (each.reconstruction_diameter_mm > _BODY_FIELD_MM for each in (phantom_scan, scan))
    limit = f"{'above' if there else 'at most'} {_BODY_FIELD_MM:g} mm as in the phantom scan"
    if there == here:
        return Check("FIELD_OF_VIEW", "pass", scan.reconstruction_diameter_mm, limit, "The fields of view are of one class.")
    message = (
        f"The fields of view are of different classes: {phantom_scan.reconstruction_diameter_mm:.0f} mm for the phantom, "
        f"{scan.reconstruction_diameter_mm:.0f} mm for the patient."
    )
    return Check("FIELD_OF_VIEW", "fail", scan.reconstruction_diameter_mm, limit, message, "Use a body field for both.")


def _phantom_age(phantom_scan: Acquisition, scan: Acquisition) -> Check:
    limit = f"at most {_AGE_WARN_DAYS} days, fails above {_AGE_FAIL_DAYS}"
    if not (phantom_scan.acquired_on and scan.acquired_on):
        return _unknown("PHANTOM_AGE", limit, "acquired_on", "date of the scan", phantom_scan, scan)
    days = (date.fromisoformat(scan.acquired_on) - date.fromisoformat(phantom_scan.acquired_on)).days
    message = f"The phantom was scanned {abs(days)} days {'before' if days >= 0 else 'after'} the patient."
    status = "pass" if abs(days) <= _AGE_WARN_DAYS else "warn" if abs(days) <= _AGE_FAIL_DAYS else "fail"
    return Check("PHANTOM_AGE", status, days, limit, message, "" if status == "pass" else "Scan the phantom again.")


def _unknown(code: str, limit: str, name: str, what: str, phantom_scan: Acquisition, scan: Acquisition) -> Check:
    """A warning that says which header is silent."""
    silent = [who for who, each in (("phantom scan", phantom_scan), ("patient's scan", scan)) if getattr(each, name) in (None, "", 0)]
    message = f"The header of the {' and of the '.join(silent)} does not say the {what}."
    return Check(code, "warn", None, limit, message, "Make sure yourself that both agree, or use scans with complete DICOM headers.")
