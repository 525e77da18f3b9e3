"""Bodies, levels and ROI values of the bundled engine on the annotated real scans of ../shared/data/ct.

The bundled networks were trained on these very scans, so this shows that they work, not how well they generalise. For
that, train without some patients and point VERTEBRAL_BMD_MODELS to the result (--leave-out of ``vertebral-bmd train``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from documents import parser, publish

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.loading import load
from VertebralBMDLib.pipeline import NotMeasured, measure
from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.segmentation.bundled import BundledEngine
from VertebralBMDLib.settings import Settings

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"
SCORED = [LABELS[level] for level in ("T11", "T12", "L1", "L2", "L3", "L4", "L5")]


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--scans", type=lambda text: text.split(","), default=None, metavar="NAME,NAME")
    options = arguments.parse_args()
    if not DATA.exists():
        raise SystemExit(f"{DATA} is absent: there is nothing to compare with.")
    names = options.scans or sorted(path.name[3:-7] for path in DATA.glob("CT_*.nii.gz"))
    lines = [
        f"{'scan':15}{'bodies':>7}{'Dice':>7}{'worst':>7}{'L1':>7}{'L2':>7}  {'levels':18}{'certainty':>9}  ROI HU, ours - reference (L1, L2)"
    ]
    lines += [row(name) for name in names]
    publish("segmentation_accuracy", "\n".join(lines), options.write)


def row(name: str) -> str:
    """One line of the table: Dice over the complete annotated bodies T11-L5, each with ours that fills most of it."""
    scan = load(DATA / f"CT_{name}.nii.gz")
    reference = sitk.GetArrayFromImage(sitk.ReadImage(str(DATA / f"BODIES_{name}.nii.gz")))
    try:
        vertebrae = BundledEngine("cpu").segment(scan, lambda fraction: None)
    except Refused as refusal:
        return f"{name:15} {refusal.code.value}"
    found = sitk.GetArrayFromImage(vertebrae.label_map)
    matches = {label: most_common(found, reference == label) for label in SCORED if (reference == label).any()}
    dice = {label: overlap(found == match, reference == label) if match else 0.0 for label, match in matches.items()}
    right = all(label == match for label, match in matches.items())
    levels = "right" if right else "shifted, refused" if Code.LEVEL_UNCERTAIN in vertebrae.flags else "WRONG"
    scores = "".join(f"{dice[LABELS[level]]:7.3f}" if LABELS[level] in dice else f"{'-':>7}" for level in ("L1", "L2"))
    certainty = max(body.level_confidence for body in vertebrae.bodies)
    return f"{name:15}{len(dice):7d}{np.mean(list(dice.values())):7.3f}{min(dice.values()):7.3f}{scores}  {levels:18}{certainty:9.2f}  {roi_difference(scan, name)}"


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of two masks."""
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def most_common(labels: np.ndarray, mask: np.ndarray) -> int:
    """The label that fills most of a mask, 0 for none."""
    return int(np.bincount(labels[mask]).argmax())


def roi_difference(scan, name: str) -> str:
    """Mean HU in the eroded ROI of our bodies less that of the reference bodies, for the levels both have."""
    path = DATA / f"BODIES_{name}.nii.gz"
    values = []
    for engine in (None, path):
        try:
            result = measure(scan, Settings(bodies=engine, calibration="none"))
            values.append({each.vertebra.level: each.density.roi_mean_hu for each in result.measured})
        except NotMeasured as refusal:
            values.append({})
            reason = refusal.code.value
    both = [level for level in values[0] if level in values[1]]
    return ", ".join(f"{level} {values[0][level] - values[1][level]:+.1f}" for level in both) or reason


if __name__ == "__main__":
    main()
