"""What the study of the bundled density network found, with intervals: validation folds, and the locked test once it is open.

Everything is of simulated patients. The readings are those that ``train density`` wrote; the figures are those of
``vertebral-bmd evaluate`` on the vertebrae that the paper would have measured, and on all of them.
"""

from __future__ import annotations

import csv
import tempfile
from dataclasses import replace
from pathlib import Path

from documents import parser, publish

from VertebralBMDLib.cohort.columns import Columns, read_pairs
from VertebralBMDLib.cohort.evaluation import Options, evaluate
from VertebralBMDLib.network.density import DENSITY
from VertebralBMDLib.network.models import card

READINGS = Path(__file__).with_name("density-readings.csv")
_INTERVAL = ("low_mg_cm3", "high_mg_cm3")
_COLUMNS = Columns("reference_mg_cm3", "network_mg_cm3", "patient", "level", None, "osteoporosis_probability", _INTERVAL)
_BY_SPLIT = replace(_COLUMNS, split="split")
#: Section and name of a figure, how it is called, what was asked.
_FIGURES = (
    ("agreement", "spearman", "Spearman", "at least 0.985"),
    ("agreement", "icc_a1", "ICC(A,1)", ""),
    ("agreement", "bias", "bias, mg/cm³", "at most 1"),
    ("agreement", "sd_of_differences", "SD of differences, mg/cm³", "at most 5"),
    ("agreement", "mae", "MAE, mg/cm³", ""),
    ("agreement", "rmse", "RMSE, mg/cm³", ""),
    ("osteoporosis", "auc", "AUC, below 80", "at least 0.99"),
    ("osteoporosis", "sensitivity", "sensitivity, below 80", "at least 0.90"),
    ("osteoporosis", "specificity", "specificity, below 80", "at least 0.95"),
    ("low_bone_mass", "auc", "AUC, up to 120", ""),
    ("categories", "quadratic_kappa", "kappa of three classes, quadratic", ""),
    ("interval", "coverage", "coverage of the 95 % intervals", "0.93 to 0.97"),
)

#: Errors of the test that are named one by one.
_LARGEST = 6


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    with READINGS.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    parts = [heads(card(DENSITY)["results"])] if "heads" in card(DENSITY)["results"] else []
    for split in dict.fromkeys(row["split"] for row in rows):
        for eligible in (True, False):
            parts.append(
                judged(split, [row for row in rows if row["split"] == split and (row["eligible"] == "yes" or not eligible)], eligible)
            )
    if {row["split"] for row in rows} == {"validation", "test"}:
        measured = [row for row in rows if row["eligible"] == "yes"]
        parts += [screened(measured), tails(measured)]
    publish("density_results", "\n\n".join(parts), options.write)


def heads(results: dict) -> str:
    """What the folds say of every head and number of steps."""
    chosen = results["chosen by the folds"]
    lines = ["validation folds, eligible vertebrae, mean of five folds    RMSE    MAE  Pearson  AUC < 80"]
    for head, steps in results["heads"].items():
        for step, values in steps.items():
            mark = "  <- shipped" if (head, int(step)) == (chosen["head"], chosen["steps"]) else ""
            figures = f"{values['rmse']:6.2f} {values['mae']:6.2f} {values['pearson']:8.4f} {values['auc_osteoporosis']:9.4f}"
            lines.append(f"  {head:10} {step:>5} steps {'':36}{figures}{mark}")
    return "\n".join(lines)


def judged(split: str, rows: list[dict], eligible: bool) -> str:
    """The figures of ``evaluate`` on some rows, with intervals by bootstrap over patients."""
    found = evaluated(rows, _COLUMNS)["sets"]["all"]
    what = "that the paper would measure" if eligible else "in all, fractured and diseased ones too"
    lines = [f"simulated, {split}: {found['rows']} vertebrae {what}, {found['patients']} patients [95 % interval, patients drawn anew]"]
    return "\n".join([*lines, *(_line(called, found["sections"][section][name], asked) for section, name, called, asked in _FIGURES)])


def screened(rows: list[dict]) -> str:
    """What a cut on the reading, chosen by Youden's index on the folds, does in the test."""
    cuts = evaluated(rows, _BY_SPLIT)["screening"]["cuts"]
    (cut,) = (each for each in cuts if (each["task"], each["rule"]) == ("osteoporosis", "youden"))
    lines = [
        f"simulated, test: osteoporosis called below {cut['below_mg_cm3']:.1f} mg/cm³, chosen on the folds [95 % interval, Clopper-Pearson]"
    ]
    for name, asked in (("sensitivity", "at least 0.90"), ("specificity", "at least 0.95")):
        entry = cut["test"]["estimates"][name]
        lines.append(_line(f"{name}, {entry['count']} of {entry['of']}", entry, asked))
    return "\n".join(lines)


def tails(rows: list[dict]) -> str:
    """What the largest errors of the test make up."""
    errors = sorted((_error(row) for row in rows if row["split"] == "test"), key=abs, reverse=True)
    share = sum(error**2 for error in errors[:_LARGEST]) / sum(error**2 for error in errors)
    worst = ", ".join(f"{error:+.0f}" for error in errors[:_LARGEST])
    return f"simulated, test: the {_LARGEST} largest errors ({worst} mg/cm³) make {100 * share:.0f} % of the sum of squares"


def _error(row: dict) -> float:
    return float(row["network_mg_cm3"]) - float(row["reference_mg_cm3"])


def evaluated(rows: list[dict], columns: Columns) -> dict:
    """All that ``evaluate`` says of some rows."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "readings.csv"
        with table.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        pairs = read_pairs(table, columns, "vertebra")
    return evaluate(pairs, columns, Options(event="osteoporosis", simulated=True))


def _line(called: str, entry: dict, asked: str) -> str:
    low, high = entry.get("bootstrap") or entry["interval"]
    return f"  {called:36}{entry['value']:9.3f} [{low:.3f} to {high:.3f}]" + (f"   (asked {asked})" if asked else "")


if __name__ == "__main__":
    main()
