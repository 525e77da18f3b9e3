"""The evaluation as tables of words, the same for the terminal, the page and the PDF."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from ..report import words
from ..report.words import number
from .quantities import QUANTITIES, interval_text, value_text

RULES = {"youden": "Youden's index", "sensitivity_90": "sensitivity of 90 % or more"}
_PLURALS = {"vertebra": "vertebrae", "patient": "patients", "row": "rows"}
_SUMMARY = ("spearman", "icc_a1", "bias", "sd_of_differences", "mae", "rmse")
_PROPORTIONS = ("sensitivity", "specificity", "ppv", "npv", "accuracy")
_WIDTH = 118


@dataclass(frozen=True)
class Table:
    """Cells as text. ``remarks``: the last column is read, not compared; ``long``: for the page, not for the terminal."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    remarks: bool = False
    long: bool = False


def facts(document: dict) -> list[str]:
    """What the figures are of: columns, rows, patients, unit of analysis, material, what was left out, how intervals were made."""
    columns, table, bootstrap = document["columns"], document["table"], document["bootstrap"]
    units, patients = _PLURALS[table["unit_of_analysis"]], table.get("patients")
    lines = [f"{columns['predicted']} against {columns['reference']}; differences are predicted - reference, in mg/cm³."]
    of = f" of {patients} patients" if patients is not None and table["unit_of_analysis"] != "patient" else ""
    alone = "" if patients is not None else " No column names the patient (--group): every row is taken as a patient of its own."
    lines.append(f"Unit of analysis: {table['unit_of_analysis']}. {table['rows']} {units}{of}.{alone}")
    for name, values in table["provenance"].items():
        mixed = " MIXED: they have no common scale." if name == "material" and len(values) > 1 else ""
        lines.append(f"{name.replace('_', ' ').capitalize()}: {', '.join(value or 'not stated' for value in values)}.{mixed}")
    if not table["provenance"].get("material"):
        lines.append("Material of the mg/cm³: not stated in the table.")
    lines += [f"Left out: {each['rows']} rows with {each['reason']}." for each in table["left_out"]]
    lines += [f"Part {name}: too few rows, not evaluated." for name in document["parts_too_small"]]
    limits = document["thresholds"]
    lines.append(f"Limits: {limits['name']}, for {limits['population']} ({limits['source']}).")
    drawn = f"by bootstrap over {bootstrap['by']}s ({bootstrap['resamples']} resamples, seed {bootstrap['seed']})"
    several = ", which does not take the rows of one patient so" if bootstrap["by"] == "patient" else ""
    also = f"; {bootstrap['reason']}" if "reason" in bootstrap else f"; and {drawn}{several}"
    lines.append(f"95 % intervals: by formula, which takes {units} as independent{also}.")
    return lines


def banner(document: dict) -> str:
    """The line on every page: what it may be used for, and that it is simulated where it is."""
    simulated = "SIMULATED: the reference is the truth of simulated patients. " if document["simulated"] else ""
    return simulated + document["use"]


def tables(document: dict) -> list[Table]:
    """Every table of the evaluation, those of the main part first, then cuts, parts, and the paper."""
    main = document["sets"][document["main"]]
    of = _of(document, document["main"])
    found = [_estimates(f"Agreement, {of}", main["sections"]["agreement"])]
    for task in document["tasks"]:
        found += [_counts(main["tables"]["two_by_two"][task["name"]], f"{_capital(task['title'])}, {of}")]
        found += [_estimates(f"{_capital(task['title'])}, {of}", main["sections"][task["name"]])]
    found += _categories(main, of)
    found += _promises(document, main, of)
    found += _screening(document)
    found += [_cuts(document, main, task, of) for task in document["tasks"]]
    if len(document["sets"]) > 1:
        found.append(_parts(document))
    return [*found, _paper(document)]


