"""The two examples of the README: the demo on a simulated patient, and one real public CT of ../shared/data/ct."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from pathlib import Path

from documents import parser, publish

from VertebralBMDLib.cli import main as vertebral_bmd

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct" / "CT_ACRIN-FLT-001.nii.gz"


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--picture", type=Path, metavar="FILE", help="also keep the demo's overview.png here")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        demo = printed("demo", "--output", folder)
        publish("demo", demo[demo.index("VertebralBMD ") : demo.index("\nPicture:")].rstrip(), options.write, "make demo")
        if options.picture:
            shutil.copy(Path(folder) / "overview.png", options.picture)
    if REAL.exists():
        with tempfile.TemporaryDirectory() as folder:
            text = printed("measure", str(REAL), "--output", folder).rstrip()
        publish("real_scan", text, options.write, "vertebral-bmd measure CT_ACRIN-FLT-001.nii.gz --output out")


def printed(*arguments: str) -> str:
    """What a command prints. Raises SystemExit when it neither measures nor refuses."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = vertebral_bmd(list(arguments))
    if status not in (0, 3):
        raise SystemExit(f"{arguments[0]} ended with {status}")
    return out.getvalue()


if __name__ == "__main__":
    main()
