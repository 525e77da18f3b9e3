"""What is true about one body, computed on its own lattice: never from the scan.

Two kinds of density, never mixed up: *QCT-equivalent*, what an ideally calibrated noise-free scan without contrast
reads (marrow and its fat included, mg/cm3 of CaHA or K2HPO4), and *true mineral* (mg CaHA/cm3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from VertebralBMDLib.simulation.beam import Beam, reference_beam
from VertebralBMDLib.simulation.hardware import screws
from VertebralBMDLib.simulation.lesions import Blob, lay
from VertebralBMDLib.simulation.materials import MINERALS, Composition, bone
from VertebralBMDLib.simulation.person import Person
from VertebralBMDLib.simulation.shapes import LPS_FRAME, coverage
from VertebralBMDLib.simulation.trabecular import (
    LATTICE_MM,
    BoneQuality,
    TrabecularField,
    lay_vein,
    make_field,
    marrow_bone_hu,
    shell_of,
)
from VertebralBMDLib.simulation.vertebra import BodyShape

METAL_MARGIN_MM = 3.0


class _Mineral:
    """Reads mg CaHA/cm3 where a beam reads HU."""

    def hu(self, composition: Composition) -> float:
        return 1000.0 * composition.get("CaHA", 0.0)


@dataclass(frozen=True)
class _Parts:
    """Of every lattice point: the share (0-1) of it in the shell and within the shell."""

    shell: np.ndarray
    inner: np.ndarray

    def mean(self, shell_values: np.ndarray, inner_values: np.ndarray) -> dict[str, float]:
        """Means over the whole inside (trabecular), the shell (cortical) and both (integral)."""
        in_shell, in_inner = (float((share * values).sum()) for share, values in ((self.shell, shell_values), (self.inner, inner_values)))
        n_shell, n_inner = float(self.shell.sum()), float(self.inner.sum())
        return {
            "trabecular": in_inner / n_inner,
            "cortical": in_shell / n_shell,
            "integral": (in_shell + in_inner) / (n_shell + n_inner),
        }


def body_truth(person: Person, level: str, beam: Beam) -> dict[str, Any]:
    """JSON-able truth of one body; `beam` is that of the scan. Centroid in the person's LPS frame, mm.

    `trabecular`: everything within the shell; the ROI is described in `trabecular`. ROI values exclude lesions,
    cement and metal, `roi_with_lesions` does not exclude lesions and cement.
    """
    body, quality, blobs = person.spine.body(level), person.quality(level), person.blobs(level)
    field = make_field(body, quality, person.texture_rng(level), blobs=blobs)
    roi, whole_roi = (_clear_of_metal(person, level, field, r) for r in (field.roi, field.whole_roi))
    inside = coverage(field.distance, LATTICE_MM)
    inner = coverage(field.distance + shell_of(body, quality, field.at_endplate, field.points), LATTICE_MM)
    parts, cm3 = _Parts(inside - inner, inner), LATTICE_MM**3 / 1000.0
    mineral_shell, mineral_inner = _layers(_Mineral(), body, quality, field, blobs)
    true = parts.mean(mineral_shell, mineral_inner)
    volumes = {"trabecular": float(inner.sum()) * cm3, "cortical": float(parts.shell.sum()) * cm3, "integral": float(inside.sum()) * cm3}
    reference = reference_beam(120)
    at_120 = _layers(reference, body, quality, field, blobs)
    at_scan = at_120 if beam is reference else _layers(beam, body, quality, field, blobs)
    center = [float((inside * p).sum() / inside.sum()) for p in field.points]
    return {
        "roi": {
            "volume_cm3": float(roi.sum()) * cm3,
            "qct_equivalent_120_kvp_mg_cm3": _readings(reference, at_120[1], roi),
            "qct_equivalent_mg_cm3": _readings(beam, at_scan[1], roi),
            "true_mineral_mg_cm3": _mean(field.mineral, roi),
            "marrow_fat_fraction": _mean(field.fat, roi),
        },
        "roi_with_lesions": {
            "volume_cm3": float(whole_roi.sum()) * cm3,
            "qct_equivalent_120_kvp_mg_cm3": _readings(reference, at_120[1], whole_roi),
            "qct_equivalent_mg_cm3": _readings(beam, at_scan[1], whole_roi),
            "true_mineral_mg_cm3": _mean(mineral_inner, whole_roi),
        },
        "true_mineral_mg_cm3": true,
        "qct_equivalent_120_kvp_mg_cm3": {
            part: {m: reference.qct_equivalent(hu, m) for m in MINERALS} for part, hu in parts.mean(*at_120).items()
        },
        "qct_equivalent_mg_cm3": {part: {m: beam.qct_equivalent(hu, m) for m in MINERALS} for part, hu in parts.mean(*at_scan).items()},
        "bmc_mg": {part: density * volumes[part] for part, density in true.items()},
        "volume_cm3": volumes,
        "heights_mm": _heights(body.heights_mm),
        "height_loss": None if body.intact_heights_mm is None else _heights(_losses(body)),
        "width_mm": float(body.width),
        "depth_mm": float(body.depth),
        "wall_mm": float(quality.wall_mm),
        "endplate_mm": float(quality.endplate_mm),
        "centroid_lps_mm": [float(c) for c in body.frame.to_world(center)],
        "rib_pair": person.spine.ribs[person.spine.index(level)],
    }


def column_truth(person: Person) -> dict[str, Any]:
    """What ribs, column and sacrum show: who counts the levels from either end can be checked against it."""
    spine = person.spine
    return {
        "variant": spine.variant,
        "levels": list(spine.levels),
        "rib_pairs": {level: rib for level, rib in zip(spine.levels, spine.ribs) if rib != "none"},
        "last_rib_pair": next((level for level, rib in zip(spine.levels[::-1], spine.ribs[::-1]) if rib != "none"), None),
        "lumbar_type_vertebrae": sum(level.startswith("L") for level in spine.levels),
        "last_level_joins_sacrum": spine.variant in ("sacralised_L5", "lumbarised_S1"),
        "findings": person.findings.as_dict(),
    }


def _layers(
    beam: Beam | _Mineral, body: BodyShape, quality: BoneQuality, field: TrabecularField, blobs: tuple[Blob, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """(shell, inner) of every lattice point as `beam` reads them, lesions and vein included."""
    if isinstance(beam, Beam):
        inner = marrow_bone_hu(beam, field.mineral, field.fat)
    else:
        inner = field.mineral.copy()
    shell = np.where(field.at_endplate, *(np.float32(beam.hu(bone(mg, 0.0))) for mg in (quality.endplate_mg, quality.wall_mg)))
    local = tuple(np.broadcast_to(p, inner.shape) for p in field.points)
    lay_vein(body, quality, beam, local, LATTICE_MM, inner, shell)
    lay(blobs, beam, local, LATTICE_MM, inner, shell)
    return shell, inner


def _clear_of_metal(person: Person, level: str, field: TrabecularField, roi: np.ndarray) -> np.ndarray:
    clear = roi > 0
    for hardware in person.findings.hardware:
        if hardware.kind == "screws" and level in hardware.levels:
            for solid in screws(person.spine, level):
                clear = clear & (replace(solid, frame=LPS_FRAME).distance(*field.points) > METAL_MARGIN_MM)
    return clear


def _mean(values: np.ndarray, roi: np.ndarray) -> float | None:
    return float(values[roi].mean(dtype=float)) if roi.any() else None


def _readings(beam: Beam, hu: np.ndarray, roi: np.ndarray) -> dict[str, float] | None:
    """None where lesions leave no ROI."""
    mean = _mean(hu, roi)
    return None if mean is None else {m: beam.qct_equivalent(mean, m) for m in MINERALS}


def _heights(values: tuple[float, float, float]) -> dict[str, float]:
    return {name: float(value) for name, value in zip(("anterior", "middle", "posterior"), values)}


def _losses(body: BodyShape) -> tuple[float, float, float]:
    return tuple(1.0 - now / was for now, was in zip(body.heights_mm, body.intact_heights_mm))
