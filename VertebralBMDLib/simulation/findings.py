"""What is unusual about a person: variants of the column, curvature, fractures, lesions, degeneration, metal.

`Findings()` is a person with nothing unusual. Rates are the orders of magnitude of the literature, low
confidence unless a source is named; they set how often a program meets a case, not how often it occurs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from VertebralBMDLib.anatomy import LABELS

Variant = Literal[
    "none", "L6", "T13", "four_lumbar", "eleven_thoracic", "lumbar_ribs", "short_ribs", "no_ribs", "sacralised_L5", "lumbarised_S1"
]
FractureKind = Literal["wedge", "biconcave", "crush"]
LesionKind = Literal["lytic", "blastic", "mixed", "island"]
HardwareKind = Literal["screws", "cement"]
Population = Literal["healthy", "general", "metastatic"]

#: Values of the label map `Canvas.findings`.
FINDING_LABELS: dict[str, int] = {
    "lytic": 1,
    "blastic": 2,
    "mixed": 3,
    "island": 4,
    "degeneration": 5,
    "hardware": 6,
    "calcification": 7,
}

#: Share of people with each variant (low confidence).
#: L6 and lumbarised S1: six lumbar-type vertebrae, label 25. T13: an extra vertebra with a 13th pair of ribs, VerSe
#: label 28, above a complete L1-L5. lumbar_ribs: the usual seventeen, with ribs on L1, which stays L1 (20).
#: four_lumbar and eleven_thoracic: L5 (24) or T12 (19) is missing and its label is not used.
VARIANT_RATES: dict[Variant, float] = {
    "L6": 0.03,
    "lumbarised_S1": 0.025,
    "T13": 0.007,
    "four_lumbar": 0.015,
    "eleven_thoracic": 0.015,
    "lumbar_ribs": 0.01,
    "short_ribs": 0.06,
    "no_ribs": 0.02,
    "sacralised_L5": 0.055,
}

LOSS_RANGE = (0.15, 0.60)
RADIUS_RANGE_MM = (1.0, 20.0)
_FRACTURE_LEVELS = {"T7": 2.0, "T8": 2.0, "T9": 1.0, "T10": 1.0, "T11": 2.0, "T12": 4.0, "L1": 4.0, "L2": 2.0, "L3": 1.5, "L4": 1.0}
_LESION_LEVELS = ("T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")
_METASTASES: dict[LesionKind, float] = {"lytic": 17 / 37, "blastic": 14 / 37, "mixed": 6 / 37}  # of 46, 9 of them fractures


def _within(name: str, value: float, low: float, high: float, unit: str = "") -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be within {low:g}-{high:g}{unit}, not {value}")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")


@dataclass(frozen=True)
class Fracture:
    """Loss of height of one body as a share: in front (wedge), in the middle (biconcave) or of all of it (crush)."""

    level: str
    kind: FractureKind
    loss: float

    def __post_init__(self) -> None:
        _one_of("level", self.level, tuple(LABELS))
        _one_of("kind", self.kind, get_args(FractureKind))
        _within("loss", self.loss, *LOSS_RANGE)


@dataclass(frozen=True)
class Lesion:
    """A focal lesion: its centre as shares of half width (left +), half depth (back +) and half height (up +).

    `back` may reach 1.6, the pedicle. mineral_mg_cm3: true mineral of its bone, mg CaHA/cm3 (a lytic lesion keeps
    few remains; a mixed one alternates between this and soft tissue). seed: of its outline.
    """

    level: str
    kind: LesionKind
    across: float
    back: float
    up: float
    radius_mm: float
    mineral_mg_cm3: float
    seed: int = 0

    def __post_init__(self) -> None:
        _one_of("level", self.level, tuple(LABELS))
        _one_of("kind", self.kind, get_args(LesionKind))
        _within("across", self.across, -1.0, 1.0)
        _within("back", self.back, -1.0, 1.6)
        _within("up", self.up, -1.0, 1.0)
        _within("radius_mm", self.radius_mm, *RADIUS_RANGE_MM, " mm")
        _within("mineral_mg_cm3", self.mineral_mg_cm3, 0.0, 1500.0, " mg/cm3")
        _within("seed", self.seed, 0, 2**63 - 1)


@dataclass(frozen=True)
class Hardware:
    """Pedicle screws with rods through `levels`, or vertebroplasty cement in each of them."""

    kind: HardwareKind
    levels: tuple[str, ...]

    def __post_init__(self) -> None:
        _one_of("kind", self.kind, get_args(HardwareKind))
        if not self.levels:
            raise ValueError("levels must name at least one vertebra")
        for level in self.levels:
            _one_of("levels", level, tuple(LABELS))


@dataclass(frozen=True)
class Findings:
    """All that is unusual; degeneration runs from 0 (none) to 1 (bridging osteophytes, gas in narrow discs)."""

    variant: Variant = "none"
    scoliosis_deg: float = 0.0
    fractures: tuple[Fracture, ...] = ()
    lesions: tuple[Lesion, ...] = ()
    degeneration: float = 0.0
    hardware: tuple[Hardware, ...] = ()

    def __post_init__(self) -> None:
        _one_of("variant", self.variant, get_args(Variant))
        _within("scoliosis_deg", self.scoliosis_deg, -60.0, 60.0, " degrees")
        _within("degeneration", self.degeneration, 0.0, 1.0)
        levels = levels_of(self.variant)
        broken = [f.level for f in self.fractures]
        if len(set(broken)) < len(broken):
            raise ValueError(f"fractures must name each level at most once, not {', '.join(broken)}")
        for name in (*broken, *(lesion.level for lesion in self.lesions), *(n for h in self.hardware for n in h.levels)):
            if name not in levels:
                raise ValueError(f"level must be one of {', '.join(levels)} with variant {self.variant}, not {name!r}")

    def fracture(self, level: str) -> Fracture | None:
        return next((f for f in self.fractures if f.level == level), None)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` rebuilds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Findings:
        """Rebuild from `as_dict` after JSON; ValueError names what does not fit."""
        unknown = set(values) - set(cls.__dataclass_fields__)
        if unknown:
            raise ValueError(f"findings must only hold {', '.join(cls.__dataclass_fields__)}, not {', '.join(sorted(unknown))}")
        parts = dict(values)
        for name, kind in (("fractures", Fracture), ("lesions", Lesion), ("hardware", Hardware)):
            try:
                parts[name] = tuple(kind(**{k: tuple(v) if k == "levels" else v for k, v in item.items()}) for item in parts.get(name, ()))
            except TypeError as wrong:
                raise ValueError(f"{name} must hold the fields of {kind.__name__}: {wrong}") from wrong
        return cls(**parts)


def levels_of(variant: Variant) -> tuple[str, ...]:
    """Levels of a column from cranial to caudal."""
    thoracic = {"T13": 13, "eleven_thoracic": 11}.get(variant, 12)
    lumbar = {"L6": 6, "lumbarised_S1": 6, "four_lumbar": 4}.get(variant, 5)
    return tuple(f"T{i}" for i in range(1, thoracic + 1)) + tuple(f"L{i}" for i in range(1, lumbar + 1))


def draw_findings(rng: np.random.Generator, sex: str, age: float, vbmd: float, population: Population) -> Findings:
    """Draw what is unusual about a person of this age (years) and L1 density (mg/cm3 CaHA).

    healthy: mild degeneration only. general: variants, curvature, islands and fractures at everyday rates.
    metastatic: general, with one to six metastases (lytic, blastic, mixed as 17:14:6, three in four in the back of
    the body) and, as in the paper's cohort, at least one vertebral fracture.
    """
    _one_of("sex", sex, ("F", "M"))
    _one_of("population", population, get_args(Population))
    worn = float(np.clip(0.012 * (age - 35.0) + rng.normal(0.0, 0.15) + (0.04 if sex == "M" else 0.0), 0.0, 1.0))
    if population == "healthy":
        return Findings(degeneration=min(0.3, 0.5 * worn))
    variant = str(rng.choice(["none", *VARIANT_RATES], p=[1.0 - sum(VARIANT_RATES.values()), *VARIANT_RATES.values()]))
    levels = levels_of(variant)
    curve = rng.normal(0.0, 12.0 if rng.uniform() < 0.08 else 3.5)
    lesions = list(_draw_islands(rng, levels))
    # 2-4 % at 50 rising to about 20-25 % at 80, doubled for every 45 mg/cm3 below 110 (low confidence)
    rate = 0.03 * np.exp(0.055 * (age - 50.0)) * 2.0 ** ((110.0 - vbmd) / 45.0)
    count = int(rng.poisson(min(rate, 1.5)))
    if population == "metastatic":
        lesions += _draw_metastases(rng, levels)
        count = max(count, 1)
    fractures = _draw_fractures(rng, levels, count)
    return Findings(variant, float(np.clip(curve, -45.0, 45.0)), fractures, tuple(lesions), worn)


def _draw_fractures(rng: np.random.Generator, levels: tuple[str, ...], count: int) -> tuple[Fracture, ...]:
    sites = [name for name in _FRACTURE_LEVELS if name in levels]
    weight = np.array([_FRACTURE_LEVELS[name] for name in sites])
    chosen = rng.choice(sites, min(count, 5), replace=False, p=weight / weight.sum())
    kinds = rng.choice(get_args(FractureKind), len(chosen), p=[0.55, 0.30, 0.15])
    losses = LOSS_RANGE[0] + (LOSS_RANGE[1] - LOSS_RANGE[0]) * rng.beta(1.2, 2.2, len(chosen))
    return tuple(Fracture(str(a), str(b), float(c)) for a, b, c in zip(chosen, kinds, losses))


def _draw_islands(rng: np.random.Generator, levels: tuple[str, ...]) -> list[Lesion]:
    """Enostoses: 1190 HU in the mean (Ulano 2016), 3-12 mm across; one person in seven has one (low confidence)."""
    sites = [name for name in _LESION_LEVELS if name in levels]
    return [
        Lesion(
            str(rng.choice(sites)),
            "island",
            *(float(c) for c in rng.uniform(-0.7, 0.7, 3)),
            radius_mm=float(rng.uniform(1.5, 6.0)),
            mineral_mg_cm3=float(np.clip(rng.normal(840.0, 130.0), 500.0, 1150.0)),
            seed=int(rng.integers(2**32)),
        )
        for _ in range(int(rng.poisson(0.15)))
    ]


def _draw_metastases(rng: np.random.Generator, levels: tuple[str, ...]) -> list[Lesion]:
    """One kind prevails in a person; blastic mineral gives 300-900 HU (444 +- 87 to 654 +- 176, qct_facts 5.9)."""
    sites = [name for name in _LESION_LEVELS if name in levels]
    main = rng.choice(list(_METASTASES), p=list(_METASTASES.values()))
    lesions = []
    for _ in range(int(rng.integers(1, 7))):
        kind = str(main if rng.uniform() < 0.75 else rng.choice(list(_METASTASES), p=list(_METASTASES.values())))
        behind = rng.uniform() < 0.75
        mineral = rng.uniform(0.0, 45.0) if kind == "lytic" else np.clip(rng.normal(390.0, 95.0), 220.0, 700.0)
        lesions.append(
            Lesion(
                str(rng.choice(sites)),
                kind,
                across=float(rng.uniform(-0.75, 0.75)),
                back=float(rng.uniform(0.2, 1.3) if behind else rng.uniform(-0.7, 0.3)),
                up=float(rng.uniform(-0.6, 0.6)),
                radius_mm=float(np.clip(rng.lognormal(np.log(7.0), 0.4), 3.0, 18.0)),
                mineral_mg_cm3=float(mineral),
                seed=int(rng.integers(2**32)),
            )
        )
    return lesions
