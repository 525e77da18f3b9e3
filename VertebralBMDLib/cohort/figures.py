"""Figures of an evaluation, after figure 6 of the paper: scatter, Bland-Altman, ROC; and the calibration of probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..diagnosis import load_thresholds
from ..report.words import number
from . import diagnostic
from .quantities import interval_text, value_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .columns import Pairs

_ROW, _LINE, _LIMIT, _DIM = "#0b3d64", "#1f6fb2", "#c0392b", "#666666"
#: Colour and dash of each task, so that neither alone has to tell them apart.
_TASKS = {"osteoporosis": (_LIMIT, "-"), "low_bone_mass": (_LINE, "--")}
_CUTS = {"youden": ("s", "Youden"), "sensitivity_90": ("^", "sensitivity ≥ 90 %")}
_SIMULATED = " (simulated)"
_BEHIND = dict(facecolor="white", alpha=0.8, edgecolor="none", pad=1.0)


def agreement_figure(pairs: Pairs, document: dict) -> Figure:
    """Scatter with the line of identity, Bland-Altman with the intervals of its lines, and ROC with the operating points.

    ``pairs``: the rows of the document's main part, in mg/cm³. The ROC panel says so where a task has rows of one kind only.
    """
    from matplotlib.figure import Figure

    figure = Figure((15.0, 5.0), dpi=150, layout="constrained")
    scatter, difference, curve = figure.subplots(1, 3)
    for axes in (scatter, difference, curve):
        axes.grid(color="#e3e3e3", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    sections = document["sets"][document["main"]]["sections"]
    _scatter(scatter, pairs, document, sections["agreement"])
    _bland_altman(difference, pairs, sections["agreement"])
    _roc(curve, pairs, document, sections)
    rows = document["sets"][document["main"]]["rows"]
    unit = document["table"]["unit_of_analysis"]
    title = f"{document['columns']['predicted']} against {document['columns']['reference']}, {document['main']}, n = {rows}, unit: {unit}"
    figure.suptitle(title + (_SIMULATED if document["simulated"] else ""), fontsize=11, parse_math=False)
    _small_print(figure, document)
    return figure


def _small_print(figure: Figure, document: dict) -> None:
    how = "formula" if "reason" in document["bootstrap"] else f"bootstrap over {document['bootstrap']['by']}s"
    figure.supxlabel(f"95 % intervals by {how}. {document['use']}", fontsize=7, color=_DIM)


def _scatter(axes: Axes, pairs: Pairs, document: dict, found: dict) -> None:
    ends = np.array([min(pairs.reference.min(), pairs.predicted.min()), max(pairs.reference.max(), pairs.predicted.max())])
    margin = 0.04 * max(1.0, np.ptp(ends))
    ends += (-margin, margin)
    for task in document["tasks"]:
        for line in (axes.axhline, axes.axvline):
            line(task["limit_mg_cm3"], color=_DIM, linewidth=0.8, linestyle=":")
    axes.plot(ends, ends, color=_DIM, linewidth=1.2, label="identity")
    axes.plot(pairs.reference, pairs.predicted, "o", color=_ROW, markersize=4, alpha=0.45, markeredgewidth=0)
    if np.ptp(pairs.reference) > 0:
        slope, intercept = np.polyfit(pairs.reference, pairs.predicted, 1)
        sign = "−" if intercept < 0 else "+"
        axes.plot(
            ends,
            slope * ends + intercept,
            color=_LINE,
            linewidth=1.5,
            linestyle="--",
            label=f"{slope:.3f} × reference {sign} {abs(intercept):.1f}",
        )
    words = [("Spearman", "spearman"), ("Pearson", "pearson"), ("ICC(A,1)", "icc_a1")]
    axes.text(
        0.03,
        0.97,
        "\n".join(_said(title, name, found) for title, name in words),
        transform=axes.transAxes,
        va="top",
        fontsize=8.5,
        bbox=_BEHIND,
    )
    axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel="Reference (mg/cm³)", ylabel="Predicted (mg/cm³)")
    axes.legend(loc="lower right", fontsize=8, frameon=False)


def _said(title: str, name: str, found: dict) -> str:
    """ "ICC(A,1) 0.936 (0.913 to 0.953)", with the interval that does not take a patient's rows as independent."""
    entry = found[name]
    interval = interval_text(name, entry.get("bootstrap", entry.get("interval")))
    return f"{title} {value_text(name, entry)}" + (f" ({interval})" if interval else "")


