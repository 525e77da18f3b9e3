"""Crops of simulated patients with known density, read from their scans as the network reads a real one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..grid import box_grid, resampled
from ..roi.region import LARGEST_EXCLUDED_SHARE
from ..simulation.cohort import Case, draw_cohort
from ..simulation.crops import SimulatedCrop, scan_piece
from ..simulation.findings import draw_findings, levels_of
from ..simulation.patient import to_image
from ..simulation.scanner import in_plane_spacing
from ..simulation.subject import person_of
from .crops import Crops
from .workers import simulating_pool

_CHUNK = 20
_PAPER_LEVELS = ("L1", "L2")
#: Of the varied patients every third shows the levels that stand in for L1 and L2.
_OTHER_LEVELS, _OTHERS = ("T12", "L3"), 3
#: Pixels of varied patients: coarser than most scans, which costs half; the network reads 2 mm.
_VARIED_MATRIX = 384
#: Density is drawn evenly for every second varied patient: the population has few at the ends.
_EVEN_VBMD = (15.0, 250.0)


def varied_cases(seed: int, count: int) -> list[Case]:
    """Patients of many sites without linear errors of HU, which augmentation adds anew for every look, and with metastases, half of
    which are moved into the vertebrae that are shown."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 3]))
    return [_plain(case, index, rng) for index, case in enumerate(draw_cohort(seed, count, "varied"))] if count else []


def _plain(case: Case, index: int, rng: np.random.Generator) -> Case:
    spec = case.spec
    scanner = replace(spec.scanner, slope_error=0.0, intercept_hu=0.0)
    pixel = in_plane_spacing(spec.spacing_mm[0] * spec.size[0], _VARIED_MATRIX)
    even = float(rng.uniform(*_EVEN_VBMD))
    vbmd = even if index % 2 else spec.vbmd
    findings = draw_findings(rng, spec.sex, spec.age, vbmd, "metastatic")
    case = replace(case, spec=replace(spec, scanner=scanner, spacing_mm=(pixel, pixel, spec.spacing_mm[2]), vbmd=vbmd, findings=findings))
    levels = _levels_of(case)
    lesions = tuple(replace(each, level=str(rng.choice(levels))) if rng.random() < 0.5 else each for each in findings.lesions)
    return replace(case, spec=replace(case.spec, findings=replace(findings, lesions=lesions)))


def simulated_crops(cases: Sequence[Case], name: str, shape: Sequence[int], spacing_mm: float, cache: Path) -> Crops:
    """Two crops of every case, (z, y, x) = ``shape`` voxels of ``spacing_mm`` around the centroid of the true ROI: L1 and L2, of
    "varied" cases sometimes T12 and L3. Levels with metal, and those that lesions leave no ROI, are left out.

    Kept in ``cache`` in chunks of patients, so that an interrupted run goes on where it was.
    """
    cache.mkdir(parents=True, exist_ok=True)
    chunks = [cases[start : start + _CHUNK] for start in range(0, len(cases), _CHUNK)]
    paths = [cache / f"{name}-{index:04d}.npz" for index in range(len(chunks))]
    missing = [(chunk, path) for chunk, path in zip(chunks, paths) if not path.exists()]
    with simulating_pool() as pool:
        waiting = [pool.submit(_make, chunk, tuple(shape), spacing_mm, path) for chunk, path in missing]
        for done, finished in enumerate(as_completed(waiting), start=1):
            finished.result()
            logging.getLogger(__name__).info("simulated %d of %d chunks of %s", done, len(missing), name)
    return Crops.joined([Crops.load(path) for path in paths])


def _make(cases: Sequence[Case], shape: tuple[int, ...], spacing_mm: float, path: Path) -> None:
    Crops.joined([part for case in cases for level in _levels_of(case) if (part := crop_of_case(case, level, shape, spacing_mm))]).save(
        path
    )


def _levels_of(case: Case) -> tuple[str, ...]:
    other = case.site.startswith("site") and int(case.id[1:]) % _OTHERS == 0
    levels = _OTHER_LEVELS if other else _PAPER_LEVELS
    findings = case.spec.findings
    metal = {level for hardware in findings.hardware for level in hardware.levels}
    return tuple(level for level in levels if level not in metal and level in levels_of(findings.variant))


def crop_of_case(case: Case, level: str, shape: Sequence[int], spacing_mm: float) -> Crops | None:
    """The one crop of a case around a level; None where lesions leave it no ROI."""
    if level not in person_of(case.spec).spine.levels:
        return None
    piece = scan_piece(case.spec, level, _SPARE_MM + spacing_mm * np.array(shape[::-1]))
    if piece.vbmd_mg_cm3 is None or not piece.roi.any():
        return None
    hu, *shares = _read(piece, shape, spacing_mm)
    body, roi = (np.rint(255 * share).astype(np.uint8)[None] for share in shares)
    scanner = case.spec.scanner
    numbers = {"kvp": scanner.kvp, "slope_error": scanner.slope_error, "intercept_hu": scanner.intercept_hu, "age": case.spec.age}
    texts = {"patient": case.id, "level": level, "site": case.site, "sex": case.spec.sex}
    return Crops(
        hu=np.rint(hu).astype(np.int16)[None],
        body=body,
        roi=roi,
        vbmd=np.array([piece.vbmd_mg_cm3], dtype=np.float32),
        eligible=np.array([is_eligible(case, level, piece.truth)]),
        **{key: np.array([value], dtype=np.float32) for key, value in numbers.items()},
        **{key: np.array([value]) for key, value in texts.items()},
    )


def is_eligible(case: Case, level: str, truth: dict) -> bool:
    """Whether the paper would have measured this vertebra: not fractured, and not diseased beyond what a ROI can leave out."""
    diseased = 1.0 - truth["roi"]["volume_cm3"] / truth["roi_with_lesions"]["volume_cm3"]
    return case.spec.findings.fracture(level) is None and diseased <= LARGEST_EXCLUDED_SHARE


#: Room for the centroid of the ROI, which lies beside that of the body, and for interpolation.
_SPARE_MM = 8.0


def _read(piece: SimulatedCrop, shape: Sequence[int], spacing_mm: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU and shares of the body and of the true ROI, (z, y, x) = ``shape``, around the centroid of the ROI."""
    hu, body, roi = (to_image(array.astype(np.float32), piece.grid, np.zeros(3)) for array in (piece.hu, piece.body, piece.roi))
    k, j, i = (float(axis.mean()) for axis in np.nonzero(piece.roi))
    grid = box_grid(roi.TransformContinuousIndexToPhysicalPoint((i, j, k)), shape[::-1], spacing_mm)
    return tuple(sitk.GetArrayFromImage(resampled(image, grid, outside)) for image, outside in ((hu, -1024.0), (body, 0.0), (roi, 0.0)))
