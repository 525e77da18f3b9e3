"""From HU to mg/cm³: phantoms, their rods, the calibration line and its checks."""
