"""A measurement document as far as two studies are compared by it."""

import copy

STUDY = {
    "scan": {"contrast": "no", "manufacturer": "SIM", "model": "one", "kvp": 120.0, "kernel": "STANDARD"},
    "calibration": {"source": "phantom", "phantom": "qrm-bdc3", "material": "CaHA", "checks": []},
    "vertebrae": [
        {"level": "L1", "flags": [], "vbmd_roi_mg_cm3": 100.0},
        {"level": "L2", "flags": [], "vbmd_roi_mg_cm3": 110.0},
        {"level": "L3", "flags": []},
    ],
    "patient": {"levels": ["L1", "L2"], "vbmd_mg_cm3": 105.0},
}


def study(first=100.0, second=110.0, **scan):
    result = copy.deepcopy(STUDY)
    result["vertebrae"][0]["vbmd_roi_mg_cm3"], result["vertebrae"][1]["vbmd_roi_mg_cm3"] = first, second
    result["scan"] |= scan
    return result
