"""What each quantity of an evaluation is called, and how its value and interval are written."""

from __future__ import annotations

from collections.abc import Sequence

from ..report.words import number

#: What each quantity is called, and whether it is in mg/cm³ ("mg"), a fraction shown in per cent ("share") or neither ("plain").
QUANTITIES = {
    "spearman": ("Spearman's correlation", "plain"),
    "pearson": ("Pearson's correlation", "plain"),
    "icc_a1": ("ICC(A,1), absolute agreement", "plain"),
    "icc_c1": ("ICC(C,1), consistency", "plain"),
    "mae": ("Mean absolute error", "mg"),
    "rmse": ("Root mean square error", "mg"),
    "constant_mae": ("  MAE of the reference's mean", "mg"),
    "constant_rmse": ("  RMSE of the reference's mean", "mg"),
    "reference_mean": ("Reference, mean", "mg"),
    "reference_sd": ("Reference, SD", "mg"),
    "predicted_mean": ("Predicted, mean", "mg"),
    "predicted_sd": ("Predicted, SD", "mg"),
    "bias": ("Bias, predicted - reference", "mg"),
    "sd_of_differences": ("SD of differences", "mg"),
    "lower_limit": ("Lower limit of agreement", "mg"),
    "upper_limit": ("Upper limit of agreement", "mg"),
    "outside_limits": ("Outside the limits", "share"),
    "bias_slope": ("Proportional bias, slope on the mean", "plain"),
    "spread_correlation": ("|Difference| with the mean, r", "plain"),
    "prevalence": ("Prevalence", "share"),
    "sensitivity": ("Sensitivity", "share"),
    "specificity": ("Specificity", "share"),
    "accuracy": ("Accuracy", "share"),
    "ppv": ("PPV", "share"),
    "npv": ("NPV", "share"),
    "majority_accuracy": ("  Accuracy of the commoner answer", "share"),
    "balanced_accuracy": ("Balanced accuracy", "share"),
    "f1": ("F1", "plain"),
    "mcc": ("Matthews' correlation", "plain"),
    "auc": ("Area under the ROC curve", "plain"),
    "kappa": ("Kappa", "plain"),
    "quadratic_kappa": ("Kappa, quadratic weights", "plain"),
    "brier": ("Brier score", "plain"),
    "brier_of_prevalence": ("  Brier score of the prevalence", "plain"),
    "mean_minus_prevalence": ("Mean probability - prevalence", "plain"),
    "expected_calibration_error": ("Expected calibration error", "plain"),
    "coverage": ("Inside the 95 % interval", "share"),
    "below_interval": ("Below it", "share"),
    "above_interval": ("Above it", "share"),
    "mean_width": ("Mean width", "mg"),
}

#: Units as they stand in files.
UNITS = {name: {"mg": "mg/cm3", "share": "fraction", "plain": "1"}[kind] for name, (_, kind) in QUANTITIES.items()}


def value_text(name: str, entry: dict) -> str:
    """A value with its unit, and its counts where it is a proportion; a dash where it is absent."""
    if "value" not in entry:
        return "–"
    kind = QUANTITIES[name][1]
    if kind == "share":
        counted = f" ({entry['count']}/{entry['of']})" if "count" in entry else ""
        return f"{number(100 * entry['value'])} %{counted}"
    return number(entry["value"], 2 if kind == "mg" else 3)


def interval_text(name: str, interval: Sequence[float] | None) -> str:
    """ "0.913 to 0.953", or "" where there is none."""
    if interval is None:
        return ""
    kind = QUANTITIES[name][1]
    factor, digits = (100, 1) if kind == "share" else (1, 2 if kind == "mg" else 3)
    return " to ".join(number(factor * end, digits) for end in interval) + (" %" if kind == "share" else "")
