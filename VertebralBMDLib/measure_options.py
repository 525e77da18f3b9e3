"""The options of ``vertebral-bmd measure``, which each case of ``batch`` has too: on the command line and in a manifest."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from .anatomy import LABELS
from .calibration.catalogue import MATERIALS
from .calibration.request import located
from .quality import ALLOWABLE, Code
from .settings import Settings

#: Options that hold the path of a file.
_FILES = ("bodies", "rods", "roi")

#: Options that may be given several times.
_LISTS = ("allow", "exclude")

_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")


def add_options(parser: argparse.ArgumentParser, one_scan: bool = True) -> None:
    """Add the options to a parser; without ``one_scan`` those that can only be meant for one scan are left out."""
    parser.add_argument("--levels", type=_levels, default=("L1", "L2"), metavar="L1,L2")
    parser.add_argument("--engine", choices=("bundled", "totalsegmentator"), default="bundled", help="how vertebral bodies are found")
    parser.add_argument(
        "--bodies-numbering", choices=("auto", "verse", "totalsegmentator"), default="auto", help="what the numbers in your label map mean"
    )
    _add_calibration(parser)
    parser.add_argument("--erosion-mm", type=float, default=3.0)
    parser.add_argument(
        "--erosion-shape",
        choices=("box", "vertebra", "ball"),
        default="box",
        help="box along the patient's or the vertebra's axes, or ball",
    )
    parser.add_argument("--region", choices=("eroded", "ellipse"), default="eroded", help="the eroded body or the classic ellipse")
    parser.add_argument(
        "--central-fraction", type=float, default=Settings.central_fraction, help="share of the body's height that the ROI keeps"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--allow",
        type=_allowed,
        action="append",
        default=[],
        metavar="CODE",
        help=f"measure in spite of this refusal: {', '.join(sorted(ALLOWABLE))}",
    )
    parser.add_argument("--scene", action="store_true", help="also write scene.mrb for 3D Slicer")
    if one_scan:
        _add_one_scan(parser)


def _add_one_scan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bodies", type=Path, metavar="FILE", help="your own label map of bodies instead of an engine")
    parser.add_argument(
        "--level-at",
        type=_level_at,
        metavar="L1=x,y,z",
        help="the body at this point (LPS mm) is that level; its neighbours are counted from it",
    )
    parser.add_argument(
        "--exclude",
        type=_exclusion,
        action="append",
        default=[],
        metavar="L1=REASON",
        help="leave a level out of the patient's value; the reason is recorded",
    )
    parser.add_argument("--rods", type=Path, metavar="FILE", help="your own rods of --calibration phantom:NAME (points or a label map)")
    parser.add_argument("--roi", type=Path, metavar="FILE", help="an edited ROI (label map, VerSe numbers)")
    parser.add_argument("--roi-levels", type=_levels, metavar="L1,L2", help="the levels whose ROI is taken from --roi (all)")
    parser.add_argument("--series", metavar="UID", help="which series of a DICOM folder")


def _add_calibration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--calibration",
        default="auto",
        metavar="auto|phantom[:NAME]|async:FILE|tissue[:FILE]|none",
        help="auto: a phantom in the scan, else the patient's own tissues; several, separated by commas, are tried in order of trust",
    )
    parser.add_argument(
        "--convert-to", type=_conversion, metavar="MATERIAL=FACTOR", help="multiply densities by your own factor, for example CaHA=1.15"
    )
    parser.add_argument("--thresholds", default="acr", metavar="NAME", help="limits of the categories: a name in Resources/Thresholds")


def settings_of(options: argparse.Namespace) -> Settings:
    """The Settings that parsed options ask for. Raises ValueError for options that make no sense."""
    return Settings(
        levels=options.levels,
        engine=options.engine,
        bodies=options.bodies,
        bodies_numbering=options.bodies_numbering,
        level_at=options.level_at,
        exclude=tuple(options.exclude),
        calibration=options.calibration,
        rods=options.rods,
        convert=options.convert_to,
        thresholds=options.thresholds,
        roi=options.roi,
        roi_levels=options.roi_levels,
        erosion_mm=options.erosion_mm,
        erosion_shape=options.erosion_shape,
        region=options.region,
        central_fraction=options.central_fraction,
        device=options.device,
        allow=frozenset(options.allow),
    )


@lru_cache(maxsize=1)
def defaults() -> Mapping[str, object]:
    """Every option by its long name ("level-at") with its default: what a manifest may have a column of."""
    return {name.replace("_", "-"): value for name, value in vars(_quiet_parser().parse_args([])).items()}


def with_cells(options: argparse.Namespace, cells: Mapping[str, str], folder: Path) -> argparse.Namespace:
    """``options`` with those that ``cells`` set, by their long names; empty cells set nothing, codes to allow are added.

    A cell of ``allow`` or ``exclude`` may hold several values, separated by ";". Relative paths become absolute, from ``folder``.
    Raises ValueError, naming the option, for a value that it cannot have.
    """
    arguments = []
    for name, text in cells.items():
        if isinstance(defaults()[name], bool):
            if text.lower() not in (*_YES, *_NO, ""):
                raise ValueError(f"{name} must be yes or no, not {text!r}")
            arguments += [f"--{name}"] if text.lower() in _YES else []
        else:
            arguments += [f"--{name}={value.strip()}" for value in (text.split(";") if name in _LISTS else [text]) if value.strip()]
    try:
        found = _quiet_parser().parse_args(arguments, argparse.Namespace(**vars(options)))
    except argparse.ArgumentError as error:
        raise ValueError(str(error)) from None
    for name in _FILES:
        if getattr(found, name) is not None:
            setattr(found, name, folder / getattr(found, name))
    found.calibration = located(found.calibration, folder)
    return found


def _quiet_parser() -> argparse.ArgumentParser:
    """A parser of the options alone, which raises instead of ending the program."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    add_options(parser)
    return parser


def _levels(text: str) -> tuple[str, ...]:
    levels = tuple(level.strip().upper() for level in text.split(",") if level.strip())
    unknown = [level for level in levels if level not in LABELS]
    if unknown or not levels:
        raise argparse.ArgumentTypeError(f"unknown level {', '.join(unknown) or text!r}; use names such as L1,L2")
    return levels


def _level_at(text: str) -> tuple[str, tuple[float, float, float]]:
    try:
        level, point = text.split("=")
        x, y, z = (float(value) for value in point.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form L1=x,y,z") from None
    return _levels(level)[0], (x, y, z)


def _exclusion(text: str) -> tuple[str, str]:
    level, _equals, reason = text.partition("=")
    if not reason.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form L1=REASON")
    return _levels(level)[0], reason.strip()


def _conversion(text: str) -> tuple[str, float]:
    material, _equals, factor = text.partition("=")
    try:
        return MATERIALS[MATERIALS.index(material)], float(factor)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form CaHA=1.15; materials are {', '.join(MATERIALS)}") from None


def _allowed(text: str) -> Code:
    if text not in {code.value for code in ALLOWABLE}:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be allowed; use one of {', '.join(sorted(ALLOWABLE))}")
    return Code(text)
