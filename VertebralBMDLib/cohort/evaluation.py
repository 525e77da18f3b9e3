"""The evaluation of a table as one document: every part of it, the screening cut, and the paper's figures beside ours."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np

from .. import __version__
from ..diagnosis import Thresholds, load_thresholds
from ..report.words import RESEARCH_USE
from . import diagnostic, screening, uncertainty
from .agreement import agreement, agreement_values
from .columns import FEWEST_ROWS, PARTS, Columns, Pairs
from .diagnostic import Task
from .estimates import FEWEST_PATIENTS, Estimate, Resampling, absent, plain, with_bootstrap
from .paper import beside_the_paper

SCHEMA = "vertebral-bmd/evaluation/1"
EVENTS = ("low_bone_mass", "osteoporosis")
_CLASSES = ("osteoporosis", "low_bone_mass", "normal")


@dataclass(frozen=True)
class Options:
    """``event``: what the probability is of; ``simulated``: the reference is the truth of a simulation, and every page says so."""

    thresholds: str = "acr"
    event: str = "low_bone_mass"
    simulated: bool = False
    resampling: Resampling = field(default_factory=Resampling)


def evaluate(pairs: Pairs, columns: Columns, options: Options = Options()) -> dict:
    """Everything of evaluation.json. Values that could not be had are absent with a reason; there is no NaN.

    Where the table has parts, each is evaluated by itself, and the screening cut is chosen on validation rows only. Raises
    ValueError for limits without a category, and for an event that they do not have.
    """
    thresholds = load_thresholds(options.thresholds)
    questions = diagnostic.tasks(thresholds)
    if pairs.probability is not None and options.event not in {task.name for task in questions}:
        raise ValueError(f"the limits {thresholds.name} do not know the event {options.event}")
    parts = {"all": pairs} if pairs.split is None else {name: pairs.rows(pairs.split == name) for name in PARTS if name in pairs.split}
    sets = {name: _evaluated(part, thresholds, questions, options) for name, part in parts.items() if len(part) >= FEWEST_ROWS}
    main = "test" if "test" in parts else "all"
    if main not in sets:
        raise ValueError(f"there are {len(parts[main])} rows of the part test; {FEWEST_ROWS} are needed")
    return {
        "schema": SCHEMA,
        "software": {"version": __version__},
        "use": RESEARCH_USE,
        "simulated": options.simulated,
        "columns": {name: value for name, value in asdict(columns).items() if value is not None},
        "table": _table(pairs),
        "parts_too_small": [name for name in parts if name not in sets],
        "bootstrap": {**asdict(options.resampling), "by": "patient" if pairs.grouped else "row", **_no_bootstrap(parts[main], options)},
        "thresholds": {
            "name": thresholds.name,
            "title": thresholds.title,
            "population": thresholds.population,
            "source": thresholds.source,
        },
        "tasks": [{"name": task.name, "title": task.title, "limit_mg_cm3": task.limit} for task in questions],
        **({"event": options.event} if pairs.probability is not None else {}),
        "main": main,
        "sets": sets,
        "screening": _screening(parts, thresholds, questions),
        "paper": beside_the_paper(sets[main], options.simulated),
    }


def _no_bootstrap(main: Pairs, options: Options) -> dict:
    if not options.resampling.resamples:
        return {"reason": "no bootstrap was asked for"}
    return {"reason": f"no bootstrap: there are only {main.groups} patients"} if main.groups < FEWEST_PATIENTS else {}


def _patients(pairs: Pairs) -> dict:
    return {"patients": pairs.groups} if pairs.grouped else {}


def _table(pairs: Pairs) -> dict:
    return {
        "rows": len(pairs),
        **_patients(pairs),
        "unit_of_analysis": pairs.unit,
        "left_out": [{"reason": reason, "rows": rows} for reason, rows in pairs.left_out],
        "provenance": {name: list(values) for name, values in pairs.provenance},
    }


def _evaluated(pairs: Pairs, thresholds: Thresholds, questions: tuple[Task, ...], options: Options) -> dict:
    """One part of the table: every section with its estimates, and the 2x2 and 3x3 counts."""
    labels = diagnostic.categories(pairs.reference, thresholds), diagnostic.categories(pairs.predicted, thresholds)
    sections, value_functions = {}, {}

    def section(name: str, estimates: dict[str, Estimate], values: Callable[[np.ndarray], dict[str, float]]) -> None:
        sections[name], value_functions[name] = estimates, values

    section(
        "agreement",
        agreement(pairs.reference, pairs.predicted),
        lambda rows: agreement_values(pairs.reference[rows], pairs.predicted[rows]),
    )
    for task in questions:
        truth, said = (task.truth(each) for each in labels)
        estimates = diagnostic.two_by_two(diagnostic.counts(truth, said)) | {"auc": diagnostic.area(truth, pairs.predicted)}
        section(task.name, estimates, _task_values(truth, said, pairs.predicted))
    if thresholds.normal_above is None:
        sections["categories"] = dict.fromkeys(("kappa", "quadratic_kappa"), absent("these limits have no three categories"))
    else:
        kappas = {name: plain(value) for name, value in diagnostic.kappas(diagnostic.confusion(*labels, _CLASSES)).items()}
        section("categories", kappas, lambda rows: diagnostic.kappas(diagnostic.confusion(labels[0][rows], labels[1][rows], _CLASSES)))
    for name, (estimates, values) in _promises(pairs, labels[0], questions, options.event).items():
        section(name, estimates, values)
    intervals = options.resampling.intervals(
        pairs.group,
        lambda rows: {f"{name}.{key}": value for name, values in value_functions.items() for key, value in values(rows).items()},
    )
    found = {
        name: with_bootstrap(estimates, {key: intervals[f"{name}.{key}"] for key in estimates if f"{name}.{key}" in intervals})
        for name, estimates in sections.items()
    }
    return {
        "rows": len(pairs),
        **_patients(pairs),
        "sections": _entries(found),
        "tables": _counted(pairs, labels, thresholds, questions, options.event),
    }


def _task_values(truth: np.ndarray, said: np.ndarray, predicted: np.ndarray) -> Callable[[np.ndarray], dict[str, float]]:
    return lambda rows: diagnostic.two_by_two_values(truth[rows], said[rows]) | {"auc": diagnostic.area_value(truth[rows], predicted[rows])}


def _promises(pairs: Pairs, labels: np.ndarray, questions: tuple[Task, ...], event: str) -> dict[str, tuple]:
    """Estimates and values of probabilities and intervals, on the rows that have them."""
    found = {}
    if pairs.probability is not None:
        known = np.isfinite(pairs.probability)
        truth = _event_truth(questions, event, labels)
        estimates = uncertainty.probability_estimates(truth[known], pairs.probability[known]) if known.any() else _NO_PROBABILITY
        found["probability"] = estimates, _on(known, uncertainty.probability_values, truth, pairs.probability)
    if pairs.low is not None:
        known = np.isfinite(pairs.low) & np.isfinite(pairs.high)
        columns = pairs.reference, pairs.low, pairs.high
        estimates = uncertainty.coverage_estimates(*(column[known] for column in columns))
        found["interval"] = estimates, _on(known, uncertainty.coverage_values, *columns)
    return found


_NO_PROBABILITY = {"brier": absent("no row has a probability")}


def _event_truth(questions: tuple[Task, ...], event: str, labels: np.ndarray) -> np.ndarray:
    return next(task for task in questions if task.name == event).truth(labels)


def _on(known: np.ndarray, function: Callable[..., dict[str, float]], *columns: np.ndarray) -> Callable[[np.ndarray], dict[str, float]]:
    """``function`` of the drawn rows that are known; nothing where there is none."""

    def values(rows: np.ndarray) -> dict[str, float]:
        kept = rows[known[rows]]
        return function(*(column[kept] for column in columns)) if len(kept) else {}

    return values


def _counted(pairs: Pairs, labels: tuple[np.ndarray, np.ndarray], thresholds: Thresholds, questions: tuple[Task, ...], event: str) -> dict:
    """The tables of counts: 2x2 of each task, the categories, the cuts, and the bins of probability."""
    found: dict = {"two_by_two": {}, "cuts": []}
    for task in questions:
        truth, said = (task.truth(each) for each in labels)
        found["two_by_two"][task.name] = asdict(diagnostic.counts(truth, said))
        found["cuts"] += _cut_entries(screening.cut_table(task, truth, pairs.predicted))
    if thresholds.normal_above is not None:
        found["categories"] = {"labels": list(_CLASSES), "counts": diagnostic.confusion(*labels, _CLASSES).tolist()}
    if pairs.probability is not None:
        known, truth = np.isfinite(pairs.probability), _event_truth(questions, event, labels[0])
        bins = uncertainty.reliability(truth[known], pairs.probability[known])
        found["reliability"] = [{**each, "observed": each["observed"].entry()} for each in bins]
    return found


def _screening(parts: dict[str, Pairs], thresholds: Thresholds, questions: tuple[Task, ...]) -> dict:
    """The cuts chosen on validation rows with what they do in validation and test rows, or why none is chosen."""
    if "validation" not in parts:
        why = "there is no part validation (--split)" if parts.keys() - {"all"} else "the table has no parts (--split)"
        return {"reason": f"No screening cut is chosen: {why}, and a cut must not be chosen on the rows that judge it."}
    known, test = parts["validation"], parts["test"]
    chosen, reasons = [], []
    for task in questions:
        truths = {name: task.truth(diagnostic.categories(parts[name].reference, thresholds)) for name in ("validation", "test")}
        if not 0 < truths["validation"].sum() < len(known):
            reasons.append(f"No cut for {task.title}: the validation rows are all of one kind.")
            continue
        for cut in screening.chosen_cuts(truths["validation"], known.predicted):
            results = {name: screening.at_cut(task, truths[name], parts[name].predicted, cut.below) for name in truths}
            entries = dict(zip(results, _cut_entries(list(results.values()))))
            chosen.append({"task": task.name, "rule": cut.rule, "below_mg_cm3": cut.below, **entries})
    line = screening.correction((known.reference, known.predicted), (test.reference, test.predicted)) if len(known) >= FEWEST_ROWS else None
    found = {"cuts": chosen, "reasons": reasons}
    return found | ({"correction": {**line, "estimates": _entry(line["estimates"])}} if line else {})


def _cut_entries(cuts: list[dict]) -> list[dict]:
    return [{**cut, "estimates": _entry(cut["estimates"])} for cut in cuts]


def _entries(sections: dict[str, dict[str, Estimate]]) -> dict:
    return {name: _entry(estimates) for name, estimates in sections.items()}


def _entry(estimates: dict[str, Estimate]) -> dict:
    """Estimates for JSON, whose numbers are all finite."""
    found = {name: each.entry() for name, each in estimates.items()}
    assert all(math.isfinite(each.get("value", 0.0)) for each in found.values()), found
    return found
