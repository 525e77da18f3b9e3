"""Bodies, levels and ROI values of the bundled engine on the annotated real scans of ../shared/data/ct.

Scored are the complete bodies T11-L5 whose annotation is of medium or high confidence, each with the body of ours that fills
most of it. With ``--models FOLDER`` every scan is read by the networks FOLDER/NAME that never saw its patient.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from documents import parser, publish
from scores import centroid_error, covering, is_told, overlap, surface_distances

from VertebralBMDLib.anatomy import COLUMN, LABELS
from VertebralBMDLib.loading import load
from VertebralBMDLib.network import models
from VertebralBMDLib.pipeline import NotMeasured, measure
from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.scan import Scan
from VertebralBMDLib.segmentation.vertebrae import Vertebrae
from VertebralBMDLib.settings import Settings

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"
SCORED = [LABELS[level] for level in COLUMN[COLUMN.index("T11") : COLUMN.index("L6")]]
WANTED = ("L1", "L2")
#: What the networks are asked to reach: Dice in the mean and of every scan, surfaces, centroids, and the ROI in HU.
DICE, SCAN_DICE, SURFACE_MM, CENTROID_MM, ROI_MEAN_HU, ROI_HU = 0.95, 0.92, 2.5, 2.5, 2.0, 4.0
SEEN = "The bundled networks were trained on these very scans: this shows that they work, not how well they generalise."
UNSEEN = "Every scan was read by networks that were trained without its patient (leave one out)."


@dataclass(frozen=True)
class BodyScore:
    """One annotated body; distances in mm (95th percentile of both directions), infinite where it was missed.

    ``limited_mm``: like ``surface_mm``, but a slice counts no more than ``SURFACE_MM``, as its outline is no better known.
    """

    dice: float
    in_plane_mm: float
    surface_mm: float
    limited_mm: float
    centroid_mm: float


MISSED = BodyScore(0.0, *[np.inf] * 4)


@dataclass(frozen=True)
class ScanScore:
    """``slice_mm``: the largest spacing; ``levels``: in words; ``roi``: HU of ours less the reference, or why there is none."""

    name: str
    slice_mm: float
    bodies: tuple[BodyScore, ...]
    levels: str
    confidence: float | None
    roi: dict[str, float | str]


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--scans", type=lambda text: text.split(","), default=None, metavar="NAME,NAME")
    arguments.add_argument("--models", type=Path, default=None, metavar="FOLDER", help="networks by the scan that they never saw")
    options = arguments.parse_args()
    if not DATA.exists():
        raise SystemExit(f"{DATA} is absent: there is nothing to compare with.")
    scores = []
    for name in options.scans or sorted(path.name[3:-7] for path in DATA.glob("CT_*.nii.gz")):
        with networks(options.models and options.models / name):
            scores.append(scored(name))
    publish("segmentation_accuracy", table(scores, UNSEEN if options.models else SEEN), options.write)


@contextmanager
def networks(folder: Path | None) -> Iterator[None]:
    """Use the networks of ``folder`` instead of those in use (None: go on with them)."""
    before = os.environ.get("VERTEBRAL_BMD_MODELS")
    if folder is not None:
        os.environ["VERTEBRAL_BMD_MODELS"] = str(folder)
    # Loaded networks are kept by name.
    models.load.cache_clear()
    try:
        yield
    finally:
        if folder is not None:
            os.environ.pop("VERTEBRAL_BMD_MODELS")
        if before is not None:
            os.environ["VERTEBRAL_BMD_MODELS"] = before


def scored(name: str) -> ScanScore:
    """Read one scan and compare it with its annotation."""
    scan, path = load(DATA / f"CT_{name}.nii.gz"), DATA / f"BODIES_{name}.nii.gz"
    reference = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    vertebrae, ours, reason = measured(scan, Settings(device="cpu", calibration="none"))
    _bodies, theirs, their_reason = measured(scan, Settings(device="cpu", calibration="none", bodies=path))
    annotated = json.loads((DATA / f"BODIES_{name}.json").read_text(encoding="utf-8"))["bodies"]
    complete = [body["label"] for body in annotated if body["complete"]]
    trusted = [b["label"] for b in annotated if b["complete"] and b["confidence"] != "low" and b["label"] in SCORED]
    slice_mm = max(scan.spacing_mm)
    if vertebrae is None:
        return ScanScore(name, slice_mm, (MISSED,) * len(trusted), reason, None, dict.fromkeys(WANTED, reason))
    found = sitk.GetArrayFromImage(vertebrae.label_map)
    bodies = tuple(body_score(found, reference == label, scan.spacing_mm[::-1]) for label in trusted)
    matches = {label: covering(found, reference == label) for label in complete}
    both = {level: ours[level] - theirs[level] for level in ours if level in theirs}
    roi = {level: both.get(level, _absent(vertebrae, level) or their_reason) for level in WANTED}
    first = vertebrae.get("L1")
    return ScanScore(name, slice_mm, bodies, named(vertebrae, matches), first and first.level_confidence, roi)


def measured(scan: Scan, settings: Settings) -> tuple[Vertebrae | None, dict[str, float], str]:
    """The vertebrae, the mean HU in the ROI of each level that was measured, and why nothing was."""
    try:
        result = measure(scan, settings)
    except NotMeasured as refusal:
        return refusal.vertebrae, {}, refusal.code.value
    except Refused as refusal:
        return None, {}, refusal.code.value
    return result.vertebrae, {each.vertebra.level: each.density.roi_mean_hu for each in result.measured}, "not measured"


def _absent(vertebrae: Vertebrae, level: str) -> str:
    """Why a level was not measured, "" when the body itself gives no reason."""
    body = vertebrae.get(level)
    code = Code.LEVEL_NOT_FOUND if body is None else body.refusal
    return code.value if code else ""


def body_score(found: np.ndarray, truth: np.ndarray, spacing_mm: tuple[float, ...]) -> BodyScore:
    """Score the label of ``found`` that fills most of ``truth``; arrays (z, y, x)."""
    label = covering(found, truth)
    if not label:
        return MISSED
    ours = found == label
    limited = (min(spacing_mm[0], SURFACE_MM), *spacing_mm[1:])
    of = (surface_distances(ours, truth, mm, plane) for mm, plane in ((spacing_mm, True), (spacing_mm, False), (limited, False)))
    distances = (float(np.percentile(each, 95)) for each in of)
    return BodyScore(overlap(ours, truth), *distances, centroid_error(ours, truth, spacing_mm))


def named(vertebrae: Vertebrae, matches: dict[int, int]) -> str:
    """Whether the annotated bodies that were found bear their names; a wrong one counts as WRONG where nothing says so."""
    wrong = [match for label, match in matches.items() if match and match != label]
    if any(not is_told(vertebrae, match) for match in wrong):
        return "WRONG"
    uncertain = Code.LEVEL_UNCERTAIN in vertebrae.flags or Code.TRANSITIONAL_ANATOMY in vertebrae.flags
    return ("shifted" if wrong else "right") + (", refused" if uncertain else "")


def table(scores: list[ScanScore], said: str) -> str:
    """The printed table with what was to be reached below."""
    lines = [said, "HD95: 95th percentile of the distances of both surfaces to the other, mean of the bodies / worst body; mm;"]
    lines.append(f"  in plane: within slices that both have; limited: in 3D, where a slice counts {SURFACE_MM} mm at most")
    lines.append(_row("scan", ("bodies", "Dice", "worst", "HD95 in plane", "HD95 3D", "HD95 limited", "centroid"), "slice", "levels", "L1"))
    lines[-1] += "  ROI HU, ours - reference: L1, L2"
    for each in scores:
        confidence = "-" if each.confidence is None else f"{each.confidence:.2f}"
        roi = ", ".join(value if isinstance(value, str) else f"{value:+.1f}" for value in each.roi.values())
        lines.append(f"{_row(each.name, _cells(each.bodies), f'{each.slice_mm:.2f}', each.levels, confidence)}  {roi}")
    every = _cells([body for each in scores for body in each.bodies])
    return "\n".join([*lines, _row("all bodies", every, "", "", "").rstrip(), *reached(scores)])


def _row(name: str, cells: tuple[str, ...], slice_mm: str, levels: str, confidence: str) -> str:
    count, dice, worst, plane, surface, limited, centroid = cells
    return f"{name:15}{count:>7}{dice:>7}{worst:>7}{plane:>15}{surface:>14}{limited:>14}{slice_mm:>7}{centroid:>10}  {levels:18}{confidence:>5}"


def _cells(bodies: Sequence[BodyScore]) -> tuple[str, ...]:
    """Number of bodies, Dice in the mean and the worst, the surface distances, and the worst centroid."""
    if not bodies:
        return "0", *"-" * 6
    dice, plane, surface, limited, centroid = (np.array([getattr(body, field.name) for body in bodies]) for field in fields(BodyScore))
    spreads = (f"{values.mean():.2f} / {values.max():.2f}" for values in (plane, surface, limited))
    return str(len(bodies)), f"{dice.mean():.3f}", f"{dice.min():.3f}", *spreads, f"{centroid.max():.2f}"


def reached(scores: list[ScanScore]) -> list[str]:
    """What was to be reached, and what was."""
    every = [body for each in scores for body in each.bodies]
    within = [body.limited_mm <= SURFACE_MM for body in every]
    dice, by_scan = np.mean([body.dice for body in every]), [np.mean([b.dice for b in s.bodies]) for s in scores if s.bodies]
    centroid = max(body.centroid_mm for body in every)
    roi = np.array([abs(value) for each in scores for value in each.roi.values() if not isinstance(value, str)])
    wrong = sum(each.levels == "WRONG" for each in scores)
    rows = [
        (f"mean Dice {dice:.3f}", f"at least {DICE}", dice >= DICE),
        (f"lowest mean of a scan {min(by_scan):.3f}", f"at least {SCAN_DICE}", min(by_scan) >= SCAN_DICE),
        (f"limited HD95 of {sum(within)} of {len(within)} bodies within", f"{SURFACE_MM} mm", all(within)),
        (f"largest centroid error {centroid:.2f} mm", f"at most {CENTROID_MM} mm", centroid <= CENTROID_MM),
        (f"scans named wrong without a word {wrong}", "none", wrong == 0),
    ]
    if len(roi):
        met = roi.mean() <= ROI_MEAN_HU and roi.max() <= ROI_HU
        rows.append(
            (f"ROI of {len(roi)} bodies off by {roi.mean():.1f} HU, at most {roi.max():.1f}", f"{ROI_MEAN_HU} and {ROI_HU} HU", met)
        )
    return [f"{what} ({limit}): {'reached' if met else 'NOT reached'}" for what, limit, met in rows]


if __name__ == "__main__":
    main()
