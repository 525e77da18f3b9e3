"""What the study of the bundled density network found: choice by the folds, and the locked test, opened once, with its intervals.

Everything is of simulated patients. The readings are those that ``train density`` wrote; the figures are those of
``vertebral-bmd evaluate`` on the vertebrae that the paper would have measured, and on all of them.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

from documents import parser, publish

from VertebralBMDLib.cohort.columns import Columns, read_pairs
from VertebralBMDLib.cohort.evaluation import Options, evaluate
from VertebralBMDLib.network.density import DENSITY
from VertebralBMDLib.network.models import card

READINGS = Path(__file__).with_name("density-readings.csv")
_COLUMNS = Columns(
    "reference_mg_cm3", "network_mg_cm3", "patient", "level", "split", "osteoporosis_probability", ("low_mg_cm3", "high_mg_cm3")
)
#: Section and name of a figure, how it is called, what was asked.
_FIGURES = (
    ("agreement", "spearman", "Spearman", "at least 0.985"),
    ("agreement", "icc_a1", "ICC(A,1)", ""),
    ("agreement", "bias", "bias, mg/cm³", "at most 1"),
    ("agreement", "sd_of_differences", "SD of differences, mg/cm³", "at most 5"),
    ("agreement", "mae", "MAE, mg/cm³", ""),
    ("agreement", "rmse", "RMSE, mg/cm³", ""),
    ("osteoporosis", "auc", "AUC, below 80", "at least 0.99"),
    ("osteoporosis", "sensitivity", "sensitivity, below 80", ""),
    ("osteoporosis", "specificity", "specificity, below 80", ""),
    ("low_bone_mass", "auc", "AUC, up to 120", ""),
    ("categories", "quadratic_kappa", "kappa of three classes, quadratic", ""),
)


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    publish("density_results", "\n\n".join([choice(card(DENSITY)), judged(eligible=True), judged(eligible=False)]), options.write)


def choice(network: dict) -> str:
    """The folds' word on the head and the number of steps."""
    results = network["results"]
    lines = ["validation folds, eligible vertebrae (mean of five folds)      RMSE   MAE  Pearson  AUC < 80  AUC <= 120"]
    for head, steps in results["heads"].items():
        for step, values in steps.items():
            shipped = "  <- shipped" if head == network["training"]["head"] and int(step) == results["chosen by the folds"]["steps"] else ""
            figures = [values[key] for key in ("rmse", "mae", "pearson", "auc_osteoporosis", "auc_low_bone_mass")]
            lines.append(
                f"  {head:10} {step:>5} steps {'':34}{figures[0]:6.2f}{figures[1]:6.2f}{figures[2]:9.4f}{figures[3]:10.4f}{figures[4]:12.4f}{shipped}"
            )
    opened = results["locked test"]
    return "\n".join([*lines, f"locked test opened {opened['opened']}, once, network {opened['sha256'][:12]}"])


def judged(eligible: bool) -> str:
    """The locked test by ``evaluate``: figures with intervals by bootstrap over patients."""
    with READINGS.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["eligible"] == "yes" or not eligible]
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "readings.csv"
        with table.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        pairs = read_pairs(table, _COLUMNS, "vertebra")
    document = evaluate(pairs, _COLUMNS, Options(event="osteoporosis", simulated=True))
    test = document["sets"]["test"]
    what = "vertebrae that the paper would measure" if eligible else "all vertebrae, fractured and diseased ones too"
    lines = [f"simulated, locked test: {test['rows']} {what}, {test['patients']} patients [95 % interval, patients drawn anew]"]
    lines += [_line(called, test["sections"][section].get(name), asked) for section, name, called, asked in _FIGURES]
    lines.append(_line("coverage of the 95 % intervals", test["sections"]["interval"]["coverage"], "93 % to 97 %"))
    for cut in document["screening"].get("cuts", []):
        found = cut["test"]["estimates"]
        if cut["task"] == "osteoporosis":
            said = f"sensitivity {found['sensitivity']['value']:.3f}, specificity {found['specificity']['value']:.3f}"
            lines.append(f"  cut < {cut['below_mg_cm3']:.1f} by the folds ({cut['rule']}): {said} (asked 0.90 at 0.95)")
    return "\n".join(lines)


def _line(called: str, entry: dict | None, asked: str) -> str:
    if entry is None or "value" not in entry:
        return f"  {called:36}   absent"
    low, high = entry.get("bootstrap") or entry.get("interval") or (float("nan"), float("nan"))
    return f"  {called:36}{entry['value']:9.3f} [{low:.3f} to {high:.3f}]" + (f"   (asked {asked})" if asked else "")


if __name__ == "__main__":
    main()