def _of(document: dict, part: str) -> str:
    """ "test: 160 vertebrae of 80 patients"."""
    entry, unit = document["sets"][part], document["table"]["unit_of_analysis"]
    patients = f" of {entry['patients']} patients" if "patients" in entry and unit != "patient" else ""
    return f"{part}: {entry['rows']} {_PLURALS[unit]}{patients}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _remark(entry: dict) -> str:
    p_value = entry.get("p_value")
    p_text = "" if p_value is None else "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
    return "; ".join(filter(None, (entry.get("method"), p_text, entry.get("reason"))))


def _estimates(title: str, section: dict) -> Table:
    rows = tuple(
        (
            QUANTITIES[name][0] + (" (mg/cm³)" if QUANTITIES[name][1] == "mg" else ""),
            value_text(name, entry),
            interval_text(name, entry.get("interval")),
            interval_text(name, entry.get("bootstrap")),
            _remark(entry),
        )
        for name, entry in section.items()
    )
    return Table(title, ("", "value", "95 % CI, formula", "95 % CI, bootstrap", "method, remarks"), rows, remarks=True)


def _counts(table: dict, title: str) -> Table:
    rows = (
        ("Reference yes", str(table["tp"]), str(table["fn"]), str(table["tp"] + table["fn"])),
        ("Reference no", str(table["fp"]), str(table["tn"]), str(table["fp"] + table["tn"])),
        ("All", str(table["tp"] + table["fp"]), str(table["fn"] + table["tn"]), str(sum(table.values()))),
    )
    return Table(f"{title}: counts", ("", "predicted yes", "predicted no", "all"), rows, "Predicted: by the same limit as the reference.")


def _categories(main: dict, of: str) -> list[Table]:
    found = []
    if "categories" in main["tables"]:
        labels, table = main["tables"]["categories"]["labels"], main["tables"]["categories"]["counts"]
        names = [words.CATEGORIES[label].lower() for label in labels]
        rows = tuple((f"Reference {name}", *map(str, row)) for name, row in zip(names, table))
        found.append(Table(f"Categories, {of}: counts", ("", *(f"predicted {name}" for name in names)), rows))
    return [*found, _estimates(f"Categories, {of}", main["sections"]["categories"])]


def _promises(document: dict, main: dict, of: str) -> list[Table]:
    found = []
    if "probability" in main["sections"]:
        event = next(task["title"] for task in document["tasks"] if task["name"] == document["event"])
        found.append(_estimates(f"Probability of {event}, {of}", main["sections"]["probability"]))
        rows = tuple(
            (
                f"{each['from']:.1f} to {each['to']:.1f}",
                number(each["mean_probability"], 3),
                value_text("prevalence", each["observed"]),
                interval_text("prevalence", each["observed"]["interval"]),
            )
            for each in main["tables"]["reliability"]
        )
        found.append(Table(f"Probability of {event}, {of}: bins", ("", "mean probability", "observed", "95 % CI"), rows, long=True))
    if "interval" in main["sections"]:
        found.append(_estimates(f"95 % intervals of the prediction, {of}", main["sections"]["interval"]))
    return found


def _cut_cells(entry: dict) -> tuple[str, ...]:
    table = entry["counts"]
    return tuple(str(table[name]) for name in ("tp", "fn", "fp", "tn")) + tuple(
        f"{value_text(name, entry['estimates'][name]).split(' (')[0]} {_brackets(name, entry['estimates'][name])}".strip()
        for name in _PROPORTIONS
    )


def _brackets(name: str, entry: dict) -> str:
    return f"({interval_text(name, entry['interval']).removesuffix(' %')})" if "interval" in entry else ""


_CUT_HEADER = ("TP", "FN", "FP", "TN", *(QUANTITIES[name][0] for name in _PROPORTIONS))


