"""``vertebral-bmd``: demo, measure, batch, phantom, simulate, train, evaluate and doctor.

Exit status 0 measured, 1 failed, 2 wrong usage, 3 refused.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from . import __version__
from .batch_commands import add_batch
from .evaluation_commands import add_evaluate
from .measure_options import add_options, settings_of
from .phantom_commands import KINDS as PHANTOM_KINDS
from .phantom_commands import add_phantom
from .quality import Refused
from .simulation.commands import KINDS as SIMULATE_KINDS
from .simulation.commands import add_simulate

FAILED, WRONG_USAGE = 1, 2

#: Kinds of the commands that have some; the first is meant when none is given.
_KINDS = {"simulate": SIMULATE_KINDS, "phantom": PHANTOM_KINDS}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(_with_kind(sys.argv[1:] if arguments is None else arguments))
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        return options.command(options)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return FAILED
    except (ValueError, FileNotFoundError) as error:
        print(f"vertebral-bmd: {error}", file=sys.stderr)
        return WRONG_USAGE
    except ImportError as error:
        print(
            f"vertebral-bmd: {error}. Install what this command needs, for example pip install '.[slicer,train,evaluate]'.", file=sys.stderr
        )
        return FAILED
    except OSError as error:
        print(f"vertebral-bmd: {error.strerror or error}", file=sys.stderr)
        return FAILED


def _with_kind(arguments: list[str]) -> list[str]:
    """`simulate --output DIR` is `simulate patient --output DIR`, and `phantom SCAN ...` is `phantom read SCAN ...`."""
    kinds = _KINDS.get(arguments[0] if arguments else "", ())
    plain = kinds and not {*kinds, "-h", "--help"} & set(arguments[1:2])
    return [arguments[0], kinds[0], *arguments[1:]] if plain else arguments


def console() -> None:
    """Entry point of the installed command."""
    # A console that cannot show a character (mg/cm³ on some code pages) must not undo a measurement.
    sys.stdout.reconfigure(errors="replace")
    sys.stderr.reconfigure(errors="replace")
    sys.exit(main())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vertebral-bmd", description="Volumetric bone mineral density of L1 and L2 on CT. For research use only; not a medical device."
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--verbose", action="store_true", help="say on stderr what is being done")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_measure(commands)
    add_batch(commands)
    add_phantom(commands)
    add_simulate(commands)
    _add_train(commands)
    add_evaluate(commands)
    commands.add_parser("doctor", help="what is installed, which device works, are the models intact").set_defaults(command=_doctor)
    return parser


def _add_demo(commands) -> None:
    demo = commands.add_parser("demo", help="simulate a patient with a phantom, measure it, print the truth beside it")
    demo.add_argument("--output", type=Path, default=Path("demo-output"))
    demo.add_argument("--seed", type=int, default=1)
    demo.set_defaults(command=_demo)


def _add_measure(commands) -> None:
    measure = commands.add_parser("measure", help="measure one scan")
    measure.add_argument("scan", type=Path, help="DICOM folder, NIfTI, NRRD or MetaImage")
    measure.add_argument("--output", type=Path, required=True, metavar="DIR")
    add_options(measure)
    measure.add_argument("--timings", action="store_true", help="print wall time and peak memory of each stage")
    measure.set_defaults(command=_measure)


def _add_train(commands) -> None:
    networks = commands.add_parser("train", help="train the networks").add_subparsers(dest="network", required=True)
    both = networks.add_parser("segmentation", help="localise and refine, on simulated patients and annotated scans")
    both.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="JSON, for example Resources/Models/segmentation-small.json"
    )
    both.add_argument("--output", type=Path, required=True, metavar="DIR")
    both.add_argument("--annotated", type=Path, metavar="DIR", help="folder of CT_*.nii.gz with BODIES_*.nii.gz")
    both.add_argument("--leave-out", type=lambda text: tuple(text.split(",")), default=(), metavar="NAME,NAME", help="scans of that folder")
    both.add_argument("--simulated", type=Path, metavar="DIR", help="where simulated patients are kept (default: in the output)")
    both.add_argument("--start-from", type=Path, metavar="DIR", help="folder of networks to start from")
    both.set_defaults(command=_train_segmentation)
    density = networks.add_parser("density", help="the density network: folds, choice, locked test")
    density.add_argument("--config", type=Path, required=True, metavar="FILE", help="JSON, for example Resources/Models/density-small.json")
    density.add_argument("--output", type=Path, required=True, metavar="DIR")
    density.add_argument(
        "--manifest", type=Path, metavar="CSV", help="a hospital's own cohort (Resources/Docs/training.md), instead of a simulated one"
    )
    density.add_argument("--simulated", type=Path, metavar="DIR", help="where simulated crops are kept (default: in the output)")
    density.set_defaults(command=_train_density)


def _measure(options) -> int:
    from .timings import Timings

    timings = Timings(say=sys.stderr.isatty())
    status = _measured(options.scan, options.output, settings_of(options), timings, options.series, options.scene)
    if options.timings:
        print(timings.table())
    return status


def _measured(scan: Path, output: Path, settings, progress, series: str | None = None, scene: bool = False) -> int:
    """Measure, print the table, and say on stderr what was refused."""
    from .report.table import text_table
    from .run import measure_to_folder

    status = measure_to_folder(scan, output, settings, progress, series, scene)
    document = json.loads((output / "measurement.json").read_text(encoding="utf-8"))
    print(text_table(document))
    for code in document["patient"]["refusals"]:
        print(f"refused {code}: {document['messages'][code]}", file=sys.stderr)
    return status


def _demo(options) -> int:
    from .demo import run_demo

    return run_demo(options.output, options.seed)


def _train_segmentation(options) -> int:
    from .training.commands import train_segmentation
    from .training.config import read_config

    logging.getLogger().setLevel(logging.INFO)
    config = read_config(options.config)
    simulated = options.simulated or options.output / "simulated"
    for path in train_segmentation(config, options.output, simulated, options.annotated, options.leave_out, options.start_from):
        print(path)
    return 0


def _train_density(options) -> int:
    from .training.commands import train_density
    from .training.config import read_density_config

    logging.getLogger().setLevel(logging.INFO)
    config = read_density_config(options.config)
    print(train_density(config, options.output, options.simulated or options.output / "simulated", options.manifest))
    return 0


def _doctor(options) -> int:
    from .doctor import report

    text, healthy = report()
    print(text)
    return 0 if healthy else FAILED
