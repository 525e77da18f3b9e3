"""The files of an evaluation: JSON, CSV, figures, and a report as HTML and PDF. evaluation.json is written last."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .columns import Pairs
from .figures import agreement_figure, reliability_figure
from .presentation import aligned, banner, facts, tables
from .quantities import UNITS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILES = (
    "evaluation.json", "evaluation.csv", "cuts.csv", "report.html", "report.pdf",
    "agreement.png", "agreement.svg", "reliability.png", "reliability.svg",
)  # fmt: skip

_TEMPLATES = Path(__file__).parent / "templates"
_COLUMNS = (
    "part", "section", "quantity", "unit", "value", "interval_low", "interval_high", "method", "bootstrap_low", "bootstrap_high",
    "p_value", "count", "of", "reason",
)  # fmt: skip
_PROPORTIONS = ("sensitivity", "specificity", "ppv", "npv", "accuracy")
_CUT_COLUMNS = (
    "part", "task", "rule", "below_mg_cm3", "tp", "fn", "fp", "tn",
    *(f"{name}{end}" for name in _PROPORTIONS for end in ("", "_low", "_high")),
)  # fmt: skip

#: Points: A4 lying, its margin; widest and narrowest letters of a page of text; a DejaVu Sans Mono letter is 0.602 of its size wide.
_WIDTH, _HEIGHT, _MARGIN, _LARGE, _SMALL, _LETTER, _LINE = 842, 595, 34, 7.5, 4.5, 0.602, 1.3


def write_evaluation(document: dict, pairs: Pairs, folder: Path) -> None:
    """Write FILES (reliability.* only with probabilities) into ``folder``, replacing those of an earlier evaluation.

    ``pairs``: the rows that were evaluated, in mg/cm³. Raises ValueError when the folder holds a measurement, whose report
    would be lost, and ImportError where matplotlib, jinja2 or scikit-learn is not installed.
    """
    if (folder / "measurement.json").exists():
        raise ValueError("the output folder holds a measurement, whose report.html would be replaced; choose another --output")
    main = pairs if pairs.split is None else pairs.rows(pairs.split == document["main"])
    figures = {"agreement": agreement_figure(main, document)}
    if "probability" in document["sets"][document["main"]]["sections"]:
        figures["reliability"] = reliability_figure(document)
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    pictures = {name: _picture(figure, "png") for name, figure in figures.items()}
    for name, figure in figures.items():
        (folder / f"{name}.png").write_bytes(pictures[name])
        (folder / f"{name}.svg").write_bytes(_picture(figure, "svg"))
    _write_csv(folder / "evaluation.csv", _COLUMNS, _estimate_rows(document))
    _write_csv(folder / "cuts.csv", _CUT_COLUMNS, _cut_rows(document))
    (folder / "report.html").write_text(_page(document, pictures), encoding="utf-8")
    _write_pdf(folder / "report.pdf", document, list(figures.values()))
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    (folder / "evaluation.json").write_text(text, encoding="utf-8")


def _picture(figure: Figure, form: str) -> bytes:
    """A figure as PNG or SVG, the same bytes each time."""
    from matplotlib import rc_context

    stream = io.BytesIO()
    with rc_context({"svg.hashsalt": "vertebral-bmd"}):
        figure.savefig(stream, format=form, metadata={"Date": None} if form == "svg" else None)
    return stream.getvalue()


def _write_csv(path: Path, columns: tuple[str, ...], rows: Iterator[dict]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _estimate_rows(document: dict) -> Iterator[dict]:
    """Every estimate of every part, absent cells empty."""
    for part, entry in document["sets"].items():
        for section, estimates in entry["sections"].items():
            for name, each in estimates.items():
                row = {"part": part, "section": section, "quantity": name, "unit": UNITS[name]}
                row |= {key: value for key, value in each.items() if key not in ("interval", "bootstrap")}
                for key in ("interval", "bootstrap"):
                    row |= dict(zip((f"{key}_low", f"{key}_high"), each.get(key, ())))
                yield row


def _cut_rows(document: dict) -> Iterator[dict]:
    """The cuts of every part, then those that were chosen, with the rule."""
    for part, entry in document["sets"].items():
        for cut in entry["tables"]["cuts"]:
            yield _cut_row(part, "", cut)
    for chosen in document["screening"].get("cuts", ()):
        for part in ("validation", "test"):
            yield _cut_row(part, chosen["rule"], chosen[part])


def _cut_row(part: str, rule: str, cut: dict) -> dict:
    row = {"part": part, "task": cut["task"], "rule": rule, "below_mg_cm3": cut["below_mg_cm3"], **cut["counts"]}
    for name in _PROPORTIONS:
        each = cut["estimates"][name]
        row[name] = each.get("value", "")
        row |= dict(zip((f"{name}_low", f"{name}_high"), each.get("interval", ())))
    return row


def _page(document: dict, pictures: dict[str, bytes]) -> str:
    """report.html: one page without scripts or network access; every value is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    embedded = {name: base64.b64encode(picture).decode("ascii") for name, picture in pictures.items()}
    return environment.get_template("evaluation.html.j2").render(
        {"reliability": ""}
        | embedded
        | {"document": document, "banner": banner(document), "facts": facts(document), "tables": tables(document)}
    )


def _write_pdf(path: Path, document: dict, figures: list[Figure]) -> None:
    """report.pdf: the figures, then the tables as text, on lying A4; each page says what it may be used for."""
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    with PdfPages(path, metadata={"Title": "Agreement of vertebral bone mineral density", "CreationDate": None}) as pdf:
        for each in figures:
            pdf.savefig(each)
        blocks = ["\n".join(facts(document)), *(aligned(table, 150) for table in tables(document))]
        for page in _pages(blocks):
            figure = Figure((_WIDTH / 72, _HEIGHT / 72))
            figure.text(_MARGIN / _WIDTH, 1 - 0.75 * _MARGIN / _HEIGHT, banner(document), fontsize=8, weight="bold")
            for top, size, line in page:
                figure.text(_MARGIN / _WIDTH, top / _HEIGHT, line, fontsize=size, family="DejaVu Sans Mono", va="top", parse_math=False)
            pdf.savefig(figure)


def _pages(blocks: list[str]) -> Iterator[list[tuple[float, float, str]]]:
    """Lines as (top in points, size of the letters, text); a block that fits on a page is not torn apart."""
    page, top, lowest = [], float(_HEIGHT - 1.6 * _MARGIN), float(_MARGIN)
    for block in blocks:
        lines = block.split("\n")
        size = max(_SMALL, min(_LARGE, (_WIDTH - 2 * _MARGIN) / (_LETTER * max(map(len, lines)))))
        height = size * _LINE * (len(lines) + 1)
        if page and top - height < lowest:
            yield page
            page, top = [], float(_HEIGHT - 1.6 * _MARGIN)
        for line in lines:
            page.append((top, size, line))
            top -= size * _LINE
        top -= size * _LINE
    yield page