def _bland_altman(axes: Axes, pairs: Pairs, found: dict) -> None:
    mean, difference = (pairs.reference + pairs.predicted) / 2, pairs.predicted - pairs.reference
    axes.axhline(0, color=_DIM, linewidth=0.8)
    for name, word, color, dash in (
        ("upper_limit", "bias + 1.96 SD", _LIMIT, "--"),
        ("bias", "bias", _LINE, "-"),
        ("lower_limit", "bias − 1.96 SD", _LIMIT, "--"),
    ):
        entry = found[name]
        axes.axhspan(*_ends(entry), color=color, alpha=0.12, linewidth=0)
        axes.axhline(entry["value"], color=color, linewidth=1.3, linestyle=dash)
        said = f"{word}: {number(entry['value'], 1)}"
        place = dict(xycoords=axes.get_yaxis_transform(), textcoords="offset points", ha="right", fontsize=8.5, zorder=5)
        axes.annotate(said, (1.0, entry["value"]), (-2, 4), color=color, bbox=_BEHIND, **place)
    axes.plot(mean, difference, "o", color=_ROW, markersize=4, alpha=0.45, markeredgewidth=0)
    outside = value_text("outside_limits", found["outside_limits"])
    slope = value_text("bias_slope", found["bias_slope"])
    axes.text(0.03, 0.02, f"outside: {outside}; slope on the mean: {slope}", transform=axes.transAxes, fontsize=8.5, bbox=_BEHIND)
    reach = 1.25 * max(1.0, np.abs(difference).max(), *(abs(end) for name in ("upper_limit", "lower_limit") for end in _ends(found[name])))
    axes.set(ylim=(-reach, reach), xlabel="Mean of both (mg/cm³)", ylabel="Predicted − reference (mg/cm³)")


def _ends(entry: dict) -> tuple[float, float]:
    """The interval that does not take a patient's rows as independent, else the formula's, else the value twice."""
    return entry.get("bootstrap") or entry.get("interval") or (entry["value"], entry["value"])


def _roc(axes: Axes, pairs: Pairs, document: dict, sections: dict) -> None:
    thresholds = load_thresholds(document["thresholds"]["name"])
    labels = diagnostic.categories(pairs.reference, thresholds)
    axes.plot((0, 1), (0, 1), color=_DIM, linewidth=0.8, linestyle=":")
    for task in diagnostic.tasks(thresholds):
        truth = task.truth(labels)
        color, dash = _TASKS[task.name]
        if not 0 < truth.sum() < len(truth):
            axes.plot([], [], color=color, linestyle=dash, label=f"{task.title}: {sections[task.name]['auc']['reason']}")
            continue
        false, true, _ = diagnostic.roc(truth, pairs.predicted)
        label = f"{task.title}\n{_said('AUC', 'auc', sections[task.name])}, {truth.sum()} of {len(truth)}"
        axes.plot(false, true, color=color, linestyle=dash, linewidth=1.6, label=label)
        table = document["sets"][document["main"]]["tables"]["two_by_two"][task.name]
        axes.plot(*_point(table), "o", color=color, markersize=8, markerfacecolor="white", label=f"  at {task.limit:g} mg/cm³")
        for cut in document["screening"].get("cuts", ()):
            if cut["task"] == task.name:
                marker, word = _CUTS[cut["rule"]]
                label = f"  below {cut['below_mg_cm3']:.1f} ({word}, validation)"
                axes.plot(*_point(cut["test"]["counts"]), marker, color=color, markersize=7, label=label)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", xlabel="1 − specificity", ylabel="Sensitivity")
    axes.legend(loc="lower right", fontsize=7.5, frameon=True, framealpha=0.85, edgecolor="none")


def _point(table: dict) -> tuple[float, float]:
    """False and true positive rate of a 2x2 table with positive and negative rows."""
    return table["fp"] / (table["fp"] + table["tn"]), table["tp"] / (table["tp"] + table["fn"])


def reliability_figure(document: dict) -> Figure:
    """Observed share against mean probability of each bin, with Clopper-Pearson intervals and the rows in it.

    Raises KeyError when the document has no probabilities.
    """
    from matplotlib.figure import Figure

    main = document["sets"][document["main"]]
    bins = main["tables"]["reliability"]
    figure = Figure((5.2, 5.0), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.grid(color="#e3e3e3", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.plot((0, 1), (0, 1), color=_DIM, linewidth=1.2)
    for each in bins:
        observed = each["observed"]
        axes.plot([each["mean_probability"]] * 2, observed["interval"], color=_LINE, linewidth=1.4)
        axes.plot(each["mean_probability"], observed["value"], "o", color=_ROW, markersize=6)
        axes.annotate(str(observed["of"]), (each["mean_probability"], observed["value"]), (6, -10), textcoords="offset points", fontsize=8)
    event = next(task["title"] for task in document["tasks"] if task["name"] == document["event"])
    axes.set(
        xlim=(-0.03, 1.03),
        ylim=(-0.03, 1.03),
        aspect="equal",
        xlabel="Mean probability of the bin (rows beside each)",
        ylabel="Observed share",
    )
    brier = _said("Brier score", "brier", main["sections"]["probability"])
    simulated = _SIMULATED if document["simulated"] else ""
    _small_print(figure, document)
    axes.set_title(f"Probability of {event}\n{document['main']}, {brier}{simulated}", fontsize=9)
    return figure