def _screening(document: dict) -> list[Table]:
    found = document["screening"]
    if "reason" in found:
        return [Table("Screening cut", ("",), (), found["reason"])]
    rows = tuple(
        (f"{cut['task'].replace('_', ' ')}, {RULES[cut['rule']]}", number(cut["below_mg_cm3"]), part, *_cut_cells(cut[part]))
        for cut in found["cuts"]
        for part in ("validation", "test")
    )
    note = "Chosen on validation rows only, then applied to test rows as it was; Clopper-Pearson intervals, rows taken as independent."
    note = " ".join([note, *found["reasons"]])
    screening = [Table("Screening cut: a predicted vBMD below it is called positive", ("", "mg/cm³", "rows", *_CUT_HEADER), rows, note)]
    if "correction" not in found:
        return screening
    line = found["correction"]
    sign = "-" if line["intercept_mg_cm3"] < 0 else "+"
    title = f"Errors in test rows after reference = {line['slope']:.3f} x predicted {sign} {abs(line['intercept_mg_cm3']):.2f} (fitted to validation rows)"
    errors = tuple((QUANTITIES[name][0] + " (mg/cm³)", value_text(name, entry)) for name, entry in line["estimates"].items())
    return [*screening, Table(title, ("", "value"), errors)]


def _cuts(document: dict, main: dict, task: dict, of: str) -> Table:
    rows = tuple((number(cut["below_mg_cm3"], 0), *_cut_cells(cut)) for cut in main["tables"]["cuts"] if cut["task"] == task["name"])
    note = "These rows judge the cuts; none may be chosen from them. Clopper-Pearson intervals, rows taken as independent."
    return Table(f"Cuts of the predicted vBMD for {task['title']}, {of}", ("below, mg/cm³", *_CUT_HEADER), rows, note, long=True)


def _parts(document: dict) -> Table:
    rows = []
    for part, entry in document["sets"].items():
        cells = [value_text(name, entry["sections"]["agreement"][name]) for name in _SUMMARY]
        cells += [value_text("auc", entry["sections"][task["name"]]["auc"]) for task in document["tasks"]]
        rows.append((_of(document, part), *cells))
    header = ("", "Spearman", "ICC(A,1)", "bias", "SD", "MAE", "RMSE", *(f"AUC, {task['limit_mg_cm3']:g}" for task in document["tasks"]))
    return Table("Parts", header, tuple(rows), "Bias, SD, MAE and RMSE in mg/cm³; AUC at each limit in mg/cm³.")


def _paper(document: dict) -> Table:
    paper = document["paper"]
    rows = tuple(
        (
            QUANTITIES[row["name"]][0],
            " ".join(filter(None, (value_text(row["name"], row["paper"]), _brackets(row["name"], row["paper"])))),
            " ".join(filter(None, (value_text(row["name"], row["ours"]), _brackets(row["name"], _shown(row["ours"]))))),
            row["remark"],
        )
        for row in paper["rows"]
    )
    ours = "ours, simulated" if document["simulated"] else "ours"
    return Table(f"Beside the paper ({paper['title']})", ("", "paper", ours, "remarks on the paper's"), rows, paper["note"], remarks=True)


def _shown(entry: dict) -> dict:
    """The interval that does not take a patient's rows as independent, where there is one."""
    return entry | ({"interval": entry["bootstrap"]} if "bootstrap" in entry else {})


def text(document: dict) -> str:
    """What the command prints."""
    parts = [textwrap.fill(f"Evaluation. {banner(document)}", _WIDTH)]
    parts += ["\n".join(textwrap.fill(line, _WIDTH, subsequent_indent="  ") for line in facts(document))]
    parts += [aligned(table) for table in tables(document) if not table.long]
    return "\n\n".join(parts).replace("−", "-").replace("–", "-") + "\n"


def aligned(table: Table, width: int = _WIDTH) -> str:
    """A table as text in columns of equal letters, its note folded at ``width``."""
    cells = [table.header, *table.rows] if table.rows else []
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = [table.title]
    left = {0, len(widths) - 1} if table.remarks else {0}
    for row in cells:
        lines.append(
            "  ".join(cell.ljust(size) if k in left else cell.rjust(size) for k, (cell, size) in enumerate(zip(row, widths))).rstrip()
        )
    return "\n".join([*lines, *([textwrap.fill(table.note, width)] if table.note else [])])
